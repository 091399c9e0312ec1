/** One session for each socket: what is on the way to a device is bounded (rule DELIVERED-3). */
import type { Missed } from "../../protocol/gen/conversation_down_pb.js";
import { uuidToBytes } from "../../protocol/ids.ts";
import { LIMITS } from "../../protocol/limits.ts";
import { Pace, type Rate } from "./pace.ts";
import { senderKey } from "./roster.ts";

/** What survives hibernation, in the socket's attachment (rule IDLE-1). */
export interface SocketState {
	/** Names the socket within its object. */
	id: number;
	account: string;
	device: number;
	registrationId: number;
	/** It has said hello. */
	greeted: boolean;
	/** The socket was closed by us and waits for its end to agree. */
	closed: boolean;
	/** The entry up to which the device has acknowledged. */
	cursor: number;
	/** How far its user has read; 0 where that is private. */
	read: number;
	/** What it acknowledges is not told to others yet (rule REQUEST-2). */
	quiet?: boolean;
	/** Its user is there, as it says (rule PRESENCE-1). */
	online?: boolean;
	/** When its user was last seen is not to be noted. */
	fleeting?: boolean;
	/** Everything in the log is on the way; new entries go out as they come. */
	caughtUp: boolean;
}

/** Bytes that are on the way to all sockets of a conversation: a thousand that come back at once share the memory. */
interface Way {
	bytes: number;
}

/** A socket that is open. */
export class Session {
	way: Way = { bytes: 0 };
	state: SocketState;
	readonly key: string;
	readonly accountBytes: Uint8Array;
	/** The last Missed frame, which may still grow. */
	missed: { value: Missed; effect: { bytes: Uint8Array } } | undefined;
	readonly pace: Pace;
	/** The last entry that was sent or needed no sending. */
	position: number;
	/** The last entry beside which it was told how far the sender is (rule DELIVERED-4). */
	beside = 0;
	/** Which of the device's watermarks the others have had since the last `settled`. */
	pushed: "nothing" | "the newest" | "an older one" = "nothing";
	/** The attachment is as the state is. */
	attached = true;
	#entries = 0;
	#bytes = 0;
	/** Number and bytes of each entry on the way, in turn: two numbers cost less than an object. */
	#way: number[] = [];
	#first = 0;

	constructor(state: SocketState, rate: Rate, head: number, now_ms: number) {
		this.state = state;
		this.key = senderKey(state.account, state.device, state.registrationId);
		this.accountBytes = uuidToBytes(state.account);
		this.pace = new Pace(rate, now_ms);
		// After hibernation: what was on the way arrives still; where it was not all, it is sent again from the cursor.
		this.position = state.caughtUp ? head : state.cursor;
	}

	/** Whether one more entry may be on the way. Where it may not, there is one whose arrival is to be acknowledged. */
	hasRoom(): boolean {
		if (this.#entries >= LIMITS.window_entries || this.#bytes >= LIMITS.window_bytes) return false;
		return this.#bytes < LIMITS.window_bytes_least || this.way.bytes < LIMITS.windows_bytes;
	}

	/** Bytes that are on the way to it. */
	get onTheWay(): number {
		return this.#bytes;
	}

	/** An entry was sent. */
	sent(number: number, bytes: number): void {
		this.#way.push(number, bytes);
		this.#entries += 1;
		this.#bytes += bytes;
		this.way.bytes += bytes;
	}

	/** Everything up to the cursor has arrived. */
	arrived(cursor: number): void {
		for (;;) {
			const first = this.#way[this.#first];
			if (first === undefined || first > cursor) break;
			this.#entries -= 1;
			const bytes = this.#way[this.#first + 1] ?? 0;
			this.#bytes -= bytes;
			this.way.bytes -= bytes;
			this.#first += 2;
		}
		if (this.#first < 128) return;
		this.#way = this.#way.slice(this.#first);
		this.#first = 0;
	}

	/** Begins again at a cursor. */
	restart(cursor: number): void {
		this.position = cursor;
		this.#way = [];
		this.#first = 0;
		this.#entries = 0;
		this.way.bytes -= this.#bytes;
		this.#bytes = 0;
	}
}

/** The open sockets, by their ids and, once they have said hello, by device. */
export class Sessions {
	readonly #all: Map<number, Session> = new Map();
	readonly #connected: Map<string, Session> = new Map();
	readonly #way: Way = { bytes: 0 };

	[Symbol.iterator](): IterableIterator<Session> {
		return this.#all.values();
	}

	get empty(): boolean {
		return this.#all.size === 0;
	}

	get(id: number): Session | undefined {
		return this.#all.get(id);
	}

	add(session: Session): void {
		session.way = this.#way;
		this.#all.set(session.state.id, session);
		if (session.state.greeted) this.greeted(session);
	}

	/** The session has said hello: entries go there now. */
	greeted(session: Session): void {
		this.#connected.set(session.key, session);
	}

	delete(session: Session): void {
		if (this.#all.delete(session.state.id)) this.#way.bytes -= session.onTheWay;
		if (this.#connected.get(session.key) === session) this.#connected.delete(session.key);
	}

	/** Whether the device of this key has a socket that has said hello. */
	isConnected(key: string): boolean {
		return this.#connected.has(key);
	}
}
