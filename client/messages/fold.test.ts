/** Who may do what with a message, by the fold alone, as if everything that anybody sent had come to it. */
import { expect, test } from "vitest";
import type { Action } from "./accepted.ts";
import { type Done, fold, type Original } from "./fold.ts";

const [AUTHOR, OTHER] = ["0a000000-0000-4000-8000-00000000000a", "0b000000-0000-4000-8000-00000000000b"];
const message = { author: AUTHOR, id: "019ab3c4-5d6e-7f80-9123-000000000000" };
const START_MS = Date.UTC(2026, 10, 1);
const HOUR_MS = 60 * 60 * 1_000;
const poll = { question: "When?", options: ["now", "later"], multiple: false };

const original: Original = { author: AUTHOR, timeMs: START_MS, body: "one", ranges: [], poll: undefined };
const nobody = () => false;
const anybody = () => true;

function done(number: number | undefined, actor: string, action: Action, timeMs = START_MS + (number ?? 0)): Done {
	return { id: `019ab3c4-5d6e-7f80-9123-${String(number ?? 999).padStart(12, "0")}`, actor, number, timeMs, action };
}

const edit = { kind: "edit" as const, message, body: "two", ranges: [] };
const remove = { kind: "delete" as const, message };

test("EDIT-1 EDIT-2 an edit is the author's, and 24 hours after the message to the millisecond its last", () => {
	const texts = (...all: Done[]) => fold(original, all, anybody).versions.map(({ body }) => body);
	expect(texts(done(1, OTHER, edit))).toEqual(["one"]);
	expect(texts(done(1, AUTHOR, edit, START_MS + 24 * HOUR_MS))).toEqual(["one", "two"]);
	expect(texts(done(1, AUTHOR, edit, START_MS + 24 * HOUR_MS + 1))).toEqual(["one"]);
});

test("DELETE-2 DELETE-4 a deletion is the author's, or an admin's that has its place in the log, for 24 hours", () => {
	const by = (one: Done, mayDelete: () => boolean) => fold(original, [one], mayDelete).deletedBy;
	expect(by(done(1, OTHER, remove), nobody)).toBe(undefined);
	expect(by(done(1, OTHER, remove), anybody)).toBe(OTHER);
	expect(by(done(undefined, OTHER, remove), anybody)).toBe(undefined);
	expect(by(done(undefined, AUTHOR, remove), nobody)).toBe(AUTHOR);
	expect(by(done(1, AUTHOR, remove, START_MS + 24 * HOUR_MS), nobody)).toBe(AUTHOR);
	expect(by(done(1, AUTHOR, remove, START_MS + 24 * HOUR_MS + 1), nobody)).toBe(undefined);
});

test("POLL-2 POLL-3 votes are of a poll, and its author alone ends it", () => {
	const vote = done(1, OTHER, { kind: "vote", message, options: [1] });
	const close = { kind: "close" as const, message };
	expect(fold(original, [vote, done(2, AUTHOR, close)], anybody)).toMatchObject({ votes: [], closed: false });
	const asked = { ...original, poll };
	expect(fold(asked, [done(1, OTHER, close), { ...vote, number: 2 }], anybody)).toMatchObject({
		votes: [{ account: OTHER, options: [1] }],
		closed: false,
	});
	expect(fold(asked, [done(1, AUTHOR, close), { ...vote, number: 2 }], anybody)).toMatchObject({
		votes: [],
		closed: true,
	});
	expect(fold(asked, [done(1, AUTHOR, edit)], anybody).versions).toHaveLength(1);
});
