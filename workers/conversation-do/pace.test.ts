import { expect, test } from "vitest";
import { LIMITS } from "../../protocol/limits.ts";
import { Pace, RATE } from "./pace.ts";

const NOW_MS = 1_000_000;

/** A pace whose burst is used up at `NOW_MS`. */
function spent(): Pace {
	const pace = new Pace(RATE, NOW_MS);
	for (let frame = 0; frame < LIMITS.frame_burst; frame++) expect(pace.frame(NOW_MS)).toBe("pass");
	return pace;
}

test("REFUSED-2 a frame passes for exactly what the rate has earned, and a clock that goes back takes nothing away", () => {
	const pace = spent();
	expect(pace.frame(NOW_MS)).toBe("refuse");
	const frame_ms = 1_000 / LIMITS.frames_per_second;
	for (const at_ms of [frame_ms / 2, frame_ms / 2]) expect(pace.frame(NOW_MS + at_ms)).toBe("drop");
	expect(pace.frame(NOW_MS + frame_ms)).toBe("pass");
	expect(pace.frame(NOW_MS + frame_ms + 1_000)).toBe("pass");
	expect(pace.frame(NOW_MS)).toBe("pass");
});

test("REFUSED-2 a socket is refused once in 100 ms, and closed at the thousandth frame beyond the rate", () => {
	const pace = new Pace({ frames_per_second: 0, frame_burst: 0 }, NOW_MS);
	expect(pace.frame(NOW_MS)).toBe("refuse");
	expect(pace.frame(NOW_MS + 99)).toBe("drop");
	expect(pace.frame(NOW_MS + 100)).toBe("refuse");
	for (let beyond = 4; beyond < LIMITS.refused_frames; beyond++) expect(pace.frame(NOW_MS + 100)).toBe("drop");
	expect(pace.frame(NOW_MS + 100)).toBe("close");
});

test("REFUSED-2 however long a socket was silent, no more than the burst passes at once", () => {
	const pace = spent();
	for (let frame = 0; frame < LIMITS.frame_burst; frame++) expect(pace.frame(NOW_MS + 3_600_000)).toBe("pass");
	expect(pace.frame(NOW_MS + 3_600_000)).toBe("refuse");
});

test("REFUSED-2 what costs many frames takes all of them or none", () => {
	const pace = new Pace(RATE, NOW_MS);
	expect(pace.charge(LIMITS.frame_burst + 1)).toBe(false);
	expect(pace.charge(LIMITS.frame_burst)).toBe(true);
	expect(pace.charge(1)).toBe(false);
	expect(pace.frame(NOW_MS)).toBe("refuse");
});
