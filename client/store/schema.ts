/** Each entry brings the file from its index to the next version. Never change one that was released. */
export const MIGRATIONS: readonly string[] = [
	`
	CREATE TABLE meta (key TEXT PRIMARY KEY, value ANY) WITHOUT ROWID;

	-- pending_key: a changed key that waits for a person, because the old one was verified (rule CLIENT-3).
	CREATE TABLE identities (
		account TEXT PRIMARY KEY, key BLOB NOT NULL, verified INTEGER NOT NULL DEFAULT 0, pending_key BLOB
	);
	CREATE TABLE sessions (
		account TEXT NOT NULL, device INTEGER NOT NULL, record BLOB NOT NULL, PRIMARY KEY (account, device)
	);

	-- upload: 1 while the key is in a set that is not known to be at the server (rule PREKEY-4).
	CREATE TABLE ec_prekeys (id INTEGER PRIMARY KEY, record BLOB NOT NULL, upload INTEGER NOT NULL);
	CREATE TABLE signed_prekeys (
		id INTEGER PRIMARY KEY, record BLOB NOT NULL, created_ms INTEGER NOT NULL, upload INTEGER NOT NULL
	);
	CREATE TABLE kyber_prekeys (
		id INTEGER PRIMARY KEY, record BLOB NOT NULL, created_ms INTEGER NOT NULL, last_resort INTEGER NOT NULL,
		upload INTEGER NOT NULL
	);
	CREATE INDEX ec_prekeys_upload ON ec_prekeys (id) WHERE upload = 1;
	CREATE INDEX kyber_prekeys_upload ON kyber_prekeys (id) WHERE upload = 1;
	-- A last-resort key serves several first messages; the same first message only once.
	CREATE TABLE last_resort_uses (
		kyber_id INTEGER NOT NULL, signed_id INTEGER NOT NULL, base_key BLOB NOT NULL,
		PRIMARY KEY (kyber_id, signed_id, base_key)
	) WITHOUT ROWID;

	CREATE TABLE contacts (username TEXT PRIMARY KEY, account TEXT NOT NULL) WITHOUT ROWID;
	CREATE INDEX contacts_account ON contacts (account);
	-- What accounts without a contact call themselves. Nobody is shown such a name before the server has confirmed it.
	CREATE TABLE claimed_names (account TEXT PRIMARY KEY, username TEXT NOT NULL) WITHOUT ROWID;

	CREATE TABLE conversations (
		peer TEXT PRIMARY KEY,
		roster_version INTEGER NOT NULL DEFAULT 0,
		cursor INTEGER NOT NULL DEFAULT 0,
		read INTEGER NOT NULL DEFAULT 0,
		peer_delivered INTEGER NOT NULL DEFAULT 0,
		peer_read INTEGER NOT NULL DEFAULT 0
	);
	CREATE TABLE roster_devices (
		peer TEXT NOT NULL, account TEXT NOT NULL, device INTEGER NOT NULL, registration_id INTEGER NOT NULL,
		PRIMARY KEY (peer, account, device)
	) WITHOUT ROWID;
	-- Own entries' numbers above the cursor: it moves over them when the entries before have arrived.
	CREATE TABLE own_numbers (peer TEXT NOT NULL, number INTEGER NOT NULL, PRIMARY KEY (peer, number)) WITHOUT ROWID;

	-- id: the id on the wire. content: empty for a text, which is in messages. target: the one device that gets the content ("account.device"), NULL for all.
	CREATE TABLE outbox (
		position INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, peer TEXT NOT NULL, content BLOB NOT NULL,
		target TEXT, frame BLOB, roster_version INTEGER NOT NULL DEFAULT 0, attempts INTEGER NOT NULL DEFAULT 0
	);
	CREATE INDEX outbox_peer ON outbox (peer, position);

	CREATE TABLE messages (
		row INTEGER PRIMARY KEY, peer TEXT NOT NULL, sender TEXT NOT NULL, sender_device INTEGER NOT NULL, id TEXT NOT NULL,
		outgoing INTEGER NOT NULL, number INTEGER, body TEXT, sent_at_ms INTEGER NOT NULL, server_time_ms INTEGER,
		status TEXT NOT NULL, addressed TEXT, UNIQUE (sender, id)
	);
	CREATE INDEX messages_peer ON messages (peer, number);

	-- What was sent beside texts under an id of its own, so that it can be asked for again (rule RETRY-1).
	CREATE TABLE resendable (id TEXT PRIMARY KEY, peer TEXT NOT NULL, target TEXT NOT NULL, content BLOB NOT NULL) WITHOUT ROWID;
	CREATE TABLE retries (
		message TEXT NOT NULL, device TEXT NOT NULL, direction TEXT NOT NULL, count INTEGER NOT NULL,
		PRIMARY KEY (message, device, direction)
	) WITHOUT ROWID;
	`,
	`
	-- hot: the server may hold a connection of this device that is dead by now (rule NUDGE-3).
	ALTER TABLE conversations ADD COLUMN hot INTEGER NOT NULL DEFAULT 0;
	`,
	`
	-- A serialised Attachment: the file that belongs to the message; NULL where there is none.
	ALTER TABLE messages ADD COLUMN attachment BLOB;

	-- Files that are not wholly at the server. name: the encrypted copy, in the folder "media". path: where the upload
	-- goes, below the server's address. sealed: 1 when the copy is whole, and the message's attachment with it.
	CREATE TABLE uploads (
		position INTEGER PRIMARY KEY AUTOINCREMENT, message TEXT NOT NULL UNIQUE, peer TEXT NOT NULL, source TEXT NOT NULL,
		mtime_ms INTEGER NOT NULL, name TEXT NOT NULL, iv BLOB NOT NULL, delete_key TEXT NOT NULL, path TEXT, blob TEXT,
		sealed INTEGER NOT NULL DEFAULT 0
	);
	-- Blobs that this device knows. name: the encrypted copy, which is here where whole = 1. pointer: a serialised
	-- Attachment. iv: with it and the pointer's key the same file gives the same blob again; NULL where it is not known.
	CREATE TABLE blobs (
		blob TEXT PRIMARY KEY, name TEXT NOT NULL, size INTEGER NOT NULL, pointer BLOB NOT NULL, iv BLOB,
		whole INTEGER NOT NULL
	) WITHOUT ROWID;
	CREATE INDEX blobs_size ON blobs (size);
	-- Received messages whose files are to be fetched without being asked for.
	CREATE TABLE wanted_files (message TEXT PRIMARY KEY) WITHOUT ROWID;
	-- Own holds on blobs at the server, by the message that needs them.
	CREATE TABLE holds (message TEXT PRIMARY KEY, blob TEXT NOT NULL, delete_key TEXT NOT NULL) WITHOUT ROWID;
	`,
	`
	-- under_key: the identity key that the message came under, while nobody has accepted it (rule CLIENT-3).
	ALTER TABLE messages ADD COLUMN under_key BLOB;
	`,
	`
	-- What all devices of the account agree on (rules SYNC-1 to SYNC-3): the newest change of each thing, and the device
	-- that made it.
	CREATE TABLE synced (
		kind TEXT NOT NULL, subject TEXT NOT NULL, item BLOB NOT NULL, changed_ms INTEGER NOT NULL, device INTEGER NOT NULL,
		PRIMARY KEY (kind, subject)
	) WITHOUT ROWID;
	`,
	`
	-- When it was counted last; after the retention time nobody asks any more.
	ALTER TABLE retries ADD COLUMN at_ms INTEGER NOT NULL DEFAULT 0;
	ALTER TABLE resendable ADD COLUMN at_ms INTEGER NOT NULL DEFAULT 0;
	`,
	`
	-- What people did with messages, in whatever order it came; what a message looks like is derived from its rows (rule
	-- MESSAGE-4). actor, id: who did it, and the content's id. author, message: the message. number, time_ms: the entry's
	-- place and time at the server; NULL and the own clock until then. content: serialised Content. waiting: 1 while the
	-- message isn't here. addressed: as of an own message.
	CREATE TABLE actions (
		actor TEXT NOT NULL, id TEXT NOT NULL, peer TEXT NOT NULL, author TEXT NOT NULL, message TEXT NOT NULL,
		kind TEXT NOT NULL, number INTEGER, time_ms INTEGER NOT NULL, content BLOB NOT NULL, waiting INTEGER NOT NULL,
		addressed TEXT, PRIMARY KEY (actor, id)
	) WITHOUT ROWID;
	CREATE INDEX actions_message ON actions (author, message);
	CREATE INDEX actions_waiting ON actions (peer, number) WHERE waiting = 1;
	-- What a message has beside its text. content: serialised Content as its author sent it, without the file.
	CREATE TABLE details (
		sender TEXT NOT NULL, id TEXT NOT NULL, content BLOB NOT NULL, deleted INTEGER NOT NULL DEFAULT 0,
		expire_after_seconds INTEGER NOT NULL DEFAULT 0, expires_at_ms INTEGER, PRIMARY KEY (sender, id)
	) WITHOUT ROWID;
	CREATE INDEX details_expiry ON details (expires_at_ms) WHERE expires_at_ms IS NOT NULL;
	CREATE INDEX details_unread ON details (sender, id) WHERE expire_after_seconds > 0 AND expires_at_ms IS NULL;
	-- Messages that have disappeared or were deleted here: they don't come back.
	CREATE TABLE gone (sender TEXT NOT NULL, id TEXT NOT NULL, since_ms INTEGER NOT NULL, PRIMARY KEY (sender, id)) WITHOUT ROWID;
	-- How a conversation is set up here. timer_seconds: of disappearing messages. draft: a text that was not sent.
	CREATE TABLE standings (
		peer TEXT PRIMARY KEY, timer_seconds INTEGER NOT NULL DEFAULT 0, draft TEXT
	) WITHOUT ROWID;
	`,
	`
	-- A group's id stands where else an account names a conversation (peer). key: NULL until it has come. version: of the
	-- state here, a verified GroupState; 0 before the first. seen_version: of the last change in the log, refused ones
	-- included. distribution: this device's sender key, since when and for how many messages. wanted: 1 while members wait
	-- for keys though there is nothing to send.
	CREATE TABLE groups (
		peer TEXT PRIMARY KEY, key BLOB, version INTEGER NOT NULL DEFAULT 0, seen_version INTEGER NOT NULL DEFAULT 0,
		state BLOB, title TEXT NOT NULL DEFAULT '', member INTEGER NOT NULL DEFAULT 0, distribution TEXT,
		distribution_ms INTEGER NOT NULL DEFAULT 0, sent INTEGER NOT NULL DEFAULT 0, wanted INTEGER NOT NULL DEFAULT 0
	) WITHOUT ROWID;
	-- libsignal's records, own ones included. sender: account.device.
	CREATE TABLE sender_keys (
		position INTEGER PRIMARY KEY AUTOINCREMENT, peer TEXT NOT NULL, sender TEXT NOT NULL, distribution TEXT NOT NULL,
		record BLOB NOT NULL, UNIQUE (peer, sender, distribution)
	);
	-- Who has this device's current sender key, or has it on the way in the entry with the id in wire.
	CREATE TABLE sender_key_holders (
		peer TEXT NOT NULL, account TEXT NOT NULL, device INTEGER NOT NULL, registration_id INTEGER NOT NULL,
		wire TEXT NOT NULL, PRIMARY KEY (peer, account, device)
	) WITHOUT ROWID;
	CREATE INDEX sender_key_holders_wire ON sender_key_holders (wire);
	-- Entries that wait for a key. change: 1 for a GroupChange, behind which later entries wait. allowed: whether the
	-- sender might send when it came, NULL where that is not known. asked: 1 when the sender was asked to send it again.
	CREATE TABLE group_entries (
		peer TEXT NOT NULL, number INTEGER NOT NULL, entry BLOB NOT NULL, change INTEGER NOT NULL, allowed INTEGER,
		asked INTEGER NOT NULL DEFAULT 0, PRIMARY KEY (peer, number)
	) WITHOUT ROWID;
	-- What people want of groups and the server has not answered. request: the JSON that goes to the server, NULL while
	-- the change waits for the version in needs (rule GROUP-15).
	CREATE TABLE group_changes (
		id TEXT PRIMARY KEY, peer TEXT NOT NULL, intention TEXT NOT NULL, wire TEXT NOT NULL, request TEXT,
		needs INTEGER NOT NULL DEFAULT 0, attempts INTEGER NOT NULL DEFAULT 0, unreachable TEXT NOT NULL DEFAULT '[]'
	) WITHOUT ROWID;
	CREATE TABLE group_requests (peer TEXT NOT NULL, account TEXT NOT NULL, PRIMARY KEY (peer, account)) WITHOUT ROWID;
	CREATE TABLE group_watermarks (
		peer TEXT NOT NULL, account TEXT NOT NULL, device INTEGER NOT NULL, delivered INTEGER NOT NULL, read INTEGER NOT NULL,
		came_after INTEGER NOT NULL, PRIMARY KEY (peer, account, device)
	) WITHOUT ROWID;
	-- Devices for which a group message could not be encrypted.
	CREATE TABLE left_out (
		message TEXT NOT NULL, account TEXT NOT NULL, device INTEGER NOT NULL, PRIMARY KEY (message, account, device)
	) WITHOUT ROWID;
	-- Accounts on a group's roster.
	CREATE TABLE roster_members (peer TEXT NOT NULL, account TEXT NOT NULL, PRIMARY KEY (peer, account)) WITHOUT ROWID;
	-- since: the roster version with which the device came; it gets nothing of before.
	ALTER TABLE roster_devices ADD COLUMN since INTEGER NOT NULL DEFAULT 0;
	CREATE INDEX roster_devices_account ON roster_devices (account);
	`,
	`
	-- Own entries whose ciphertexts are to be removed from the server (rule DELETE-3), until it has answered.
	CREATE TABLE withdrawals (peer TEXT NOT NULL, id TEXT NOT NULL, PRIMARY KEY (peer, id)) WITHOUT ROWID;
	`,
	`
	-- Which messages need which blobs: when the last one has gone, its copy goes.
	CREATE TABLE blob_uses (
		sender TEXT NOT NULL, message TEXT NOT NULL, blob TEXT NOT NULL, PRIMARY KEY (sender, message)
	) WITHOUT ROWID;
	CREATE INDEX blob_uses_blob ON blob_uses (blob);
	`,
	`
	-- accepted: 1 once the user has accepted the peer or written to them (rule REQUEST-1). blocked: the user blocks the
	-- peer; block_due: 1 until the server has answered. seen_ms: when the peer was there last.
	ALTER TABLE standings ADD COLUMN accepted INTEGER NOT NULL DEFAULT 0;
	ALTER TABLE standings ADD COLUMN blocked INTEGER NOT NULL DEFAULT 0;
	ALTER TABLE standings ADD COLUMN block_due INTEGER NOT NULL DEFAULT 0;
	ALTER TABLE standings ADD COLUMN seen_ms INTEGER;
	-- Whoever was here before strangers were asked is none.
	INSERT INTO standings (peer, accepted) SELECT peer, 1 FROM conversations WHERE true
		ON CONFLICT (peer) DO UPDATE SET accepted = 1;
	`,
	`
	-- Pictures of groups and people that this device has a copy of (in blobs), or its account holds. peer: whose it is.
	-- delete_key: ends the account's hold, NULL where it has none; held_until_ms: when the hold ends by itself.
	CREATE TABLE pictures (
		blob TEXT PRIMARY KEY, peer TEXT NOT NULL, delete_key TEXT, held_until_ms INTEGER NOT NULL
	) WITHOUT ROWID;
	`,
	`
	-- When another own device has read how far: the time of messages that come later runs from then (rule TIMER-4).
	CREATE TABLE read_times (
		peer TEXT NOT NULL, up_to INTEGER NOT NULL, at_ms INTEGER NOT NULL, PRIMARY KEY (peer, up_to)
	) WITHOUT ROWID;
	`,
	`
	-- What has changed in groups, for people. number: the entry's place in the log. change: JSON of a GroupSummary.
	CREATE TABLE group_history (
		peer TEXT NOT NULL, version INTEGER NOT NULL, number INTEGER NOT NULL, time_ms INTEGER NOT NULL,
		title TEXT NOT NULL, author TEXT NOT NULL, change TEXT NOT NULL, PRIMARY KEY (peer, version)
	) WITHOUT ROWID;
	`,
	`
	-- Who was sent the own profile last (peer: an account or a group), of when, and in which entry.
	CREATE TABLE profiles_sent (peer TEXT PRIMARY KEY, changed_ms INTEGER NOT NULL, id TEXT NOT NULL) WITHOUT ROWID;
	`,
	`
	-- Requests to send a group message again, of devices whose account the verified state doesn't list yet. message: wire id.
	CREATE TABLE late_retries (
		position INTEGER PRIMARY KEY AUTOINCREMENT, peer TEXT NOT NULL, account TEXT NOT NULL, device INTEGER NOT NULL,
		message BLOB NOT NULL, UNIQUE (peer, account, device, message)
	);
	-- refetch: 1 while the state has to be asked for, because a change was refused under a key that is accepted by now.
	ALTER TABLE groups ADD COLUMN refetch INTEGER NOT NULL DEFAULT 0;
	`,
	`
	-- message: the own message or action that was sent again with it; NULL for what is nothing of both. When that goes, the
	-- content goes too.
	ALTER TABLE resendable ADD COLUMN message TEXT;
	CREATE INDEX resendable_message ON resendable (message) WHERE message IS NOT NULL;
	`,
	`
	-- Entries that this device had, by what the server says, before its file went back to an old copy (rule RETRY-3), until
	-- they come again. sender, device: whose they are. id: on the wire. number, time_ms: their place and time at the server.
	-- asked: 1 when the sender was asked. noted_ms: since when.
	CREATE TABLE missing (
		peer TEXT NOT NULL, sender TEXT NOT NULL, device INTEGER NOT NULL, id TEXT NOT NULL, number INTEGER NOT NULL,
		time_ms INTEGER NOT NULL, asked INTEGER NOT NULL DEFAULT 0, noted_ms INTEGER NOT NULL, PRIMARY KEY (sender, id)
	) WITHOUT ROWID;
	`,
];
