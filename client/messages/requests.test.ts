import { create } from "@bufbuild/protobuf";
import { afterEach, beforeEach, expect, test } from "vitest";
import { type ConversationDown, ConversationDownSchema } from "../../protocol/gen/conversation_down_pb.js";
import { uuidToBytes } from "../../protocol/ids.ts";
import type { MachineEvent } from "../machine/interface.ts";
import { ALICE, BOB, TestWorld } from "../machine/testing.ts";
import { setPrivacySwitch, setReadReceipts } from "../store/account.ts";
import { history } from "../store/queries.ts";
import { blockedPeers, blockOf, seenMs, strangers } from "../store/standings.ts";

let world: TestWorld;
beforeEach(async () => {
	world = new TestWorld();
	setPrivacySwitch(world.bob.store, "message_requests", true);
	world.connect(world.alice);
	world.connect(world.bob);
	world.text(world.alice, "hello");
	await world.settle();
});
afterEach(() => world.close());

const statuses = () => history(world.alice.store, BOB, 10).map(({ status }) => status);
const bodies = () => history(world.bob.store, ALICE, 10).map(({ body }) => body);

const hello = () => ({ author: ALICE, id: history(world.bob.store, ALICE, 1)[0]?.id ?? "" });

/** What Bob's machine says up in answer to events. */
async function said(...events: Parameters<typeof world.bob.machine.step>[0]): Promise<string[]> {
	const requests = await world.bob.machine.step(events);
	return requests.flatMap((request) => (request.type === "send-frame" ? [request.frame.frame.case ?? ""] : []));
}

function says(frame: ConversationDown["frame"]) {
	return { type: "conversation-frame" as const, peer: ALICE, frame: create(ConversationDownSchema, { frame }) };
}

test("REQUEST-1 a stranger's messages are a request; nobody is told that they came or were read, over a restart too", async () => {
	expect(bodies()).toEqual(["hello"]);
	expect(strangers(world.bob.store)).toEqual([ALICE]);
	world.bob.inbox.push({ type: "mark-read", peer: ALICE, upTo: 1 });
	await world.settle();
	world.bob.restart();
	world.connect(world.bob);
	await world.settle();
	expect(statuses()).toEqual(["sent"]);
	expect(await said({ type: "typing", peer: ALICE, started: true })).toEqual([]);
});

test("REQUEST-1 accepting a request tells what has come and was read", async () => {
	world.bob.inbox.push({ type: "mark-read", peer: ALICE, upTo: 1 });
	await world.settle();
	world.bob.inbox.push({ type: "accept-request", peer: ALICE });
	await world.settle();
	expect(statuses()).toEqual(["read"]);
	expect(strangers(world.bob.store)).toEqual([]);
	world.text(world.alice, "more");
	await world.settle();
	expect(statuses()).toEqual(["read", "delivered"]);
});

test("REQUEST-1 writing to somebody accepts them", async () => {
	world.text(world.bob, "hi");
	await world.settle();
	expect(strangers(world.bob.store)).toEqual([]);
	expect(statuses()[0]).toBe("delivered");
});

test.each([
	["a reply", () => world.draft(world.bob, { body: "hi", replyTo: hello() })],
	["a reaction", () => world.wish(world.bob, { kind: "reaction", message: hello(), emoji: "👍" })],
	["a timer", () => world.wish(world.bob, { kind: "timer", seconds: 60 })],
])("REQUEST-1 %s accepts them too", async (_what, answer) => {
	answer();
	await world.settle();
	expect(strangers(world.bob.store)).toEqual([]);
	expect(statuses()[0]).toBe("delivered");
});

test("REQUEST-1 a deleted request leaves nothing, and the next message is a request again", async () => {
	world.bob.inbox.push({ type: "delete-request", peer: ALICE });
	await world.settle();
	expect(bodies()).toEqual([]);
	world.text(world.alice, "me again");
	await world.settle();
	expect(bodies()).toEqual(["me again"]);
	expect(strangers(world.bob.store)).toEqual([ALICE]);
	expect(statuses()).toEqual(["sent", "sent"]);
});

test("REQUEST-3 what can't be read of a stranger is asked for when they are accepted", async () => {
	let left = 1;
	world.server.onEntry = (account, entry) => {
		if (account !== BOB || left-- <= 0) return entry;
		const copy = structuredClone(entry);
		for (const envelope of copy.send.envelopes) envelope.ciphertext[20] = (envelope.ciphertext[20] ?? 0) ^ 1;
		return copy;
	};
	world.text(world.alice, "damaged");
	await world.settle();
	expect(bodies()).toEqual(["hello", undefined]);
	expect(world.server.log).toHaveLength(2);
	world.bob.inbox.push({ type: "accept-request", peer: ALICE });
	await world.settle();
	expect(bodies()).toEqual(["hello", "damaged"]);
});

test("BLOCK-1 blocking is said until the server has answered, over a kill too, and ends the same way", async () => {
	// The step is on disk, and nothing of it has left.
	await world.bob.machine.step([{ type: "set-blocked", peer: ALICE, on: true }]);
	world.bob.restart();
	expect(blockOf(world.bob.store, ALICE)).toEqual({ blocked: true, due: true });
	world.connect(world.bob);
	await world.settle();
	expect(blockOf(world.bob.store, ALICE)).toEqual({ blocked: true, due: false });
	world.text(world.alice, "nobody gets this");
	await world.settle();
	expect(bodies()).toEqual(["hello"]);
	expect(statuses()).toEqual(["sent", "sent"]);
	world.bob.inbox.push({ type: "set-blocked", peer: ALICE, on: false });
	await world.settle();
	expect(world.server.blocks.size).toBe(0);
	expect(blockOf(world.bob.store, ALICE)).toEqual({ blocked: false, due: false });
});

test("BLOCK-1 what the server said before it heard of a block does not end it", async () => {
	await world.bob.machine.step([{ type: "set-blocked", peer: ALICE, on: true }]);
	await world.bob.machine.step([says({ case: "blocking", value: { $typeName: "parley.v1.Blocking", on: false } })]);
	expect(blockOf(world.bob.store, ALICE)).toEqual({ blocked: true, due: true });
});

test("BLOCK-2 EPHEMERAL-1 neither typing nor presence goes to whom the user blocks, or is shown of them", async () => {
	const account = uuidToBytes(ALICE);
	const types = says({
		case: "typing",
		value: { $typeName: "parley.v1.PeerTyping", account, device: 1, started: true },
	});
	const there = says({
		case: "presence",
		value: { $typeName: "parley.v1.PeerPresence", account, online: true, fleeting: false },
	});
	world.text(world.bob, "hi");
	await world.settle();
	const fleeting: MachineEvent = { type: "typing", peer: ALICE, started: true };
	const online: MachineEvent = { type: "set-online", online: true };
	expect(await said(fleeting, online)).toEqual(["typing", "presence"]);
	world.bob.notices.length = 0;
	world.bob.inbox.push(types, there);
	await world.settle();
	expect(world.bob.notices.map(({ type }) => type)).toEqual(["typing", "presence"]);
	world.bob.inbox.push({ type: "set-blocked", peer: ALICE, on: true });
	await world.settle();
	expect(await said(fleeting, online)).toEqual([]);
	world.bob.notices.length = 0;
	world.bob.inbox.push(types, there);
	await world.settle();
	expect(world.bob.notices).toEqual([]);
});

test("PRESENCE-1 nobody is shown as there but the other account of the conversation", async () => {
	world.text(world.bob, "hi");
	await world.settle();
	world.bob.notices.length = 0;
	const account = uuidToBytes(BOB);
	const value = { $typeName: "parley.v1.PeerPresence" as const, account, online: true, fleeting: false };
	world.bob.inbox.push(says({ case: "presence", value }));
	await world.settle();
	expect(world.bob.notices).toEqual([]);
	expect(seenMs(world.bob.store, ALICE)).toBe(undefined);
});

test("BLOCK-1 what another own device has blocked is blocked here", async () => {
	world.bob.inbox.push(says({ case: "blocking", value: { $typeName: "parley.v1.Blocking", on: true } }));
	await world.settle();
	expect(blockOf(world.bob.store, ALICE)).toEqual({ blocked: true, due: false });
});

test("PRESENCE-1 typing and presence are shown and said where both switches and acceptance allow it", async () => {
	const account = uuidToBytes(ALICE);
	const there = says({
		case: "presence",
		value: { $typeName: "parley.v1.PeerPresence", account, online: true, fleeting: false },
	});
	expect(await said({ type: "set-online", online: true }, there)).toEqual([]);
	world.bob.inbox.push({ type: "accept-request", peer: ALICE });
	await world.settle();
	expect(await said({ type: "set-online", online: true })).toEqual(["presence"]);
	expect(await said({ type: "typing", peer: ALICE, started: true })).toEqual(["typing"]);
	world.bob.inbox.push(there);
	await world.settle();
	expect(world.bob.notices).toContainEqual({ type: "presence", peer: ALICE, online: true, seenMs: world.nowMs });
	expect(seenMs(world.bob.store, ALICE)).toBe(world.nowMs);
	const fleeting = says({
		case: "presence",
		value: { $typeName: "parley.v1.PeerPresence", account, online: false, fleeting: true },
	});
	const noted = world.nowMs;
	world.nowMs += 60_000;
	world.bob.inbox.push(fleeting);
	await world.settle();
	expect(world.bob.notices).toContainEqual({ type: "presence", peer: ALICE, online: false, seenMs: world.nowMs });
	expect(seenMs(world.bob.store, ALICE)).toBe(noted);
	// Who hides when they were seen does not note it of others, and says so with their presence.
	const off: MachineEvent = { type: "set-privacy", what: "last_seen", on: false };
	expect(await shows(off, there)).toEqual([{ online: true, fleeting: true }]);
	expect(seenMs(world.bob.store, ALICE)).toBe(noted);
	expect(await shows({ type: "set-online", online: true })).toEqual([{ online: true, fleeting: true }]);
	const both = (["presence", "typing"] as const).map((what) => ({ type: "set-privacy" as const, what, on: false }));
	await said(...both);
	expect(await said({ type: "set-online", online: false })).toEqual([]);
	expect(await said({ type: "typing", peer: ALICE, started: true })).toEqual([]);
	world.bob.notices.length = 0;
	world.bob.inbox.push(there);
	await world.settle();
	expect(world.bob.notices).toEqual([]);
});

/** What Bob's machine shows of him in answer to events. */
async function shows(...events: MachineEvent[]): Promise<{ online: boolean; fleeting: boolean }[]> {
	const requests = await world.bob.machine.step(events);
	return requests.flatMap((request) => {
		const frame = request.type === "send-frame" ? request.frame.frame : undefined;
		return frame?.case === "presence" ? [{ online: frame.value.online, fleeting: frame.value.fleeting }] : [];
	});
}

test("PRESENCE-1 who switches presence off while they are there leaves at once, and comes when it is switched on", async () => {
	world.text(world.bob, "hi");
	await world.settle();
	expect(await shows({ type: "set-online", online: true })).toEqual([{ online: true, fleeting: false }]);
	const off: MachineEvent = { type: "set-privacy", what: "presence", on: false };
	expect(await shows(off)).toEqual([{ online: false, fleeting: false }]);
	expect(await shows(off)).toEqual([]);
	expect(await shows({ ...off, on: true })).toEqual([{ online: true, fleeting: false }]);
	await shows({ type: "set-online", online: false });
	expect(await shows(off)).toEqual([]);
});

test("REQUEST-1 no greeting says how far a request was read, and no receipt how far what was read in private", async () => {
	world.bob.inbox.push({ type: "mark-read", peer: ALICE, upTo: 1 });
	await world.settle();
	world.bob.restart();
	world.connect(world.bob);
	await world.settle();
	expect(world.server.read.get(BOB) ?? 0).toBe(0);
	setReadReceipts(world.bob.store, false);
	world.bob.inbox.push({ type: "accept-request", peer: ALICE });
	await world.settle();
	expect(statuses()).toEqual(["delivered"]);
});

test("RETRY-3 REQUEST-3 of what an old copy of the file lacks nothing is asked for before the request is accepted", async () => {
	const { bob, server } = world;
	server.wipes = true;
	// As a copy from before the first message would be.
	bob.store.run("DELETE FROM messages");
	bob.store.run("UPDATE conversations SET cursor = 0");
	server.acknowledged.set(BOB, 1);
	bob.restart();
	world.connect(bob);
	await world.settle();
	expect([bodies().length, server.log.length]).toEqual([0, 1]);
	world.text(bob, "and you?");
	await world.settle();
	expect(bodies()).toEqual(["hello", "and you?"]);
});

test("REQUEST-1 whom the user has accepted has no request that could be deleted: their messages stay", async () => {
	world.bob.inbox.push({ type: "accept-request", peer: ALICE }, { type: "delete-request", peer: ALICE });
	await world.settle();
	expect(bodies()).toEqual(["hello"]);
});

test("REQUEST-1 BLOCK-1 whom the user blocks is listed as blocked, not as a stranger, and no longer once that ends", async () => {
	world.bob.inbox.push({ type: "set-blocked", peer: ALICE, on: true });
	await world.settle();
	expect([strangers(world.bob.store), blockedPeers(world.bob.store)]).toEqual([[], [ALICE]]);
	world.bob.inbox.push({ type: "set-blocked", peer: ALICE, on: false });
	await world.settle();
	expect([strangers(world.bob.store), blockedPeers(world.bob.store)]).toEqual([[ALICE], []]);
});
