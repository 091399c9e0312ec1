/** What a conversation keeps on disk, behind one small interface: SQLite in the object, memory in the simulation. */

/** An entry without its ciphertexts. */
export interface LogEntry {
	/** From 1, without gaps; the oldest go together, when they are wiped (rule KEPT-1). */
	number: number;
	time_ms: number;
	/** In hex. */
	messageId: string;
	/** `senderKey` of the device, registration included. */
	sender: string;
	/** `checksumOf` the envelopes (rule ONCE-3). */
	checksum: number;
	/** The ciphertexts have been removed. */
	wiped: boolean;
}

/** An entry with its `Send` frame as it came; empty once it is withdrawn, null once it is wiped. */
export interface LogRow extends LogEntry {
	payload: Uint8Array | null;
}

/** See `Store.seniors`. */
export interface Senior {
	sender: string;
	/** The greatest of its ids. */
	messageId: string;
	/** The number of its last entry. */
	number: number;
}

/** Entries of one sender, up to a number. */
export interface Own {
	sender: string;
	upTo: number;
}

/**
 * All calls are synchronous: a turn's writes reach the disk together, before any frame of that turn leaves. The log lies in
 * two parts, an older and a newer one, so that old entries go without a row written for each.
 */
export interface Store {
	/** Does several writes or, when the step throws, none of them. */
	together(step: () => void): void;
	/** Number and time of the newest entry; undefined in an empty log. */
	head(): { number: number; time_ms: number } | undefined;
	/** Adds an entry to the newer part. */
	append(row: LogRow): void;
	/** Where the newer part begins: the number of its first entry; undefined while it has none. */
	newer(): number | undefined;
	/** Who has entries in the older part. Reads all of its rows. */
	seniors(): Senior[];
	/** Removes the older part with all its entries. The newer one takes its place, and an empty one that one's. */
	renew(): void;
	/** Removes the ciphertexts of the entries `after` < number <= `upTo`, and of those that follow the own ones. */
	wipe(after: number, upTo: number, own?: Own): void;
	/**
	 * Removes one entry's ciphertexts, which its sender has taken back: an empty payload stands for them, until it is
	 * wiped.
	 */
	withdraw(number: number): void;
	/** Removes all ciphertexts that are not younger than `before_ms`; answers the last number that is not, or 0. */
	expire(before_ms: number): number;
	/** Bytes of all ciphertexts after a number. Reads as many rows as there are. */
	waiting(after: number): number;
	/** The same for each sender, of what is younger than `since_ms`. */
	waitingBySender(after: number, since_ms: number): [sender: string, bytes: number][];
	/** The time of the oldest ciphertext. */
	oldestCiphertext(): number | undefined;
	/** Rows with number > `after`, in order, `limit` at most. */
	rows(after: number, limit: number): LogRow[];
	/** The same without payloads. */
	entries(after: number, limit: number): LogEntry[];
	/** The entry of a message id. Reads the whole log. */
	find(messageId: string): LogEntry | undefined;
	/** Everything that is not an entry: one row, unless it is too large for one. */
	readState(): string | undefined;
	writeState(state: string): void;
	/** What makes the conversation a group: changes rarely. */
	readGroup(): string | undefined;
	writeGroup(group: string): void;
}
