/**
 * Every limit of the system, in one table: the server enforces it, the client knows it, and
 * `specs/protocol.md` prints it. Units stand last in each name.
 */
export const LIMITS = {
	/** The largest frame that a socket takes, either way. */
	frame_bytes: 128 * 1024,
	/** All ciphertexts of one message together. */
	message_ciphertext_bytes: 96 * 1024,
	/** Text of one message, UTF-8. */
	text_bytes: 32 * 1024,
	/** Entries that are on the way to one device, sent and not acknowledged. */
	window_entries: 256,
	/** Bytes of ciphertext that are on the way to one device. */
	window_bytes: 1024 * 1024,
	/** Entries after which a device acknowledges at the latest. */
	acknowledge_entries: 64,
	/** Frames of one socket that are answered without a pause. */
	frame_burst: 2_000,
	/** Frames a second that one socket may send on average. */
	frames_per_second: 500,
	/** Refused frames (malformed, or beyond the rate) after which a peer counts as hostile and is closed. */
	refused_frames: 1_000,
	/** Malformed frames after which a peer counts as hostile and is closed. */
	malformed_frames: 16,
	/** How long a ciphertext waits for its devices. */
	retention_days: 45,
	/** Acknowledged entries whose ids are kept to answer repetitions. */
	remembered_entries: 1_024,
	devices_per_account: 8,
	/** One-time prekeys of each kind in one upload. */
	prekeys_per_upload: 100,
	/** One-time prekeys of each kind that an account object keeps for a device. */
	prekeys_kept: 200,
	/** The client refills one-time prekeys below this. */
	prekeys_low: 20,
	/** An HTTP body. */
	body_bytes: 512 * 1024,
	/** How long an access token is good for. */
	access_token_seconds: 900,
	/** How long a client waits for a message's retry before it gives up asking. */
	retry_requests_per_message: 3,
} as const;
