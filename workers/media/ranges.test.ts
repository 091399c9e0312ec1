import { expect, test } from "vitest";
import { cover, namesTag, readRange } from "./ranges.ts";

test("BLOB-2 ranges of RFC 9110 are read, others ignored", () => {
	expect(readRange("bytes=0-0")).toEqual({ offset: 0, length: 1 });
	expect(readRange("BYTES= 5- ")).toEqual({ offset: 5 });
	expect(readRange("bytes=-3")).toEqual({ suffix: 3 });
	expect(readRange("bytes=-0")).toBe("unsatisfiable");
	for (const none of [
		null,
		"",
		"bytes",
		"bytes=",
		"bytes=1-2,4-5",
		"bytes=3-2",
		"bytes=1-2x",
		`bytes=${"9".repeat(20)}-`,
	]) {
		expect(readRange(none), String(none)).toBe(undefined);
	}
});

test("BLOB-2 a range covers what there is of it", () => {
	expect(cover({ offset: 5, length: 10 }, 8)).toEqual({ offset: 5, length: 3 });
	expect(cover({ offset: 5 }, 8)).toEqual({ offset: 5, length: 3 });
	expect(cover({ suffix: 10 }, 8)).toEqual({ offset: 0, length: 8 });
	expect(cover({ offset: 8 }, 8)).toBe(undefined);
});

test("BLOB-2 tags match as RFC 9110 has it: weakly for If-None-Match only", () => {
	expect(namesTag('"a", "b"', '"b"', false)).toBe(true);
	expect(namesTag("*", '"b"', false)).toBe(true);
	expect(namesTag('W/"b"', '"b"', true)).toBe(true);
	expect(namesTag('W/"b"', '"b"', false)).toBe(false);
	expect(namesTag('"a"', '"b"', true)).toBe(false);
});
