/** How long to wait before the next attempt. */

const FIRST_MS = 200;
const LONGEST_MS = 30_000;

/**
 * How long to wait before the next attempt: exponential with full jitter, so that a thousand clients which lost the
 * same server do not come back in the same instant.
 */
export class Backoff {
	readonly #random: () => number;
	#attempts = 0;

	constructor(random: () => number) {
		this.#random = random;
	}

	/** Failed attempts since the last success. */
	get attempts(): number {
		return this.#attempts;
	}

	/** Counts a failed attempt and says how long to wait. */
	nextDelayMs(): number {
		const ceiling = Math.min(LONGEST_MS, FIRST_MS * 2 ** Math.min(this.#attempts, 16));
		this.#attempts++;
		return Math.floor(this.#random() * ceiling);
	}

	succeeded(): void {
		this.#attempts = 0;
	}
}
