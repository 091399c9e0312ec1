/** What a message id has become: each message enters the log once (rules ONCE-1 and ONCE-3). */
import { crc32 } from "node:zlib";
import { toBinary } from "@bufbuild/protobuf";
import type { Send } from "../../protocol/gen/conversation_up_pb.js";
import { GroupChangeSchema } from "../../protocol/gen/group_pb.js";
import { LIMITS } from "../../protocol/limits.ts";
import { Recent, type Remembered } from "./recent.ts";
import type { LogEntry, Store } from "./store.ts";

/** How far one sender's ids have come, in hex. Both only grow. */
export interface Marks {
	last: string;
	/** An id at or below this that is not in the log may have been there: its row has gone. */
	forgotten: string;
}

/** What is known of an id. */
export type Known = { is: "new" | "forgotten" | "costly" } | { is: "repeated" | "conflict"; entry: Remembered };

/**
 * Counts reading the whole log as so many frames of who makes it necessary; false where that is too much (REFUSED-2).
 */
export interface Charge {
	charge(frames: number): boolean;
}

/** Rows that are read as fast as a frame is answered. */
const ROWS_PER_FRAME = 64;
/** However long the log is, it is read for somebody sometimes. */
const SCAN_FRAMES_MAX = LIMITS.frame_burst / 2;

/** The ids of the last entries in memory, older ones by reading the log. */
export class Once {
	readonly marks: Map<string, Marks>;
	readonly #store: Store;
	#recent: Recent | undefined;

	constructor(store: Store, marks: Map<string, Marks>) {
		this.#store = store;
		this.marks = marks;
	}

	/** Looks an id up. The whole log is read only for an id that its sender could have used before. */
	look(id: string, sender: string, checksum: number, head: number, pace: Charge): Known {
		const marks = this.marks.get(sender);
		let entry: Remembered | undefined = this.#load(head).find(id);
		if (entry === undefined && marks !== undefined && id <= marks.last) {
			const found = this.find(id, head, pace);
			if (found === "costly") return { is: "costly" };
			entry = found;
		}
		if (entry !== undefined) {
			const same = entry.sender === sender && entry.checksum === checksum;
			return { is: same ? "repeated" : "conflict", entry };
		}
		return marks !== undefined && id <= marks.forgotten ? { is: "forgotten" } : { is: "new" };
	}

	/** The entry of an id, whoever sent it. */
	find(id: string, head: number, pace: Charge): Remembered | "costly" | undefined {
		const recent = this.#load(head).find(id);
		// A young log is in memory as a whole.
		if (recent !== undefined || head <= LIMITS.remembered_entries) return recent;
		const rows = head - (this.#store.entries(0, 1)[0]?.number ?? head);
		if (!pace.charge(Math.min(SCAN_FRAMES_MAX, Math.ceil(rows / ROWS_PER_FRAME)))) return "costly";
		return this.#store.find(id);
	}

	/** An entry has been appended, whose id was looked up. */
	appended(entry: LogEntry): void {
		this.sent(entry.messageId, entry.sender);
		this.#recent?.add(entry);
	}

	/** Who sent the entry of a number, if it is one of the last and they are in memory. */
	senderOf(number: number): string | undefined {
		return this.#recent?.senderOf(number);
	}

	/** The sender has used the id. */
	sent(id: string, sender: string): void {
		const marks = this.#marksOf(sender);
		if (id > marks.last) marks.last = id;
	}

	/** The rows of these ids, of this one and lower ones, are about to go. Has to be on disk before they do. */
	forget({ sender, messageId }: Pick<Remembered, "sender" | "messageId">): void {
		const marks = this.#marksOf(sender);
		if (messageId > marks.forgotten) marks.forgotten = messageId;
	}

	/**
	 * Forgets senders that are gone, the first to come first, but for as many as entries are remembered: one that comes
	 * back with the same registration may repeat what it sent before.
	 */
	prune(isHere: (sender: string) => boolean): void {
		const gone = [...this.marks.keys()].filter((sender) => !isHere(sender));
		for (const sender of gone.slice(0, Math.max(0, gone.length - LIMITS.remembered_entries))) this.marks.delete(sender);
	}

	#marksOf(sender: string): Marks {
		let marks = this.marks.get(sender);
		if (marks === undefined) {
			marks = { last: "", forgotten: "" };
			this.marks.set(sender, marks);
		}
		return marks;
	}

	#load(head: number): Recent {
		this.#recent ??= new Recent(this.#store.entries(head - LIMITS.remembered_entries, LIMITS.remembered_entries));
		return this.#recent;
	}
}

/**
 * A number that stands for a message's content: its length and CRC-32, below 2^53. Not cryptography: only the device
 * that chose the id is compared with itself, and one that wanted to deceive itself could. A hash would cost a sixth of
 * a message.
 */
export function checksumOf(send: Send): number {
	let crc = 0;
	let bytes = 0;
	for (const { to, kind, ciphertext } of send.envelopes) {
		if (to === undefined) continue;
		// Seeds of CRC-32 are any 32 bits: what is small goes in there.
		crc = crc32(ciphertext, (crc ^ fold(to.account) ^ (to.device | (kind << 8) | (to.registrationId << 16))) >>> 0);
		bytes += ciphertext.length;
	}
	if (send.shared.length > 0) crc = crc32(send.shared, crc);
	if (send.change !== undefined) crc = crc32(toBinary(GroupChangeSchema, send.change), crc);
	return (bytes + send.shared.length) * 2 ** 32 + crc;
}

/** 32 bits of an account id, which is random. */
function fold(account: Uint8Array): number {
	let bits = 0;
	for (let index = 0; index < account.length; index++) bits ^= (account[index] ?? 0) << ((index & 3) * 8);
	return bits;
}
