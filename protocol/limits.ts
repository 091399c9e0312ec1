/**
 * Every limit of the system, in one table: the server enforces it and the client knows it. Units stand last in each
 * name.
 */
export const LIMITS = {
	/** The largest frame that a client sends. */
	frame_bytes: 128 * 1024,
	/** The largest frame that the server sends: the watermarks of 1,024 members with 8 devices each need a third of it. */
	frame_down_bytes: 1024 * 1024,
	/** All ciphertexts of one message together. */
	message_ciphertext_bytes: 96 * 1024,
	/** Text of one message, UTF-8. */
	text_bytes: 32 * 1024,
	/** Entries that are on the way to one device, sent and not acknowledged. */
	window_entries: 256,
	/** Bytes of ciphertext that are on the way to one device. */
	window_bytes: 1024 * 1024,
	/** The same to all devices of a conversation; beyond it each has the next limit. */
	windows_bytes: 32 * 1024 * 1024,
	/** What may be on the way to one device however many others there are. */
	window_bytes_least: 32 * 1024,
	/** Entries after which a device acknowledges at the latest. */
	acknowledge_entries: 64,
	/** Frames of one socket that are answered without a pause. */
	frame_burst: 2_000,
	/** Frames a second that one socket may send on average. */
	frames_per_second: 500,
	/** Frames beyond the rate after which a peer counts as hostile and is closed. */
	refused_frames: 1_000,
	/** Malformed frames after which a peer counts as hostile and is closed. */
	malformed_frames: 16,
	/** How long a ciphertext waits for its devices. */
	retention_days: 45,
	/** Ciphertext in one conversation that waits for its devices. */
	unread_bytes: 1024 ** 3,
	/** The same of what one member of a group has sent in the last so many hours as the next limit says. */
	unread_member_bytes: 256 * 1024 ** 2,
	/** What has waited longer than this goes when a group is full. */
	unread_full_hours: 24,
	/** Entries that one `Missed`, and one request to send again, names. */
	named_entries: 64,
	/** Acknowledged entries whose ids are kept to answer repetitions. */
	remembered_entries: 1_024,
	/** Devices of one account, linked at the same time. */
	devices_per_account: 8,
	/** Members of a group. */
	group_members: 1_024,
	/** Members that one change adds, removes or gives another role. */
	group_added: 100,
	/** A group's state under its key. */
	group_state_bytes: 64 * 1024,
	/** Requests to join that wait for an admin. */
	group_requests: 256,
	/** Devices of the largest conversation in which each watermark is pushed; in larger ones devices ask. */
	watermark_push_devices: 64,
	/** Conversations that an account is a member of; a further one is refused. So its waiting news is bounded too. */
	conversations_per_account: 10_000,
	/** A device that hasn't been seen for so long is unlinked, unless it is the account's last. */
	device_idle_days: 45,
	/** How long the code of a new device, and the token that adds it, are good for. */
	link_seconds: 600,
	/** What passes from the old device to the new one, encrypted. */
	link_ciphertext_bytes: 4 * 1024,
	/** A device's name, UTF-8. */
	device_name_bytes: 64,
	/** The same as the server has it: sealed and signed. */
	sealed_name_bytes: 256,
	/** Items of one `Sync` between own devices. */
	sync_items: 100,
	/** And their bytes, about: a message has to have room for them. */
	sync_bytes: 32 * 1024,
	/** One-time prekeys of each kind in one upload. */
	prekeys_per_upload: 100,
	/** One-time prekeys of each kind that an account object keeps for a device. */
	prekeys_kept: 200,
	/** The client refills one-time prekeys below this. */
	prekeys_low: 20,
	/** An HTTP body. */
	body_bytes: 512 * 1024,
	/**
	 * Registrations from one address. Rates by minute hold for each location of the network; `wrangler.toml` binds them.
	 */
	registrations_per_minute: 20,
	/** Sign-ins from one address. */
	sign_ins_per_minute: 60,
	/** Requests from one address; an IPv6 network (/64) counts as one. */
	address_requests_per_minute: 6_000,
	/** Requests of one account, sign-ins with a good secret included. */
	account_requests_per_minute: 600,
	/** Lookups of usernames by one account. */
	lookups_per_minute: 60,
	/** Claims of one account's prekeys by one other account. */
	claims_per_minute: 20,
	/** Accounts whose prekeys one request claims. */
	claimed_accounts: 32,
	/** Such requests of one account: two groups of a thousand new people in a minute. */
	claim_batches_per_minute: 60,
	/** Reports of one account in 24 hours. */
	reports_per_day: 50,
	/** Messages that one report attaches. */
	report_messages: 20,
	/** Their texts together, UTF-8. */
	report_text_bytes: 64 * 1024,
	/** What the reporter says to it, UTF-8. */
	report_reason_bytes: 1024,
	/** How long a report is kept for the operator. */
	report_days: 30,
	/** Requests from one address that need no token because they link a device. */
	link_requests_per_minute: 240,
	/** How long an access token is good for. */
	access_token_seconds: 900,
	/** A file before encryption, which adds at least 64 bytes. */
	attachment_bytes: 2 * 1024 ** 3 - 64,
	/** The text that goes with a file, UTF-8. */
	caption_bytes: 2 * 1024,
	/** What a file shows, for those who can't see it, UTF-8. */
	alt_text_bytes: 1024,
	/** A file's name, UTF-8. */
	file_name_bytes: 255,
	/** A blurred preview of a file. */
	thumb_hash_bytes: 64,
	/** Steps of a voice message's waveform. */
	waveform_steps: 128,
	/** Width times height of an image that is decoded. */
	image_pixels: 100_000_000,
	/** The file of an image that is decoded. */
	image_bytes: 100 * 1024 * 1024,
	/** The longest side, in pixels, that a picture of a group or a person is made with. */
	picture_side: 512,
	/** The file of such a picture. */
	picture_bytes: 512 * 1024,
	/** Admins of a group, the first in its state, who hold its picture beside the one who set it. */
	picture_keepers: 3,
	/** The name that a person shows, UTF-8. */
	profile_name_bytes: 128,
	/** What a person says of themselves, UTF-8. */
	profile_about_bytes: 512,
	/** How long after its sending a message may be edited, by the server's clock. */
	edit_hours: 24,
	/** The same for deleting it for everyone. */
	delete_hours: 24,
	/** What one person did of one kind (edits, reactions, …) with one message, the newest. */
	actions_per_message: 100,
	/** A reaction's emoji, UTF-8. */
	reaction_bytes: 64,
	/** Formatted parts and mentions of one text. */
	ranges_per_text: 256,
	/** The most that is told of how often a message was forwarded. */
	forwards: 255,
	/** Options of one poll. */
	poll_options: 32,
	/** A poll's question, UTF-8. */
	poll_question_bytes: 1024,
	/** One option of a poll, UTF-8. */
	poll_option_bytes: 256,
	/** The longest timer of disappearing messages; the shortest is a second. */
	timer_seconds: 365 * 24 * 60 * 60,
	/** Reactions, edits and so on of one conversation that wait at a client for messages that it doesn't have. */
	waiting_actions: 1_000,
	/** How often a client asks a device for one message again, and how often it answers one that asks. */
	retry_requests_per_message: 3,
	/** A blob: an encrypted file. */
	media_bytes: 2 * 1024 ** 3,
	/** What a client sends in one PATCH: Cloudflare refuses bodies above 100 MB before a Worker sees them. */
	media_patch_bytes: 64 * 1024 * 1024,
	/** Bytes that an account may upload in a day (UTC). */
	media_day_bytes: 8 * 1024 ** 3,
	/** Bytes of all blobs that an account holds, unfinished uploads among them. */
	media_kept_bytes: 32 * 1024 ** 3,
	/** Blobs that an account holds, unfinished uploads among them. */
	media_kept_blobs: 20_000,
	/**
	 * Bodies of uploads that arrive at once for an account: one of each device, and two that died unnoticed. Each has 8 to
	 * 16 MiB in memory, and an isolate 128 MB.
	 */
	media_patches: 10,
	/** Different holds on one blob. */
	media_holds: 256,
	/** How long a blob is held: longer than a message waits, since it is uploaded before the message is sent. */
	media_days: 60,
	/** How long an upload may take from its creation. */
	media_upload_hours: 72,
	/** How long a media grant is good for. */
	media_grant_seconds: 600,
} as const;
