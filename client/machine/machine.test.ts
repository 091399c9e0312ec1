import { create, toBinary } from "@bufbuild/protobuf";
import { afterEach, beforeEach, expect, test } from "vitest";
import { ConversationUpSchema } from "../../protocol/gen/conversation_up_pb.js";
import { isUuidV7, uuidToBytes } from "../../protocol/ids.ts";
import { setReadReceipts } from "../store/account.ts";
import { history, message, pendingOutboxCount, positions } from "../store/queries.ts";
import { ALICE, BOB, TestWorld } from "./testing.ts";

let world: TestWorld;
beforeEach(() => {
	world = new TestWorld();
});
afterEach(() => world.close());

const bodies = (store: TestWorld["alice"]["store"], peer: string) => history(store, peer, 1_000).map((row) => row.body);

test("CLIENT-2 WATERMARK-1 two machines talk; status goes from queued to read", async () => {
	const id = world.text(world.alice, "hello");
	world.connect(world.bob);
	await world.settle();
	expect(bodies(world.bob.store, ALICE)).toEqual(["hello"]);
	expect(message(world.alice.store, id)).toMatchObject({ status: "delivered", number: 1, outgoing: true });
	world.text(world.bob, "hi");
	await world.settle();
	expect(bodies(world.alice.store, BOB)).toEqual(["hello", "hi"]);
	world.bob.inbox.push({ type: "mark-read", peer: ALICE, upTo: 1 });
	await world.settle();
	expect(message(world.alice.store, id)?.status).toBe("read");
});

test("CLIENT-2 a hundred texts wait over a restart and arrive in order", async () => {
	const expected = Array.from({ length: 100 }, (_, index) => `text ${index}`);
	for (const body of expected) world.text(world.alice, body);
	await world.alice.machine.step(world.alice.inbox.splice(0));
	world.alice.restart();
	expect(pendingOutboxCount(world.alice.store, BOB)).toBe(100);
	world.connect(world.alice);
	world.connect(world.bob);
	await world.settle();
	expect(bodies(world.bob.store, ALICE)).toEqual(expected);
	expect(pendingOutboxCount(world.alice.store, BOB)).toBe(0);
	expect(positions(world.bob.store, ALICE).cursor).toBe(100);
});

test("DELIVERED-1 an entry that comes twice is stored once", async () => {
	world.text(world.alice, "once");
	world.connect(world.bob);
	await world.settle();
	const inbox = world.bob.notices.length;
	const hello = create(ConversationUpSchema, {
		frame: {
			case: "hello",
			value: { $typeName: "parley.v1.Hello", protocolVersion: 1, cursor: 0, read: 0, rosterVersion: 0, quiet: false },
		},
	});
	// The server forgets how far Bob is, and sends everything again.
	world.server.handle(BOB, toBinary(ConversationUpSchema, hello), (to, frame) => {
		if (to === BOB) world.bob.inbox.push({ type: "conversation-frame", peer: ALICE, frame });
	});
	await world.settle();
	expect(bodies(world.bob.store, ALICE)).toEqual(["once"]);
	expect(world.bob.notices.slice(inbox).filter((notice) => notice.type === "message")).toEqual([]);
});

test("ONCE-2 ids grow when the clock goes back by years, over a restart too", async () => {
	world.nowMs = Date.UTC(2040, 0, 1);
	const first = world.text(world.alice, "from the future");
	world.connect(world.bob);
	await world.settle();
	world.nowMs = Date.UTC(2020, 0, 1);
	world.alice.restart();
	world.connect(world.alice);
	const second = world.text(world.alice, "from the past");
	await world.settle();
	expect(second > first).toBe(true);
	expect(isUuidV7(uuidToBytes(second))).toBe(true);
	expect(bodies(world.bob.store, ALICE)).toEqual(["from the future", "from the past"]);
});

test("WATERMARK-1 a status never goes back, and only what has changed is told", async () => {
	world.connect(world.alice);
	world.connect(world.bob);
	const ids = ["one", "two", "three"].map((body) => world.text(world.alice, body));
	await world.settle();
	world.bob.inbox.push({ type: "mark-read", peer: ALICE, upTo: 2 });
	await world.settle();
	const statuses = () => ids.map((id) => message(world.alice.store, id)?.status);
	expect(statuses()).toEqual(["read", "read", "delivered"]);
	const told = world.alice.notices.length;
	world.bob.inbox.push({ type: "mark-read", peer: ALICE, upTo: 1 });
	await world.settle();
	world.connect(world.alice);
	await world.settle();
	expect(statuses()).toEqual(["read", "read", "delivered"]);
	expect(world.alice.notices.slice(told).filter((notice) => notice.type === "message-changed")).toEqual([]);
	world.bob.inbox.push({ type: "mark-read", peer: ALICE, upTo: 3 });
	await world.settle();
	expect(statuses()).toEqual(["read", "read", "read"]);
});

test("ROSTER-2 a send for another roster is repaired and arrives once, in order", async () => {
	world.connect(world.alice);
	world.connect(world.bob);
	world.text(world.alice, "before");
	await world.settle();
	world.server.rosterVersion++;
	for (const body of ["x", "y", "z"]) world.text(world.alice, body);
	await world.settle();
	expect(bodies(world.bob.store, ALICE)).toEqual(["before", "x", "y", "z"]);
	expect(pendingOutboxCount(world.alice.store, BOB)).toBe(0);
});

test("WATERMARK-2 read is 0 in Hello where it is private, and no Read leaves", async () => {
	world.connect(world.alice);
	world.connect(world.bob);
	world.text(world.alice, "hello");
	await world.settle();
	setReadReceipts(world.bob.store, false);
	const requests = await world.bob.machine.step([{ type: "mark-read", peer: ALICE, upTo: 1 }]);
	expect(requests).toEqual([]);
	const [hello] = await world.bob.machine.step([{ type: "conversation-opened", peer: ALICE }]);
	expect(hello?.type === "send-frame" && hello.frame.frame.value).toMatchObject({ cursor: 1, read: 0 });
	expect(positions(world.bob.store, ALICE).read).toBe(1);
});
