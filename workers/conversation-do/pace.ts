/** How fast one socket may send, and when its peer counts as hostile (rule REFUSED-2). Pure: it is handed the time. */
import { LIMITS } from "../../protocol/limits.ts";

/** The rate; benchmarks raise it. */
export interface Rate {
	frames_per_second: number;
	frame_burst: number;
}

/** The rate that is deployed. */
export const RATE: Rate = { frames_per_second: LIMITS.frames_per_second, frame_burst: LIMITS.frame_burst };

/** What to do with a frame: "drop" is a refusal that is left out, so that refusals are no amplifier. */
export type Verdict = "pass" | "refuse" | "drop" | "close";

const REFUSAL_PAUSE_MS = 100;

/** When a refused socket should try again, in milliseconds: by then half a second's frames may pass. */
export const RETRY_AFTER_MS = 500;

/**
 * One socket's account, in memory only: an object hibernates after ten idle seconds at the earliest, in which the
 * tokens would have filled up anyway.
 */
export class Pace {
	readonly #rate: Rate;
	#tokens: number;
	#at_ms: number;
	#malformed = 0;
	#beyond = 0;
	#refused_at_ms = Number.NEGATIVE_INFINITY;

	constructor(rate: Rate, now_ms: number) {
		this.#rate = rate;
		this.#tokens = rate.frame_burst;
		this.#at_ms = now_ms;
	}

	/** Counts a frame. */
	frame(now_ms: number): Verdict {
		const earned = (Math.max(0, now_ms - this.#at_ms) * this.#rate.frames_per_second) / 1_000;
		this.#tokens = Math.min(this.#rate.frame_burst, this.#tokens + earned);
		this.#at_ms = now_ms;
		if (this.#tokens >= 1) {
			this.#tokens -= 1;
			return "pass";
		}
		this.#beyond += 1;
		if (this.#beyond >= LIMITS.refused_frames) return "close";
		if (now_ms - this.#refused_at_ms < REFUSAL_PAUSE_MS) return "drop";
		this.#refused_at_ms = now_ms;
		return "refuse";
	}

	/** Counts a frame as many more, if there is room for them; says whether there was. */
	charge(frames: number): boolean {
		if (this.#tokens < frames) return false;
		this.#tokens -= frames;
		return true;
	}

	/** Counts a malformed frame; says whether the peer is hostile by now. */
	malformed(): boolean {
		this.#malformed += 1;
		return this.#malformed >= LIMITS.malformed_frames;
	}
}
