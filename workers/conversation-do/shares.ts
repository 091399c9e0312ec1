/** How much of a group's room one member may fill, and what makes room in a full one (rules KEPT-3 and KEPT-5). */
import { LIMITS } from "../../protocol/limits.ts";
import type { Log } from "./log.ts";
import type { Persisted } from "./state.ts";
import type { Store } from "./store.ts";

/** Counting reads every row that waits, and what is counted only falls by others' reading: not more often than this. */
const COUNTED_FOR_MS = 60_000;
const FULL_MS = LIMITS.unread_full_hours * 60 * 60 * 1_000;

export class Shares {
	readonly #store: Store;
	readonly #state: Persisted;
	readonly #log: Log;
	/** Bytes by account, from above; undefined while it is far from mattering. */
	#bytes: Map<string, number> | undefined;
	#counted_ms = 0;
	#made_ms = Number.NEGATIVE_INFINITY;

	constructor(store: Store, state: Persisted, log: Log) {
		this.#store = store;
		this.#state = state;
		this.#log = log;
	}

	/** The limit that stands against so many bytes more of an account, if one does. Makes room where it may. */
	against(account: string, bytes: number, now_ms: number): number | undefined {
		if (this.#state.group !== undefined && this.#isOver(account, bytes, now_ms)) return LIMITS.unread_member_bytes;
		if (this.#log.waiting + bytes <= LIMITS.unread_bytes) return undefined;
		if (this.#state.group !== undefined && now_ms - this.#made_ms >= COUNTED_FOR_MS) {
			this.#made_ms = now_ms;
			this.#log.makeRoom(now_ms - FULL_MS);
		}
		return this.#log.waiting + bytes <= LIMITS.unread_bytes ? undefined : LIMITS.unread_bytes;
	}

	/** Counts what the account adds. */
	#isOver(account: string, bytes: number, now_ms: number): boolean {
		if (this.#log.waiting + bytes <= LIMITS.unread_member_bytes) {
			this.#bytes = undefined;
			return false;
		}
		const over = (of: Map<string, number>) => (of.get(account) ?? 0) + bytes > LIMITS.unread_member_bytes;
		let known = this.#bytes ?? this.#count(now_ms);
		if (over(known) && now_ms - this.#counted_ms >= COUNTED_FOR_MS) known = this.#count(now_ms);
		if (over(known)) return true;
		known.set(account, (known.get(account) ?? 0) + bytes);
		return false;
	}

	#count(now_ms: number): Map<string, number> {
		const counted = new Map<string, number>();
		for (const [sender, bytes] of this.#store.waitingBySender(this.#state.wiped, now_ms - FULL_MS)) {
			const account = sender.slice(0, sender.indexOf("/"));
			counted.set(account, (counted.get(account) ?? 0) + bytes);
		}
		this.#counted_ms = now_ms;
		this.#bytes = counted;
		return counted;
	}
}
