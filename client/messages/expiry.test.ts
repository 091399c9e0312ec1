import { create, toBinary } from "@bufbuild/protobuf";
import { afterEach, beforeEach, expect, test } from "vitest";
import { ContentSchema } from "../../protocol/gen/content_pb.js";
import { ConversationUpSchema } from "../../protocol/gen/conversation_up_pb.js";
import { Context } from "../machine/context.ts";
import { ALICE, BOB, type TestDevice, TestWorld } from "../machine/testing.ts";
import { Cipher } from "../signal/cipher.ts";
import { requireAccount } from "../store/account.ts";
import { findDetails, isGone, whatWaits } from "../store/details.ts";
import { history } from "../store/queries.ts";
import { addReadTime, forgetReadTimes, readTime } from "../store/read_times.ts";
import { timerOf } from "../store/standings.ts";
import { isOver, settleMessage } from "./arriving.ts";

let world: TestWorld;
beforeEach(async () => {
	world = new TestWorld();
	world.connect(world.alice);
	world.connect(world.bob);
	world.text(world.alice, "hello");
	await world.settle();
	world.text(world.bob, "hi");
	await world.settle();
	world.wish(world.alice, { kind: "timer", seconds: 60 });
	await world.settle();
});
afterEach(() => world.close());

const bodies = (device: TestDevice) =>
	history(device.store, device === world.alice ? BOB : ALICE, 20).map(({ body }) => body);

/** Time passes, and the machines are told. */
async function pass(seconds: number): Promise<void> {
	world.nowMs += seconds * 1_000;
	for (const device of [world.alice, world.bob]) device.inbox.push({ type: "tick" });
	await world.settle();
}

async function read(device: TestDevice, upTo: number): Promise<void> {
	device.inbox.push({ type: "mark-read", peer: device === world.alice ? BOB : ALICE, upTo });
	await world.settle();
}

test("TIMER-1 a message changes the timer for both, and what was there before stays", async () => {
	for (const device of [world.alice, world.bob])
		expect(timerOf(device.store, device === world.alice ? BOB : ALICE)).toBe(60);
	expect(world.bob.notices).toContainEqual({ type: "timer-changed", peer: ALICE, by: ALICE, seconds: 60 });
	await read(world.bob, 3);
	await pass(1_000);
	expect(bodies(world.alice)).toEqual(["hello", "hi"]);
	world.wish(world.bob, { kind: "timer", seconds: 0 });
	await world.settle();
	for (const device of [world.alice, world.bob])
		expect(timerOf(device.store, device === world.alice ? BOB : ALICE)).toBe(0);
});

test("TIMER-2 a message disappears at its sender the time after sending, at its reader the time after reading", async () => {
	const id = world.text(world.alice, "soon gone");
	await world.settle();
	await pass(59);
	expect(bodies(world.alice)).toContain("soon gone");
	await pass(1);
	expect(bodies(world.alice)).toEqual(["hello", "hi"]);
	// Unread, it stays.
	expect(bodies(world.bob)).toContain("soon gone");
	await read(world.bob, 4);
	expect(world.bob.requests).toContainEqual({ type: "tick-at", atMs: world.nowMs + 60_000 });
	await pass(59);
	expect(bodies(world.bob)).toContain("soon gone");
	await pass(1);
	expect(bodies(world.bob)).toEqual(["hello", "hi"]);
	expect(world.bob.notices).toContainEqual({ type: "message-removed", peer: ALICE, id, sender: ALICE });
	for (const device of [world.alice, world.bob]) {
		expect(device.store.all("SELECT * FROM details")).toEqual([]);
		expect(JSON.stringify(device.store.all("SELECT body FROM messages"))).not.toContain("soon gone");
	}
});

test("TIMER-2 what is over is removed with a connection too: no process may live until the first tick", async () => {
	world.text(world.alice, "soon gone");
	await world.settle();
	await read(world.bob, 4);
	world.nowMs += 60_000;
	for (const device of [world.alice, world.bob]) {
		device.inbox.push({ type: "account-opened" });
		await world.settle();
		expect(device.store.all("SELECT * FROM details")).toEqual([]);
		expect(JSON.stringify(device.store.all("SELECT body FROM messages"))).not.toContain("soon gone");
	}
});

test("TIMER-2 what was read while the clock was years ahead has its time to go, and no longer, once that is right", async () => {
	world.text(world.alice, "soon gone");
	await world.settle();
	const right = world.nowMs;
	world.nowMs += 10 * 365 * 86_400_000;
	await read(world.bob, 4);
	world.nowMs = right;
	await pass(1);
	await pass(59);
	expect(bodies(world.bob)).toContain("soon gone");
	await pass(1);
	expect(bodies(world.bob)).toEqual(["hello", "hi"]);
});

test("TIMER-2 every kind of message disappears, with what was done with it", async () => {
	const poll = { question: "When?", options: ["now", "later"], multiple: false };
	const id = world.draft(world.alice, { body: "", poll });
	await world.settle();
	world.wish(world.bob, { kind: "vote", message: { author: ALICE, id }, options: [1] });
	world.wish(world.bob, { kind: "reaction", message: { author: ALICE, id }, emoji: "👍" });
	await world.settle();
	await read(world.bob, 6);
	await pass(61);
	for (const device of [world.alice, world.bob]) {
		expect(bodies(device)).toEqual(["hello", "hi"]);
		expect(device.store.all("SELECT kind FROM actions")).toEqual([{ kind: "timer" }]);
	}
});

test("TIMER-3 DELETE-1 what is done later with a message that has disappeared leaves nothing", async () => {
	const id = world.text(world.alice, "soon gone");
	await world.settle();
	await read(world.bob, 4);
	const message = { author: ALICE, id };
	world.wish(world.alice, { kind: "edit", message, body: "said later", ranges: [] });
	world.wish(world.alice, { kind: "reaction", message, emoji: "👍" });
	await world.settle(world.alice);
	world.nowMs += 61_000;
	world.bob.inbox.unshift({ type: "tick" });
	await world.settle(world.bob);
	expect(bodies(world.bob)).toEqual(["hello", "hi"]);
	expect(world.bob.store.all("SELECT kind FROM actions")).toEqual([{ kind: "timer" }]);
});

test("TIMER-2 the sender's device asks to be called when its message's time is over", async () => {
	world.text(world.alice, "soon gone");
	await world.settle();
	expect(world.alice.requests).toContainEqual({ type: "tick-at", atMs: world.nowMs + 60_000 });
});

test("TIMER-2 what another own device sent disappears here so long after the server took it, or is never shown", () => {
	const { store, environment } = world.alice;
	const context = new Context(store, environment, requireAccount(store), new Cipher(store, () => false));
	const content = create(ContentSchema, { expireAfterSeconds: 60 });
	const id = world.alice.machine.newMessageId();
	const row = {
		...{ peer: BOB, sender: ALICE, sender_device: 2, id, outgoing: 1, number: 9, body: "x", attachment: null },
		...{ sent_at_ms: 0, server_time_ms: world.nowMs - 59_999, status: "sent" as const },
	};
	const waits = whatWaits(store, ALICE, id);
	expect(isOver(context, row, content, waits)).toBe(false);
	settleMessage(context, row, content, waits);
	expect(findDetails(store, ALICE, id)?.expires_at_ms).toBe(world.nowMs + 1);
	expect(isOver(context, { ...row, server_time_ms: world.nowMs - 60_000 }, content, waits)).toBe(true);
});

test("TIMER-1 a change whose answer was lost takes its place before the other's later one", async () => {
	world.wish(world.alice, { kind: "timer", seconds: 100 });
	// The server has it, and Alice does not hear so: her line breaks.
	for (const request of await world.alice.machine.step(world.alice.inbox.splice(0))) {
		if (request.type !== "send-frame") continue;
		world.server.handle(ALICE, toBinary(ConversationUpSchema, request.frame), (to, frame) => {
			if (to === BOB) world.bob.inbox.push({ type: "conversation-frame", peer: ALICE, frame });
		});
	}
	world.alice.restart();
	world.wish(world.bob, { kind: "timer", seconds: 200 });
	await world.settle();
	expect(world.alice.store.all("SELECT number FROM actions ORDER BY id")).toContainEqual({ number: null });
	world.connect(world.alice);
	await world.settle();
	for (const device of [world.alice, world.bob])
		expect(timerOf(device.store, device === world.alice ? BOB : ALICE)).toBe(200);
});

test("TIMER-4 a message whose time was over before it came is never shown", async () => {
	await world.bob.machine.step([{ type: "conversation-closed", peer: ALICE }]);
	world.bob.open.clear();
	world.text(world.alice, "read elsewhere");
	await world.settle();
	// Another device of Bob's has read it long ago.
	world.bob.store.run("UPDATE conversations SET read = 4");
	world.bob.restart();
	world.nowMs += 3_600_000;
	world.bob.notices.length = 0;
	world.connect(world.bob);
	await world.settle();
	expect(bodies(world.bob)).toEqual(["hello", "hi"]);
	expect(world.bob.notices.some(({ type }) => type === "message")).toBe(false);
});

test("TIMER-4 what another own device has read meanwhile disappears so long after that reading, on this one too", async () => {
	await world.bob.machine.step([{ type: "conversation-closed", peer: ALICE }]);
	world.bob.open.clear();
	for (const text of ["read early", "read late"]) world.text(world.alice, text);
	await world.settle();
	// Long after it was sent; what the other device says came before the messages.
	world.bob.store.run("UPDATE conversations SET read = 5");
	addReadTime(world.bob.store, ALICE, 4, world.nowMs + 3_600_000);
	addReadTime(world.bob.store, ALICE, 5, world.nowMs + 3_650_000);
	world.bob.restart();
	world.nowMs += 3_655_000;
	world.connect(world.bob);
	await world.settle();
	expect(bodies(world.bob)).toEqual(["hello", "hi", "read early", "read late"]);
	await pass(5);
	expect(bodies(world.bob)).toEqual(["hello", "hi", "read late"]);
	await pass(50);
	expect(bodies(world.bob)).toEqual(["hello", "hi"]);
});

test("TIMER-4 of several readings the first counts, and those of entries that the log lost don't", () => {
	const { store } = world.bob;
	addReadTime(store, ALICE, 7, 500);
	addReadTime(store, ALICE, 7, 400);
	addReadTime(store, ALICE, 7, 450);
	addReadTime(store, ALICE, 9, 300);
	addReadTime(store, ALICE, 5, 900);
	expect([5, 7, 8, 10].map((number) => readTime(store, ALICE, number))).toEqual([300, 300, 300, undefined]);
	forgetReadTimes(store, ALICE, 8);
	expect([5, 7, 8].map((number) => readTime(store, ALICE, number))).toEqual([400, 400, undefined]);
	for (let upTo = 10; upTo < 310; upTo++) addReadTime(store, ALICE, upTo, 1_000 + upTo);
	expect(store.value("SELECT COUNT(*) AS value FROM read_times")).toBe(200);
	expect(readTime(store, ALICE, 1)).toBe(1_110);
});

test("TIMER-4 what is over while the program is not running is not shown by the next one", async () => {
	world.text(world.alice, "soon gone");
	await world.settle();
	await read(world.bob, 4);
	world.nowMs += 61_000;
	world.bob.restart();
	expect(history(world.bob.store, ALICE, 20, world.nowMs).map(({ body }) => body)).toEqual(["hello", "hi"]);
});

test("DELETE-3 TIMER-2 the server's copy of what has disappeared before it was delivered is withdrawn", async () => {
	await world.bob.machine.step([{ type: "conversation-closed", peer: ALICE }]);
	world.bob.open.clear();
	world.text(world.alice, "never fetched");
	await world.settle();
	await pass(60);
	expect(world.server.log.at(-1)?.withdrawn).toBe(true);
	world.connect(world.bob);
	await world.settle();
	expect(bodies(world.bob)).toEqual(["hello", "hi"]);
});

test("TIMER-4 RETRY-1 a message that could not be read, and is over when it is sent again, is never shown, nor later", async () => {
	let damaged = 1;
	world.server.onEntry = (account, entry) => {
		if (account !== BOB || damaged-- <= 0) return entry;
		const copy = structuredClone(entry);
		for (const envelope of copy.send.envelopes) envelope.ciphertext[20] = (envelope.ciphertext[20] ?? 0) ^ 1;
		return copy;
	};
	const id = world.text(world.alice, "read elsewhere");
	await world.settle(world.alice);
	// Bob's other device could read it at once.
	addReadTime(world.bob.store, ALICE, 4, world.nowMs);
	world.nowMs += 59_000;
	await world.settle(world.bob);
	expect(bodies(world.bob)).toEqual(["hello", "hi", undefined]);
	await world.settle(world.alice);
	world.nowMs += 1_000;
	world.bob.notices.length = 0;
	await world.settle(world.bob);
	expect(bodies(world.bob)).toEqual(["hello", "hi"]);
	expect(world.bob.notices).toEqual([{ type: "message-removed", peer: ALICE, id, sender: ALICE }]);
	expect(JSON.stringify(world.bob.store.all("SELECT body FROM messages"))).not.toContain("read elsewhere");
	expect(isGone(world.bob.store, ALICE, id)).toBe(true);
});
