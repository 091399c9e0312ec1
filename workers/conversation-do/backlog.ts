/** How many bytes of ciphertext wait for devices (rule KEPT-3): a bound from above that costs a message one addition. */

/** Entries between two steps, at least. */
const STEP = 64;
/** How fine the bound is: an eighth of what waits. */
const PARTS = 8;
const STEPS_MAX = 2 * PARTS;

/** As it is kept. */
export interface BacklogJson {
	/** Bytes of all entries that ever were. */
	total: number;
	/** How many of them lay in the entries up to a number; the first is one that all devices have passed. */
	steps: [number: number, total: number][];
}

export class Backlog {
	readonly #json: BacklogJson;

	constructor(json: BacklogJson = { total: 0, steps: [[0, 0]] }) {
		this.#json = json;
	}

	get json(): BacklogJson {
		return this.#json;
	}

	/** No more than so many bytes wait. */
	get bytes(): number {
		return this.#json.total - (this.#json.steps[0]?.[1] ?? 0);
	}

	appended(number: number, bytes: number): void {
		const json = this.#json;
		json.total += bytes;
		const [first, last] = [json.steps[0]?.[0] ?? 0, json.steps.at(-1)?.[0] ?? 0];
		if (number - last < Math.max(STEP, (last - first) / PARTS)) return;
		json.steps.push([number, json.total]);
		if (json.steps.length > STEPS_MAX) json.steps = json.steps.filter((_, index) => index % 2 === 0);
	}

	/** Numbers up to which everything could go, the largest first, so that no more than so many bytes wait. */
	cuts(bytes_max: number): number[] {
		const { steps, total } = this.#json;
		const enough = steps.findIndex(([, upTo]) => total - upTo <= bytes_max);
		return steps
			.slice(1, enough === -1 ? undefined : enough + 1)
			.map(([number]) => number)
			.reverse();
	}

	/** All devices have passed the entries up to `floor`. */
	passed(floor: number, head: number): void {
		const json = this.#json;
		if (floor === head) this.counted(floor, 0);
		else while ((json.steps[1]?.[0] ?? Number.POSITIVE_INFINITY) <= floor) json.steps.shift();
	}

	/** So many bytes wait, exactly. */
	counted(floor: number, bytes: number): void {
		this.#json.steps = [[floor, this.#json.total - bytes]];
	}
}
