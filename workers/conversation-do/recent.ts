/** The last entries by their message ids: as many as are remembered (rule ONCE-1). */
import { hexDigit } from "../../protocol/ids.ts";
import { LIMITS } from "../../protocol/limits.ts";
import type { LogEntry } from "./store.ts";

const PLACES = LIMITS.remembered_entries;
/** Ids are random in their last digits: three of them, a number below this, decide over the chain. */
const CHAINS = 16 ** 3;
const NONE = -1;

/**
 * A ring, and over it chains of the entries whose ids end alike. A `Map` by id would do, but V8 makes each string that
 * is a key unique in a table of the whole isolate, which costs a message more than everything here.
 */
export class Recent {
	readonly #ring: LogEntry[] = [];
	/** The place that the next entry takes, the oldest one's once the ring is full. */
	#next = 0;
	/** The newest place of each chain, and for each place the next older one of its chain. */
	readonly #newest: Int16Array = new Int16Array(CHAINS).fill(NONE);
	readonly #older: Int16Array = new Int16Array(PLACES).fill(NONE);

	/** From the oldest to the newest; of more than are remembered the oldest are forgotten. */
	constructor(entries: readonly LogEntry[]) {
		for (const entry of entries) this.add(entry);
	}

	find(id: string): LogEntry | undefined {
		for (let place = this.#newest[chainOf(id)] ?? NONE; place !== NONE; place = this.#older[place] ?? NONE) {
			const entry = this.#ring[place];
			if (entry?.messageId === id) return entry;
		}
		return undefined;
	}

	/** The entry of this number. Numbers follow each other without gaps. */
	at(number: number): LogEntry | undefined {
		const newest = this.#ring[(this.#next + PLACES - 1) % PLACES];
		if (newest === undefined) return undefined;
		const entry = this.#ring[(this.#next + PLACES - 1 - (newest.number - number)) % PLACES];
		return entry?.number === number ? entry : undefined;
	}

	/** Returns the one whose place it takes. */
	add(entry: LogEntry): LogEntry | undefined {
		const place = this.#next;
		this.#next = (place + 1) % PLACES;
		const gone = this.#ring[place];
		if (gone !== undefined) this.#unchain(place, chainOf(gone.messageId));
		this.#ring[place] = entry;
		const chain = chainOf(entry.messageId);
		this.#older[place] = this.#newest[chain] ?? NONE;
		this.#newest[chain] = place;
		return gone;
	}

	/** The oldest entry of all is the last of its chain. */
	#unchain(place: number, chain: number): void {
		let newer = NONE;
		for (let each = this.#newest[chain] ?? NONE; each !== place && each !== NONE; each = this.#older[each] ?? NONE) {
			newer = each;
		}
		if (newer === NONE) this.#newest[chain] = NONE;
		else this.#older[newer] = NONE;
	}
}

function chainOf(id: string): number {
	const last = id.length - 1;
	return (at(id, last - 2) << 8) | (at(id, last - 1) << 4) | at(id, last);
}

function at(id: string, index: number): number {
	return hexDigit(id.charCodeAt(index));
}
