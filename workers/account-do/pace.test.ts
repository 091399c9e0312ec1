import { expect, test } from "vitest";
import { countFrame, freshPace } from "./pace.ts";

test("REFUSED-2 beyond the rate one refusal a second is sent, and the 1,000th such frame closes", () => {
	const pace = freshPace(5_000);
	for (let count = 0; count < 2_000; count++) expect(countFrame(pace, 5_000)).toBe("pass");
	expect(countFrame(pace, 5_000)).toBe("refuse");
	for (let count = 0; count < 998; count++) expect(countFrame(pace, 5_000)).toBe("drop");
	expect(countFrame(pace, 5_000)).toBe("close");
});

test("REFUSED-1 after a pause frames pass again, also when the clock goes back", () => {
	const pace = freshPace(5_000);
	for (let count = 0; count < 2_000; count++) countFrame(pace, 5_000);
	expect(countFrame(pace, 4_000)).toBe("refuse");
	expect(countFrame(pace, 4_002)).toBe("pass");
	expect(countFrame(pace, 4_002)).toBe("drop");
});

test("REFUSED-2 however long a socket was silent, no more than the burst passes at once", () => {
	const pace = freshPace(5_000);
	for (let count = 0; count < 2_000; count++) expect(countFrame(pace, 3_600_000)).toBe("pass");
	expect(countFrame(pace, 3_600_000)).toBe("refuse");
});

test("REFUSED-2 a refusal is left out for a second after the last one, and not a millisecond longer", () => {
	const pace = { ...freshPace(5_000), tokens: -10_000 };
	expect(countFrame(pace, 5_000)).toBe("refuse");
	expect(countFrame(pace, 5_999)).toBe("drop");
	expect(countFrame(pace, 6_000)).toBe("refuse");
});
