/** Contents that mean harm: each is dropped or cut off, the same at every reader, and the conversation goes on. */
import { create, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { afterEach, beforeEach, expect, test } from "vitest";
import { ContentSchema } from "../../protocol/gen/content_pb.js";
import { Style } from "../../protocol/gen/message_pb.js";
import { uuidToBytes } from "../../protocol/ids.ts";
import { LIMITS } from "../../protocol/limits.ts";
import { ALICE, BOB, TestWorld } from "../machine/testing.ts";
import { enqueue } from "../store/outbox.ts";
import { history } from "../store/queries.ts";
import { timerOf } from "../store/standings.ts";
import { isEmoji } from "./accepted.ts";
import { linksOf, parseMarks } from "./ranges.ts";
import { messageView } from "./view.ts";

let world: TestWorld;
let hello: string;
beforeEach(async () => {
	world = new TestWorld();
	world.connect(world.alice);
	world.connect(world.bob);
	hello = world.text(world.alice, "hello");
	await world.settle();
	world.text(world.bob, "hi");
	await world.settle();
});
afterEach(() => world.close());

/** Bob's client is not ours: it sends Alice whatever it likes. */
async function send(content: MessageInitShape<typeof ContentSchema>): Promise<string> {
	const id = world.bob.machine.newMessageId();
	const bytes = toBinary(ContentSchema, create(ContentSchema, { ...content, messageId: uuidToBytes(id) }));
	enqueue(world.bob.store, id, ALICE, bytes, null);
	world.connect(world.bob);
	await world.settle();
	return id;
}

const target = () => ({ author: uuidToBytes(ALICE), messageId: uuidToBytes(hello) });
const seen = () => messageView(world.alice.store, ALICE, hello);
const bodies = () => history(world.alice.store, BOB, 20).map(({ body }) => body);

test.each([
	["10 KB", "👍".repeat(2_560)],
	["two emoji", "👍🎉"],
	["a word", "great"],
	["a control character", "\u001b"],
	["a digit", "1"],
	["a letter under a heap of marks", `a${"\u0301".repeat(30)}`],
])("REACTION-2 a reaction that is no emoji is dropped: %s", async (_what, emoji) => {
	await send({ kind: { case: "reaction", value: { target: target(), emoji } } });
	expect(seen()?.reactions).toEqual([]);
});

test.each(["👍", "❤️", "👨‍👩‍👧‍👦", "🇩🇪", "1️⃣", "👋🏽"])("REACTION-2 %s is an emoji", (emoji) => {
	expect(isEmoji(emoji)).toBe(true);
});

test.each([
	["without a target", {}],
	["with ids of a wrong length", { target: { author: new Uint8Array(3), messageId: new Uint8Array(5) } }],
])("MESSAGE-5 an action %s is dropped", async (_what, value) => {
	await send({ kind: { case: "reaction", value: { ...value, emoji: "👍" } } });
	await send({ kind: { case: "deletion", value } });
	await send({ kind: { case: "vote", value: { options: [0] } } });
	await send({ kind: { case: "edit", value: { messageId: new Uint8Array(2), body: "x" } } });
	expect(bodies()).toEqual(["hello", "hi"]);
	expect(world.alice.store.all("SELECT * FROM actions")).toEqual([]);
});

test("EDIT-2 an edit that names somebody else's message id edits nothing", async () => {
	await send({ kind: { case: "edit", value: { messageId: uuidToBytes(hello), body: "forged" } } });
	expect(bodies()).toEqual(["hello", "hi"]);
});

test("EDIT-1 an edit beyond the limit of a text is dropped", async () => {
	const id = await send({ kind: { case: "text", value: { body: "short" } } });
	const body = "x".repeat(LIMITS.text_bytes + 1);
	await send({ kind: { case: "edit", value: { messageId: uuidToBytes(id), body } } });
	expect(bodies().at(-1)).toBe("short");
});

const options = (count: number) => Array.from({ length: count }, (_, index) => `option ${index}`);

test.each([
	["10,000 options", { question: "?", options: options(10_000) }],
	["one option", { question: "?", options: ["only"] }],
	["the same option twice", { question: "?", options: ["a", "a"] }],
	["an empty option", { question: "?", options: ["a", ""] }],
	["an option of 10 KB", { question: "?", options: ["a", "b".repeat(10_240)] }],
	["no question", { question: "", options: ["a", "b"] }],
	["a question of 10 KB", { question: "q".repeat(10_240), options: ["a", "b"] }],
])("POLL-1 a poll with %s leaves a placeholder", async (_what, value) => {
	await send({ kind: { case: "poll", value } });
	expect(history(world.alice.store, BOB, 20).at(-1)).toMatchObject({ body: undefined, status: "undecryptable" });
	await send({ kind: { case: "text", value: { body: "and on" } } });
	expect(bodies().at(-1)).toBe("and on");
});

test("POLL-2 a vote for 10,000 options is dropped", async () => {
	const poll = await send({ kind: { case: "poll", value: { question: "?", options: ["a", "b"], multiple: true } } });
	const name = { author: uuidToBytes(BOB), messageId: uuidToBytes(poll) };
	await send({
		kind: { case: "vote", value: { poll: name, options: Array.from({ length: 10_000 }, (_, index) => index) } },
	});
	expect(messageView(world.alice.store, BOB, poll)?.poll?.options.map(({ voters }) => voters)).toEqual([[], []]);
});

test("MESSAGE-3 ranges beyond the text are cut off, others are left out", async () => {
	const bold = { case: "style" as const, value: Style.BOLD };
	const ranges = [
		{ start: 2, length: 4_000_000_000, what: bold },
		{ start: 5, length: 1, what: bold },
		{ start: 4_000_000_000, length: 1, what: bold },
		{ start: 0, length: 0, what: bold },
		{ start: 0, length: 1, what: { case: "mention" as const, value: new Uint8Array(3) } },
		{ start: 0, length: 1 },
		// Between the two halves of the emoji.
		{ start: 0, length: 4, what: bold },
	];
	const id = await send({ kind: { case: "text", value: { body: "abc👍", ranges } } });
	expect(messageView(world.alice.store, BOB, id)?.ranges).toEqual([{ start: 2, length: 3, style: "bold" }]);
	const many = Array.from({ length: 2_000 }, () => ({ start: 0, length: 1, what: bold }));
	const other = await send({ kind: { case: "text", value: { body: "abc", ranges: many } } });
	expect(messageView(world.alice.store, BOB, other)?.ranges).toHaveLength(LIMITS.ranges_per_text);
});

test("MESSAGE-2 a message that says it was forwarded four billion times was forwarded 255 times", async () => {
	const id = await send({ forwards: 4_294_967_295, kind: { case: "text", value: { body: "psst" } } });
	expect(messageView(world.alice.store, BOB, id)?.forwards).toBe(255);
});

test("MESSAGE-5 times that no clock can show end no program that writes them as dates", async () => {
	for (const sentAtMs of [2n ** 64n - 1n, 2n ** 63n, 8_640_000_000_000_001n]) {
		await send({ sentAtMs, kind: { case: "text", value: { body: "when?" } } });
		const sentAt = history(world.alice.store, BOB, 20).at(-1)?.sentAtMs ?? Number.NaN;
		expect(new Date(sentAt).toISOString()).toBe("+275760-09-13T00:00:00.000Z");
	}
});

test("TIMER-1 a timer of a billion seconds is a year, and one of 0 none", async () => {
	await send({ kind: { case: "timer", value: { seconds: 1_000_000_000 } } });
	expect(timerOf(world.alice.store, BOB)).toBe(365 * 24 * 60 * 60);
	await send({ kind: { case: "timer", value: { seconds: 0 } } });
	expect(timerOf(world.alice.store, BOB)).toBe(0);
});

test("TIMER-2 a message that would stay for 30 years goes after one", async () => {
	const id = await send({ kind: { case: "text", value: { body: "x" } }, expireAfterSeconds: 1_000_000_000 });
	expect(messageView(world.alice.store, BOB, id)?.expireAfterSeconds).toBe(365 * 24 * 60 * 60);
});

test("MESSAGE-3 a link is what stands in the text, without the sentence's punctuation", () => {
	const body = "see https://example.org/a?b=1, or (http://x.test/y). javascript:alert(1) https://";
	expect(linksOf(body).map(({ url }) => url)).toEqual(["https://example.org/a?b=1", "http://x.test/y"]);
});

test("MESSAGE-3 marks of a writer become ranges, and stay where they mark nothing", () => {
	expect(parseMarks("*bold* _it_ `a*b` ~no~ ||psst||")).toEqual({
		body: "bold it a*b no psst",
		ranges: [
			{ start: 0, length: 4, style: "bold" },
			{ start: 5, length: 2, style: "italic" },
			{ start: 8, length: 3, style: "monospace" },
			{ start: 12, length: 2, style: "strikethrough" },
			{ start: 15, length: 4, style: "spoiler" },
		],
	});
	for (const plain of ["2 * 3 * 4", "snake_case_name", "a ~ b", "*", "**", "not *closed", "*a\nb*"]) {
		expect(parseMarks(plain)).toEqual({ body: plain, ranges: [] });
	}
});
