/** Seeded randomness: the same seed gives the same world, event by event. */

/** sfc32, a small fast generator with 128 bits of state; good enough for a simulation and for nothing secret. */
export class Random {
	#a: number;
	#b: number;
	#c: number;
	#counter = 1;

	constructor(seed: number) {
		this.#a = seed | 0;
		this.#b = Math.floor(seed / 0x1_0000_0000) | 0;
		this.#c = 0x9e3779b9;
		// The first outputs of neighbouring seeds resemble each other.
		for (let round = 0; round < 12; round++) this.#next();
	}

	#next(): number {
		const sum = (((this.#a + this.#b) | 0) + this.#counter) | 0;
		this.#counter = (this.#counter + 1) | 0;
		this.#a = this.#b ^ (this.#b >>> 9);
		this.#b = (this.#c + (this.#c << 3)) | 0;
		this.#c = (this.#c << 21) | (this.#c >>> 11);
		this.#c = (this.#c + sum) | 0;
		return sum >>> 0;
	}

	/** 0 to below 1. */
	fraction(): number {
		return this.#next() / 0x1_0000_0000;
	}

	/** A whole number from `low` to `high`, both included. */
	between(low: number, high: number): number {
		return low + Math.floor(this.fraction() * (high - low + 1));
	}

	/** True with this probability. */
	chance(probability: number): boolean {
		return this.fraction() < probability;
	}

	bytes(count: number): Uint8Array<ArrayBuffer> {
		const bytes = new Uint8Array(count);
		for (let index = 0; index < count; index++) bytes[index] = this.#next() & 0xff;
		return bytes;
	}

	/** A generator of its own, so that one part's draws don't shift another's. */
	fork(): Random {
		return new Random(this.#next() + this.#next() * 0x1_0000_0000);
	}
}
