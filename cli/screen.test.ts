import { expect, test } from "vitest";
import { rowsOf } from "./screen.ts";

test.each([
	["", 10, 1],
	["a".repeat(10), 10, 1],
	["a".repeat(11), 10, 2],
	["one\ntwo", 10, 2],
	// Colours take no room.
	["\u001b[31mred\u001b[39m", 3, 1],
	["日本語日本", 10, 1],
	["日本語日本語", 10, 2],
	// The fifth wide letter would need a column more than the row has left.
	["日本語日本", 9, 2],
	["👩‍👩‍👧‍👦", 2, 1],
])("%j takes, on %i columns, %i rows", (text, columns, rows) => {
	expect(rowsOf(text, columns)).toBe(rows);
});
