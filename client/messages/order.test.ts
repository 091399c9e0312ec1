/** What is done with a message comes in any order, and before the message itself: the result is the same. */
import { create, toBinary } from "@bufbuild/protobuf";
import { afterEach, beforeEach, expect, test } from "vitest";
import { type Content, ContentSchema } from "../../protocol/gen/content_pb.js";
import { uuidFromBytes, uuidToBytes } from "../../protocol/ids.ts";
import { LIMITS } from "../../protocol/limits.ts";
import { parseContent, plaintextOf } from "../machine/content.ts";
import { Context } from "../machine/context.ts";
import type { MachineEvent } from "../machine/interface.ts";
import { ALICE, BOB, TestWorld } from "../machine/testing.ts";
import { Cipher } from "../signal/cipher.ts";
import { requireAccount } from "../store/account.ts";
import { whatWaits } from "../store/details.ts";
import { addMessage, findMessage } from "../store/messages.ts";
import { bodyOf, onAction, settleMessage } from "./arriving.ts";
import { draftContent, wishContent } from "./contents.ts";
import { messageView } from "./view.ts";
import type { Draft, Wish } from "./wishes.ts";

const MESSAGE = "019ab3c4-5d6e-7f80-9123-000000000000";
const START_MS = Date.UTC(2026, 10, 1);

let world: TestWorld;
beforeEach(() => {
	world = new TestWorld();
});
afterEach(() => world.close());

/** One entry of the log, as the reader gets it. */
interface Entry {
	number: number;
	actor: string;
	content: Content;
}

function idOf(number: number): string {
	return `019ab3c4-5d6e-7f80-9123-${String(number).padStart(12, "0")}`;
}

function written(number: number, bytes: Uint8Array): Content {
	const content = parseContent(plaintextOf(bytes, new Uint8Array(32)), new Uint8Array(32));
	if (content === undefined || content === "misplaced") throw new Error("no content");
	expect(uuidFromBytes(content.messageId)).toBe(idOf(number));
	return content;
}

function message(number: number, draft: Draft): Entry {
	const stamp = { id: idOf(number), sentAtMs: START_MS, senderName: "" };
	return { number, actor: BOB, content: written(number, draftContent(stamp, draft, 0)) };
}

function wish(number: number, actor: string, wanted: Wish): Entry {
	const stamp = { id: idOf(number), sentAtMs: START_MS, senderName: "" };
	return { number, actor, content: written(number, wishContent(stamp, wanted)) };
}

/** A fresh reader: what the one before it has read was never committed, as is what this one reads. */
function reader(): Context {
	const { store, environment } = world.alice;
	store.rollback();
	store.begin();
	return new Context(store, environment, requireAccount(store), new Cipher(store, () => false));
}

function read(context: Context, { number, actor, content }: Entry): void {
	const body = bodyOf(content);
	const timeMs = START_MS + number;
	if (body === undefined) {
		onAction(context, BOB, actor, { number, timeMs }, content);
		return;
	}
	const row = {
		...{ peer: BOB, sender: BOB, sender_device: 1, id: idOf(number), outgoing: 0, number, body, attachment: null },
		...{ sent_at_ms: timeMs, server_time_ms: timeMs, status: "received" as const },
	};
	addMessage(context.store, row);
	settleMessage(context, row, content, whatWaits(context.store, BOB, row.id));
}

function* orders<Item>(items: readonly Item[]): Generator<Item[]> {
	if (items.length === 0) yield [];
	for (const [index, item] of items.entries()) {
		for (const rest of orders(items.filter((_, other) => other !== index))) yield [item, ...rest];
	}
}

/** What a reader sees after each order; there must be one. */
function outcomes(entries: readonly Entry[]): unknown[] {
	const seen = new Set<string>();
	for (const order of orders(entries)) {
		const context = reader();
		for (const entry of order) read(context, entry);
		const row = findMessage(context.store, BOB, MESSAGE);
		const timer = context.store.get("SELECT timer_seconds FROM standings");
		seen.add(JSON.stringify({ view: messageView(context.store, BOB, MESSAGE), body: row?.body, timer }));
	}
	return [...seen].map((text) => JSON.parse(text));
}

const name = { author: BOB, id: MESSAGE };

test("MESSAGE-4 edits and reactions in all orders, before the message too, look the same", () => {
	const entries = [
		message(0, { body: "one", ranges: [{ start: 0, length: 3, style: "bold" }] }),
		wish(1, BOB, { kind: "edit", message: name, body: "two", ranges: [] }),
		wish(2, BOB, { kind: "edit", message: name, body: "three", ranges: [{ start: 0, length: 5, style: "italic" }] }),
		wish(3, ALICE, { kind: "reaction", message: name, emoji: "👍" }),
		wish(4, ALICE, { kind: "reaction", message: name, emoji: "🎉" }),
	];
	expect(outcomes(entries)).toMatchObject([
		{
			body: "three",
			view: { reactions: [{ account: ALICE, emoji: "🎉" }], earlier: [{ body: "one" }, { body: "two" }] },
		},
	]);
});

test("MESSAGE-4 a deletion among edits and reactions, in all orders, leaves nothing", () => {
	const entries = [
		message(0, { body: "one" }),
		wish(1, BOB, { kind: "edit", message: name, body: "two", ranges: [] }),
		wish(2, BOB, { kind: "delete", message: name }),
		wish(3, ALICE, { kind: "reaction", message: name, emoji: "👍" }),
		wish(4, ALICE, { kind: "delete", message: name }),
	];
	expect(outcomes(entries)).toMatchObject([{ body: "", view: { deleted: true, reactions: [], earlier: [] } }]);
});

test("MESSAGE-4 votes and the end of a poll count in the order of the log, whatever came first", () => {
	const poll = { question: "When?", options: ["now", "later"], multiple: false };
	const entries = [
		message(0, { body: "", poll }),
		wish(1, ALICE, { kind: "vote", message: name, options: [0] }),
		wish(2, BOB, { kind: "vote", message: name, options: [1] }),
		wish(3, BOB, { kind: "close", message: name }),
		wish(4, ALICE, { kind: "vote", message: name, options: [1] }),
	];
	expect(outcomes(entries)).toMatchObject([
		{ view: { poll: { closed: true, options: [{ voters: [ALICE] }, { voters: [BOB] }] } } },
	]);
});

test("TIMER-1 of several changes of the timer the last one in the log counts, whatever came first", () => {
	const entries = [60, 0, 3600].map((seconds, index) =>
		wish(index + 1, index === 2 ? ALICE : BOB, { kind: "timer", seconds }),
	);
	expect(outcomes(entries)).toMatchObject([{ timer: { timer_seconds: 3600 } }]);
});

test("MESSAGE-4 what waits for messages that never come is bounded, the newest is kept", () => {
	const context = reader();
	const last = LIMITS.waiting_actions + 20;
	const numbers = Array.from({ length: last }, (_, index) => index + 1);
	// Backwards, so that the oldest come last.
	for (const number of numbers.reverse()) {
		const other = { author: BOB, id: idOf(900_000 + number) };
		read(context, wish(number, BOB, { kind: "reaction", message: other, emoji: "👍" }));
	}
	const kept = context.store.get("SELECT COUNT(*) AS count, MIN(number) AS first FROM actions");
	expect(kept).toEqual({ count: LIMITS.waiting_actions, first: 21 });
});

test("MESSAGE-4 what one person does with one message again and again is bounded", () => {
	const context = reader();
	read(context, message(0, { body: "one" }));
	for (let number = 1; number <= LIMITS.actions_per_message + 50; number++) {
		read(context, wish(number, BOB, { kind: "edit", message: name, body: `text ${number}`, ranges: [] }));
	}
	const view = messageView(context.store, BOB, MESSAGE);
	expect(view?.earlier).toHaveLength(LIMITS.actions_per_message);
	expect(findMessage(context.store, BOB, MESSAGE)?.body).toBe(`text ${LIMITS.actions_per_message + 50}`);
});

test("MESSAGE-4 an action that comes twice counts once", () => {
	const context = reader();
	const reaction = wish(1, ALICE, { kind: "reaction", message: name, emoji: "👍" });
	for (const entry of [reaction, message(0, { body: "one" }), reaction]) read(context, entry);
	expect(messageView(context.store, BOB, MESSAGE)?.reactions).toEqual([{ account: ALICE, emoji: "👍" }]);
});

test("MESSAGE-5 nothing is done from one conversation with a message of another", () => {
	const context = reader();
	const other = "0c000000-0000-4000-8000-00000000000c";
	read(context, message(0, { body: "one" }));
	const wishes: Wish[] = [
		{ kind: "edit", message: name, body: "two", ranges: [] },
		{ kind: "reaction", message: name, emoji: "👍" },
		{ kind: "delete", message: name },
	];
	context.requests = [];
	for (const [index, wanted] of wishes.entries()) {
		const { number, content } = wish(index + 1, BOB, wanted);
		onAction(context, other, BOB, { number, timeMs: START_MS }, content);
	}
	expect(findMessage(context.store, BOB, MESSAGE)?.body).toBe("one");
	expect(context.store.all("SELECT * FROM actions")).toEqual([]);
	expect(context.requests).toEqual([]);
});

test("MESSAGE-5 content of later versions is no action and ends nothing", async () => {
	const later = create(ContentSchema, { messageId: uuidToBytes(idOf(1)) });
	const context = reader();
	onAction(context, BOB, BOB, { number: 1, timeMs: 0 }, later);
	expect(context.store.all("SELECT * FROM actions")).toEqual([]);
	expect(toBinary(ContentSchema, later).length).toBeGreaterThan(0);
	const event: MachineEvent = { type: "tick" };
	world.alice.store.rollback();
	await world.alice.machine.step([event]);
});
