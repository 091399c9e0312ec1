/** How fast one socket may send, and when its peer counts as hostile (rule REFUSED-2). Pure: it is handed the time. */
import { LIMITS } from "../../protocol/limits.ts";

/** One socket's account. It lives in the socket's attachment and so survives hibernation. */
export interface Pace {
	tokens: number;
	/** When the tokens were last counted. */
	at_ms: number;
	malformed: number;
	/** Frames beyond the rate so far. */
	beyond: number;
	/** When a refusal for the rate was last sent. */
	refused_at_ms: number;
}

/** What to do with a frame: "drop" is a refusal that is left out, so that refusals are no amplifier. */
export type Verdict = "pass" | "refuse" | "drop" | "close";

const REFUSAL_PAUSE_MS = 1_000;

/** When a refused socket should try again, in milliseconds: by then half a second's frames may pass. */
export const RETRY_AFTER_MS = 500;

/** A new socket's. */
export function freshPace(now_ms: number): Pace {
	return { tokens: LIMITS.frame_burst, at_ms: now_ms, malformed: 0, beyond: 0, refused_at_ms: 0 };
}

/** Counts a frame. Changes `pace`. */
export function countFrame(pace: Pace, now_ms: number): Verdict {
	const earned = (Math.max(0, now_ms - pace.at_ms) * LIMITS.frames_per_second) / 1_000;
	pace.tokens = Math.min(LIMITS.frame_burst, pace.tokens + earned);
	pace.at_ms = now_ms;
	if (pace.tokens >= 1) {
		pace.tokens -= 1;
		return "pass";
	}
	pace.beyond += 1;
	if (pace.beyond >= LIMITS.refused_frames) return "close";
	if (now_ms - pace.refused_at_ms < REFUSAL_PAUSE_MS) return "drop";
	pace.refused_at_ms = now_ms;
	return "refuse";
}

/** Counts a malformed frame. Changes `pace`. */
export function countMalformed(pace: Pace): "refuse" | "close" {
	pace.malformed += 1;
	return pace.malformed >= LIMITS.malformed_frames ? "close" : "refuse";
}
