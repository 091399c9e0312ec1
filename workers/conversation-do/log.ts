/** The life of an entry in the log: appended, wiped, forgotten (rules ORDER-1, ORDER-2, KEPT-1). */
import { LIMITS } from "../../protocol/limits.ts";
import { Once } from "./once.ts";
import type { Device } from "./roster.ts";
import type { Persisted } from "./state.ts";
import type { LogEntry, LogRow, Store } from "./store.ts";

/** How long a ciphertext waits. */
export const RETENTION_MS = LIMITS.retention_days * 24 * 60 * 60 * 1_000;

/** Entries whose senders are kept in memory. */
const SENDERS_MAX = 4_096;
/** Devices of which is kept how far their own entries are wiped: forgetting costs a statement that changes nothing. */
const WIPED_MAX = 64;

/** Appends after which the state is written, and rows that are read together. */
const BATCH = 64;

/** The log of one conversation and the cursors that decide over its rows. */
export class Log {
	readonly once: Once;
	head: number;
	readonly #store: Store;
	readonly #state: Persisted;
	#time_ms: number;
	/** Senders of entries that were read from the store for it: of the last ones they are known. */
	readonly #senders: Map<number, string> = new Map();
	/** For which accounts entries are not. A restart forgets it: then a device is nudged once for nothing. */
	readonly #passedOver: Map<number, ReadonlySet<string>> = new Map();
	/** How far one sender's entries are wiped, where that is further than for all. */
	readonly #wipedOf: Map<string, number> = new Map();
	/** Lowest and second lowest cursor when they were last looked at, and how many devices were at the lowest. */
	#floor = 0;
	#next = Number.POSITIVE_INFINITY;
	#atFloor = 0;
	/**
	 * Entries that devices have passed since the last wipe, which may be done by all; 0 where there is nothing to wipe.
	 */
	#due = 0;
	/** The first entry of the log's newer part. */
	#newer: number;
	/** The number from which the older part may go. */
	#renewAt: number;

	constructor(store: Store, state: Persisted) {
		this.#store = store;
		this.#state = state;
		this.once = new Once(store, state.marks);
		const head = store.head();
		this.head = head?.number ?? 0;
		this.#time_ms = head?.time_ms ?? 0;
		this.#newer = store.newer() ?? this.head + 1;
		this.#renewAt = this.#newer + LIMITS.remembered_entries;
		// The tail that is newer than the state.
		if (state.head < this.head) state.backlog.appended(this.head, store.waiting(state.head));
		for (let after = state.head; after < this.head; ) {
			const entries = store.entries(after, BATCH);
			for (const entry of entries) {
				this.#passOwn(entry.number, entry.sender);
				this.once.sent(entry.messageId, entry.sender);
			}
			after = entries.at(-1)?.number ?? this.head;
		}
		state.head = this.head;
	}

	/** How many bytes of ciphertext wait, at most. */
	get waiting(): number {
		return this.#state.backlog.bytes;
	}

	/**
	 * The next entry, one row. `key` is its sender's; `first` changes the state in the same
	 * transaction.
	 */
	append(
		key: string,
		messageId: string,
		checksum: number,
		payload: Uint8Array | null,
		now_ms: number,
		first?: () => void,
	): LogEntry {
		const number = this.head + 1;
		this.#time_ms = Math.max(this.#time_ms, now_ms);
		const renews = number >= this.#renewAt && this.#mayRenew(number);
		const wiped = payload === null;
		const row: LogRow = { number, time_ms: this.#time_ms, messageId, sender: key, checksum, wiped, payload };
		// Without the payload, which would stay in memory with the ids.
		const entry: LogEntry = { number, time_ms: this.#time_ms, messageId, sender: key, checksum, wiped };
		const append = () => {
			first?.();
			if (renews) this.#store.renew();
			this.#store.append(row);
			this.head = number;
			this.#state.head = number;
			this.once.appended(entry);
			this.#passOwn(number, key);
			if (payload !== null) this.#state.backlog.appended(number, payload.length);
		};
		if (first === undefined && !renews && number - this.#state.savedHead < BATCH) append();
		else {
			this.#store.together(() => {
				append();
				this.#state.save();
			});
			this.#trim();
		}
		if (renews) this.#begins(number);
		return entry;
	}

	/** How many entries wait for `settle`, at least as many as can be wiped; 0 for none. */
	get due(): number {
		return this.#due;
	}

	/** A device has everything up to the cursor. What is wiped for that waits for `settle`. */
	acknowledged(device: Device, cursor: number): void {
		if (cursor > device.cursor) device.cursor = cursor;
		if (cursor <= device.passed) {
			// The others may have what was passed over by now.
			if (this.#passedOver.size > 0) this.#due += 1;
			return;
		}
		const before = device.passed;
		device.passed = cursor;
		while (device.passed < this.head && this.#needsNo(device, device.passed + 1)) device.passed += 1;
		// Once a wipe is due it looks at all devices anyway.
		if (this.#due > 0 || this.#holdsUp(before)) this.#due += cursor - before;
	}

	/** Wipes what devices have passed. */
	settle(): void {
		if (this.#due > 0) this.wipe();
	}

	/**
	 * Whether a device that was at this number can have held up a wipe: in a large group most that acknowledge were not
	 * the last to, and to look through all devices each time would be a million steps for a message to a thousand.
	 */
	#holdsUp(before: number): boolean {
		if (before === this.#floor && this.#atFloor > 2) {
			this.#atFloor -= 1;
			return false;
		}
		return before <= this.#next;
	}

	/** Whether the device needs no delivery of an entry. */
	#needsNo(device: Device, number: number): boolean {
		return this.#senderOf(number) === device.key || this.#passedOver.get(number)?.has(device.account) === true;
	}

	/** Removes the ciphertexts that every addressed device has: usually one range, all senders. */
	wipe(): void {
		this.#due = 0;
		const { devices } = this.#state;
		let floor = Number.POSITIVE_INFINITY;
		let next = Number.POSITIVE_INFINITY;
		let atFloor = 0;
		let last: Device | undefined;
		for (const device of devices) {
			if (device.passed < floor) {
				next = floor;
				floor = device.passed;
				last = device;
				atFloor = 1;
			} else {
				if (device.passed === floor) atFloor += 1;
				if (device.passed < next) next = device.passed;
			}
		}
		this.#floor = floor;
		this.#next = next;
		this.#atFloor = atFloor;
		floor = Math.min(floor, this.head);
		next = Math.min(next, this.head);
		// A sender holds up nothing of what it sent: it may have entries of others to read and yet its own are done. Only
		// of the device that is furthest behind are there such entries.
		const from = Math.max(floor, this.#wipedOf.get(last?.key ?? "") ?? 0);
		const own = last === undefined || next <= from ? undefined : { sender: last.key, upTo: next };
		const { wiped } = this.#state;
		// In one statement where one range follows the other, which is most often.
		if (floor > wiped && from === floor) this.#store.wipe(wiped, floor, own);
		else {
			if (floor > wiped) this.#store.wipe(wiped, floor);
			if (own !== undefined) this.#store.wipe(from, from, own);
		}
		if (own !== undefined) this.#wipedOf.set(own.sender, next);
		if (floor <= wiped) return;
		this.#isWiped(floor);
		if (this.#wipedOf.size > WIPED_MAX) this.#wipedOf.clear();
	}

	/** No entry up to this one has a ciphertext. */
	#isWiped(upTo: number): void {
		if (this.#senders.size + this.#passedOver.size > 0) {
			for (let number = this.#state.wiped + 1; number <= upTo; number++) {
				this.#senders.delete(number);
				this.#passedOver.delete(number);
			}
		}
		this.#state.wiped = upTo;
		this.#state.backlog.passed(upTo, this.head);
	}

	/** The sender takes an entry back (rule DELETE-3): its ciphertexts are gone at once. */
	withdraw(number: number): void {
		this.#store.withdraw(number);
	}

	/** The entry is not for these accounts (rule BLOCK-1): their devices need no delivery of it. */
	passOver(number: number, accounts: ReadonlySet<string>): void {
		this.#passedOver.set(number, accounts);
		for (const device of this.#state.devices) {
			if (!accounts.has(device.account) || device.passed !== number - 1) continue;
			if (device.passed === this.#floor) this.#atFloor -= 1;
			device.passed = number;
		}
	}

	/** The end of retention (rule KEPT-1). */
	expire(now_ms: number): void {
		// Looking for the oldest reads less than the whole log, which most alarms are not for.
		const next_ms = this.nextExpiry();
		if (next_ms === undefined || next_ms > now_ms) return;
		const upTo = this.#store.expire(now_ms - RETENTION_MS);
		if (upTo > this.#state.wiped) this.#isWiped(upTo);
		// A device that never comes back must not leave the conversation full for ever.
		this.#state.backlog.counted(this.#state.wiped, this.#store.waiting(this.#state.wiped));
	}

	/**
	 * The oldest ciphertexts go, an eighth of what may wait, as far as they are older than `before_ms` (rule KEPT-5). Who
	 * has not read them is told so (rule KEPT-2).
	 */
	makeRoom(before_ms: number): void {
		for (const upTo of this.#state.backlog.cuts((LIMITS.unread_bytes / 8) * 7)) {
			const [last] = this.#store.entries(upTo - 1, 1);
			if (last === undefined || last.time_ms > before_ms) continue;
			this.#store.wipe(this.#state.wiped, upTo);
			this.#isWiped(Math.max(this.#state.wiped, upTo));
			this.#state.save();
			return;
		}
	}

	/** When the oldest ciphertext's retention ends. */
	nextExpiry(): number | undefined {
		const oldest = this.#store.oldestCiphertext();
		return oldest === undefined ? undefined : oldest + RETENTION_MS;
	}

	/** Rows after a number, for delivery. */
	rows(after: number, limit: number): LogRow[] {
		return this.#store.rows(after, limit);
	}

	/** An effective cursor passes over the device's own entries. */
	#passOwn(number: number, sender: string): void {
		const device = this.#state.roster?.get(sender);
		if (device === undefined || device.passed !== number - 1) return;
		if (device.passed === this.#floor) this.#atFloor -= 1;
		device.passed = number;
	}

	#senderOf(number: number): string | undefined {
		const known = this.once.senderOf(number) ?? this.#senders.get(number);
		if (known !== undefined) return known;
		// Several at once: a device that acknowledges late may have many entries of its own to pass.
		for (const entry of this.#store.entries(number - 1, BATCH)) this.#senders.set(entry.number, entry.sender);
		const sender = this.#senders.get(number);
		this.#trim();
		return sender;
	}

	/** In a group somebody is always away, and nothing is passed by all. */
	#trim(): void {
		if (this.#senders.size <= SENDERS_MAX) return;
		for (const number of this.#senders.keys()) {
			if (this.#senders.size <= SENDERS_MAX) return;
			this.#senders.delete(number);
		}
	}

	/**
	 * Whether the older part of the log can go before this entry: all of it is wiped, and its senders know that it was
	 * accepted. Its ids are below the forgotten marks then, which reach the disk in the transaction in which it goes: a
	 * repetition after a crash must not be logged twice (rule ONCE-1).
	 */
	#mayRenew(number: number): boolean {
		if (this.#state.wiped < this.#newer - 1) return false;
		const seniors = this.#store.seniors();
		const { roster } = this.#state;
		const unaware = seniors.some((senior) => (roster?.get(senior.sender)?.cursor ?? senior.number) < senior.number);
		// Not with each entry: all rows of the older part were read.
		this.#renewAt = number + LIMITS.remembered_entries;
		if (unaware) return false;
		for (const senior of seniors) this.once.forget(senior);
		return true;
	}

	/** The newer part begins here. */
	#begins(number: number): void {
		this.#newer = number;
		this.#renewAt = number + LIMITS.remembered_entries;
	}
}
