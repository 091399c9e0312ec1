/** The last entries by their message ids: as many as are remembered (rule ONCE-1). */
import { hexDigit } from "../../protocol/ids.ts";
import { LIMITS } from "../../protocol/limits.ts";
import type { LogEntry } from "./store.ts";

const PLACES_MAX = LIMITS.remembered_entries;
const PLACES_LEAST = 64;
/** Ids are random in their last digits: three of them, a number below this, decide over the chain. */
const CHAINS = 16 ** 3;
const NONE = -1;

/** What is known of an entry without its row. */
export type Remembered = Omit<LogEntry, "wiped">;

/** The places of a ring, one for each entry by its number. */
class Places {
	readonly count: number;
	/** 0 where a place is empty. */
	readonly numbers: Uint32Array;
	/** Four words each. */
	readonly ids: Uint32Array;
	readonly times: Float64Array;
	readonly checksums: Float64Array;
	readonly senders: string[] = [];
	/** The place of the next older entry whose id ends alike. */
	readonly older: Int16Array;

	constructor(count: number) {
		this.count = count;
		this.numbers = new Uint32Array(count);
		this.ids = new Uint32Array(count * 4);
		this.times = new Float64Array(count);
		this.checksums = new Float64Array(count);
		this.older = new Int16Array(count).fill(NONE);
	}
}

/**
 * A ring, and over it chains of the entries whose ids end alike. A `Map` by id would do, but V8 makes each string that is a
 * key unique in a table of the whole isolate, which costs a message more than everything here. Entries are columns of
 * numbers and no objects: a thousand objects that live for a thousand messages are moved twice by the garbage collector.
 */
export class Recent {
	#places: Places = new Places(PLACES_LEAST);
	/** The newest place of each chain. */
	readonly #newest: Int16Array = new Int16Array(CHAINS).fill(NONE);
	/** Numbers of the oldest entry that has a place and of the newest; 0 before the first. */
	#from = 0;
	#last = 0;

	/** From the oldest to the newest; of more than are remembered the oldest are forgotten. */
	constructor(entries: readonly Remembered[]) {
		for (const entry of entries) this.add(entry);
	}

	/** Of the last entries, as many as are remembered, the one with this id. */
	find(id: string): Remembered | undefined {
		const { numbers, older } = this.#places;
		for (let place = this.#newest[chainOf(id)] ?? NONE; place !== NONE; place = older[place] ?? NONE) {
			if (this.#idAt(place) === id) return this.#at(numbers[place] ?? 0);
		}
		return undefined;
	}

	/** The entry of this number, if it has a place. */
	#at(number: number): Remembered | undefined {
		const place = this.#placeOf(number);
		if (place === NONE) return undefined;
		const { times, checksums, senders } = this.#places;
		const [time_ms, checksum, sender] = [times[place], checksums[place], senders[place]];
		if (time_ms === undefined || checksum === undefined || sender === undefined) return undefined;
		return { number, time_ms, messageId: this.#idAt(place), sender, checksum };
	}

	/** Who sent the entry of this number, if it has a place. */
	senderOf(number: number): string | undefined {
		const place = this.#placeOf(number);
		return place === NONE ? undefined : this.#places.senders[place];
	}

	/** A newer entry than all others. */
	add(entry: Remembered): void {
		const { number } = entry;
		if (this.#last === 0) this.#from = number;
		this.#last = number;
		for (; this.#from <= number - PLACES_MAX; this.#from++) this.#unchain(this.#from);
		while (number - this.#from >= this.#places.count) this.#grow();
		this.#put(entry);
	}

	#put({ number, time_ms, messageId, sender, checksum }: Remembered): void {
		const { count, numbers, ids, times, checksums, senders, older } = this.#places;
		const place = number % count;
		numbers[place] = number;
		for (let word = 0; word < 4; word++) ids[place * 4 + word] = wordOf(messageId, word * 8);
		times[place] = time_ms;
		checksums[place] = checksum;
		senders[place] = sender;
		const chain = chainOf(messageId);
		older[place] = this.#newest[chain] ?? NONE;
		this.#newest[chain] = place;
	}

	/** A conversation that is young needs little memory. */
	#grow(): void {
		const entries: Remembered[] = [];
		for (let number = this.#from; number < this.#last; number++) {
			const entry = this.#at(number);
			if (entry !== undefined) entries.push(entry);
		}
		this.#places = new Places(Math.min(PLACES_MAX, this.#places.count * 2));
		this.#newest.fill(NONE);
		for (const entry of entries) this.#put(entry);
	}

	/** The oldest entry of all is the last of its chain. */
	#unchain(number: number): void {
		const gone = this.#placeOf(number);
		if (gone === NONE) return;
		const { ids, older } = this.#places;
		const chain = (ids[gone * 4 + 3] ?? 0) % CHAINS;
		let newer = NONE;
		for (let each = this.#newest[chain] ?? NONE; each !== gone && each !== NONE; each = older[each] ?? NONE) {
			newer = each;
		}
		if (newer === NONE) this.#newest[chain] = NONE;
		else older[newer] = NONE;
	}

	#placeOf(number: number): number {
		const { count, numbers } = this.#places;
		const place = number % count;
		return number > 0 && numbers[place] === number ? place : NONE;
	}

	#idAt(place: number): string {
		let id = "";
		for (let word = 0; word < 4; word++) id += (this.#places.ids[place * 4 + word] ?? 0).toString(16).padStart(8, "0");
		return id;
	}
}

function chainOf(id: string): number {
	return wordOf(id, id.length - 8) % CHAINS;
}

/** Eight hexadecimal digits as a number. */
function wordOf(id: string, from: number): number {
	let word = 0;
	for (let index = from; index < from + 8; index++) word = (word << 4) | hexDigit(id.charCodeAt(index));
	return word >>> 0;
}
