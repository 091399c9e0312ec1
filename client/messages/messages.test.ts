import { afterEach, beforeEach, expect, test } from "vitest";
import { uuidFromBytes } from "../../protocol/ids.ts";
import { ALICE, BOB, type TestDevice, TestWorld } from "../machine/testing.ts";
import { conversationsWithOutbox, history, messageBy } from "../store/queries.ts";
import { draftOf } from "../store/standings.ts";
import { messageView } from "./view.ts";
import type { MessageName } from "./wishes.ts";

const HOUR_MS = 60 * 60 * 1000;

let world: TestWorld;
let hello: MessageName;
beforeEach(async () => {
	world = new TestWorld();
	world.connect(world.alice);
	world.connect(world.bob);
	hello = { author: ALICE, id: world.text(world.alice, "hello") };
	await world.settle();
	world.text(world.bob, "hi");
	await world.settle();
});
afterEach(() => world.close());

const both = (): TestDevice[] => [world.alice, world.bob];
const peerOf = (device: TestDevice): string => (device === world.alice ? BOB : ALICE);
const view = (device: TestDevice, { author, id }: MessageName) => messageView(device.store, author, id);
const bodies = (device: TestDevice) => history(device.store, peerOf(device), 10).map(({ body }) => body);

test("MESSAGE-1 a reply names the message that it answers by author and id", async () => {
	const id = world.draft(world.bob, { body: "to that", replyTo: hello });
	await world.settle();
	for (const device of both()) {
		expect(view(device, { author: BOB, id })?.replyTo).toEqual(hello);
		expect(bodies(device)).toEqual(["hello", "hi", "to that"]);
	}
});

test("MESSAGE-2 a forwarded message says how often it was forwarded", async () => {
	const id = world.draft(world.bob, { body: "hello", forwards: 3 });
	const more = world.draft(world.bob, { body: "hello", forwards: 70_000 });
	await world.settle();
	for (const device of both()) {
		expect(view(device, { author: BOB, id })?.forwards).toBe(3);
		expect(view(device, { author: BOB, id: more })?.forwards).toBe(255);
	}
});

test("MESSAGE-3 formatting and mentions arrive as they were written", async () => {
	const ranges = [
		{ start: 0, length: 4, style: "bold" as const },
		{ start: 5, length: 4, mention: ALICE },
	];
	const id = world.draft(world.bob, { body: "look here", ranges });
	await world.settle();
	for (const device of both()) expect(view(device, { author: BOB, id })?.ranges).toEqual(ranges);
});

test("REACTION-1 each person has one reaction to a message; the last one counts, and an empty one takes it back", async () => {
	world.wish(world.bob, { kind: "reaction", message: hello, emoji: "👍" });
	world.wish(world.alice, { kind: "reaction", message: hello, emoji: "🎉" });
	await world.settle();
	world.wish(world.bob, { kind: "reaction", message: hello, emoji: "❤️" });
	await world.settle();
	for (const device of both()) {
		const reactions = view(device, hello)?.reactions;
		expect(reactions).toHaveLength(2);
		expect(reactions).toContainEqual({ account: BOB, emoji: "❤️" });
		expect(reactions).toContainEqual({ account: ALICE, emoji: "🎉" });
	}
	world.wish(world.alice, { kind: "reaction", message: hello, emoji: "" });
	await world.settle();
	for (const device of both()) expect(view(device, hello)?.reactions).toEqual([{ account: BOB, emoji: "❤️" }]);
	expect(bodies(world.alice)).toEqual(["hello", "hi"]);
});

test("EDIT-1 an edit replaces the text for everyone, and EDIT-3 readers keep the earlier ones", async () => {
	world.wish(world.alice, { kind: "edit", message: hello, body: "hello you", ranges: [] });
	await world.settle();
	world.wish(world.alice, { kind: "edit", message: hello, body: "hello all", ranges: [] });
	await world.settle();
	for (const device of both()) {
		expect(bodies(device)).toEqual(["hello all", "hi"]);
		expect(view(device, hello)?.earlier.map(({ body }) => body)).toEqual(["hello", "hello you"]);
	}
});

test("EDIT-1 an edit that the server gets 24 hours after the message changes nothing, at its author neither", async () => {
	world.nowMs += 24 * HOUR_MS + 1_000;
	world.wish(world.alice, { kind: "edit", message: hello, body: "too late", ranges: [] });
	await world.settle();
	for (const device of both()) expect(bodies(device)).toEqual(["hello", "hi"]);
});

test("EDIT-2 nobody edits somebody else's message", async () => {
	world.wish(world.bob, { kind: "edit", message: { author: BOB, id: hello.id }, body: "forged", ranges: [] });
	world.wish(world.bob, { kind: "edit", message: hello, body: "forged", ranges: [] });
	await world.settle();
	for (const device of both()) expect(bodies(device)).toEqual(["hello", "hi"]);
});

test("DELETE-1 a message that was deleted on one device is gone there alone, and does not come back", async () => {
	world.bob.inbox.push({ type: "delete-here", peer: ALICE, message: hello });
	await world.settle();
	expect(bodies(world.bob)).toEqual(["hi"]);
	expect(bodies(world.alice)).toEqual(["hello", "hi"]);
	world.wish(world.alice, { kind: "reaction", message: hello, emoji: "👍" });
	await world.settle();
	expect(bodies(world.bob)).toEqual(["hi"]);
	expect(view(world.bob, hello)).toBe(undefined);
});

test("DELETE-2 the author deletes a message for everyone: text, edits and reactions go", async () => {
	world.wish(world.alice, { kind: "edit", message: hello, body: "secret", ranges: [] });
	world.wish(world.bob, { kind: "reaction", message: hello, emoji: "👍" });
	await world.settle();
	world.wish(world.alice, { kind: "delete", message: hello });
	await world.settle();
	for (const device of both()) {
		expect(bodies(device)).toEqual(["", "hi"]);
		expect(view(device, hello)).toMatchObject({ deleted: true, reactions: [], earlier: [] });
		const left = device.store.all<{ kind: string }>("SELECT kind FROM actions");
		expect(left).toEqual([{ kind: "delete" }]);
		expect(device.store.get("SELECT length(content) AS bytes FROM details")).toEqual({ bytes: 0 });
	}
});

test("DELETE-2 nothing is deleted for everyone after 24 hours", async () => {
	world.nowMs += 24 * HOUR_MS + 1_000;
	world.wish(world.alice, { kind: "delete", message: hello });
	await world.settle();
	for (const device of both()) expect(bodies(device)).toEqual(["hello", "hi"]);
});

test("DELETE-4 nobody deletes somebody else's message for everyone", async () => {
	world.wish(world.bob, { kind: "delete", message: hello });
	await world.settle();
	for (const device of both()) expect(bodies(device)).toEqual(["hello", "hi"]);
});

/** Whether the server was asked to forget an entry. */
const withdrawn = (id: string): boolean =>
	world.server.log.some((entry) => uuidFromBytes(entry.send.messageId) === id && entry.withdrawn === true);

test("DELETE-3 the server's copy of a deleted message and of its edits is withdrawn", async () => {
	const edit = world.wish(world.alice, { kind: "edit", message: hello, body: "secret", ranges: [] });
	await world.settle();
	world.wish(world.alice, { kind: "delete", message: hello });
	await world.settle();
	expect([hello.id, edit].map(withdrawn)).toEqual([true, true]);
	expect(world.alice.store.all("SELECT * FROM withdrawals")).toEqual([]);
});

test("DELETE-3 a withdrawal that was not answered is said again after a kill, and others' messages are not withdrawn", async () => {
	const wish = { kind: "delete" as const, message: hello };
	const id = world.alice.machine.newMessageId();
	// The step is on disk, and nothing of it has left.
	await world.alice.machine.step([{ type: "do", id, peer: BOB, wish }]);
	world.alice.restart();
	expect(conversationsWithOutbox(world.alice.store)).toEqual([BOB]);
	world.connect(world.alice);
	await world.settle();
	expect(withdrawn(hello.id)).toBe(true);
	world.wish(world.bob, { kind: "delete", message: hello });
	await world.settle();
	expect(world.bob.store.all("SELECT * FROM withdrawals")).toEqual([]);
});

test("DELETE-3 a message that is on its way when it is deleted is withdrawn once the server has it", async () => {
	const id = world.alice.machine.newMessageId();
	const sent = await world.alice.machine.step([{ type: "send-text", id, peer: BOB, body: "no" }]);
	expect(sent.some(({ type }) => type === "send-frame")).toBe(true);
	const wish = { kind: "delete" as const, message: { author: ALICE, id } };
	const done = await world.alice.machine.step([
		{ type: "do", id: world.alice.machine.newMessageId(), peer: BOB, wish },
	]);
	expect(done.some((request) => request.type === "send-frame" && request.frame.frame.case === "withdraw")).toBe(false);
	world.connect(world.alice);
	await world.settle();
	expect(withdrawn(id)).toBe(true);
});

test("DELETE-2 what has not left the device is taken back without a word", async () => {
	await world.alice.machine.step([{ type: "conversation-closed", peer: BOB }]);
	world.alice.open.clear();
	const id = world.alice.machine.newMessageId();
	await world.alice.machine.step([{ type: "send-text", id, peer: BOB, body: "no" }]);
	world.wish(world.alice, { kind: "delete", message: { author: ALICE, id } });
	await world.settle();
	world.connect(world.alice);
	await world.settle();
	expect(world.server.log).toHaveLength(2);
	expect(bodies(world.alice)).toEqual(["hello", "hi", ""]);
});

test("POLL-1 people vote in a poll, POLL-2 change their votes, and POLL-3 its author ends it", async () => {
	const poll = { question: "When?", options: ["now", "later", "never"], multiple: false };
	const id = world.draft(world.alice, { body: "", poll });
	await world.settle();
	const when = { author: ALICE, id };
	world.wish(world.bob, { kind: "vote", message: when, options: [0] });
	world.wish(world.alice, { kind: "vote", message: when, options: [1] });
	await world.settle();
	world.wish(world.bob, { kind: "vote", message: when, options: [2] });
	await world.settle();
	const voters = (device: TestDevice) => view(device, when)?.poll?.options.map((option) => option.voters);
	for (const device of both()) {
		expect(bodies(device).at(-1)).toBe("When?");
		expect(voters(device)).toEqual([[], [ALICE], [BOB]]);
	}
	// More than one choice, and one that isn't there: no votes.
	world.wish(world.bob, { kind: "vote", message: when, options: [0, 1] });
	world.wish(world.bob, { kind: "vote", message: when, options: [3] });
	await world.settle();
	world.wish(world.bob, { kind: "close", message: when });
	world.wish(world.alice, { kind: "close", message: when });
	await world.settle();
	world.wish(world.bob, { kind: "vote", message: when, options: [] });
	await world.settle();
	for (const device of both()) {
		expect(view(device, when)?.poll?.closed).toBe(true);
		expect(voters(device)).toEqual([[], [ALICE], [BOB]]);
	}
});

test("RETRY-1 what could not be read comes again whole: ranges, edits, and nothing in the place of a deletion", async () => {
	let damaged = 0;
	world.server.onEntry = (account, entry) => {
		if (account !== BOB || damaged-- <= 0) return entry;
		const copy = structuredClone(entry);
		for (const envelope of copy.send.envelopes) envelope.ciphertext[20] = (envelope.ciphertext[20] ?? 0) ^ 1;
		return copy;
	};
	damaged = 1;
	const range = { start: 0, length: 2, style: "bold" as const };
	const id = world.draft(world.alice, { body: "so it is", ranges: [range], replyTo: hello });
	await world.settle();
	damaged = 1;
	world.wish(world.alice, { kind: "edit", message: { author: ALICE, id }, body: "so it was", ranges: [range] });
	await world.settle();
	expect(bodies(world.bob)).toEqual(["hello", "hi", "so it was"]);
	expect(view(world.bob, { author: ALICE, id })).toMatchObject({ replyTo: hello, ranges: [range] });
	damaged = 1;
	const gone = world.text(world.alice, "a mistake");
	await world.alice.machine.step(world.alice.inbox.splice(0));
	world.wish(world.alice, { kind: "delete", message: { author: ALICE, id: gone } });
	await world.settle();
	world.connect(world.alice);
	await world.settle();
	expect(bodies(world.bob).slice(0, 3)).toEqual(["hello", "hi", "so it was"]);
	expect(JSON.stringify(history(world.bob.store, ALICE, 10))).not.toContain("mistake");
	expect(history(world.bob.store, ALICE, 10).some(({ status }) => status === "undecryptable")).toBe(false);
});

test("CLIENT-2 a text that was begun is there again after a restart, on its device alone", async () => {
	world.bob.inbox.push({ type: "keep-draft", peer: ALICE, text: "what I want to" });
	await world.settle();
	world.bob.restart();
	expect(draftOf(world.bob.store, ALICE)).toBe("what I want to");
	expect(world.server.log).toHaveLength(2);
	world.bob.inbox.push({ type: "keep-draft", peer: ALICE, text: undefined });
	await world.settle();
	expect(draftOf(world.bob.store, ALICE)).toBe(undefined);
});

test("DELETE-1 what has not left the device and is deleted there never does, whatever it is", async () => {
	await world.alice.machine.step([{ type: "conversation-closed", peer: BOB }]);
	world.alice.open.clear();
	const ids = [world.text(world.alice, "no"), world.draft(world.alice, { body: "no", replyTo: hello })];
	world.wish(world.alice, { kind: "reaction", message: { author: ALICE, id: ids[1] ?? "" }, emoji: "👍" });
	await world.alice.machine.step(world.alice.inbox.splice(0));
	for (const id of ids) world.alice.inbox.push({ type: "delete-here", peer: BOB, message: { author: ALICE, id } });
	await world.alice.machine.step(world.alice.inbox.splice(0));
	world.connect(world.alice);
	await world.settle();
	expect(world.server.log).toHaveLength(2);
	for (const device of both()) expect(bodies(device)).toEqual(["hello", "hi"]);
});

test("MESSAGE-1 what a reply names is found by author, id and conversation, and not when its time is over", () => {
	const { store } = world.bob;
	const answered = (peer: string, author: string) =>
		messageBy(store, peer, { author, id: hello.id }, world.nowMs)?.body;
	expect(answered(ALICE, ALICE)).toBe("hello");
	expect(answered(BOB, ALICE)).toBe(undefined);
	expect(answered(ALICE, BOB)).toBe(undefined);
	store.run("INSERT INTO details (sender, id, content, expires_at_ms) VALUES (?, ?, x'', ?)", [
		...[ALICE, hello.id, world.nowMs],
	]);
	expect(answered(ALICE, ALICE)).toBe(undefined);
});
