import { runInDurableObject } from "cloudflare:test";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { expect, test } from "vitest";
import { ConversationDownSchema } from "../../protocol/gen/conversation_down_pb.js";
import { ConversationUpSchema } from "../../protocol/gen/conversation_up_pb.js";
import { LIMITS } from "../../protocol/limits.ts";
import {
	A1,
	type Address,
	ALICE,
	B1,
	Bench,
	BOB,
	member,
	message,
	newConversation,
	newId,
	TestSocket,
	up,
} from "./testing.ts";
import { GroupBench, joining, request } from "./testing-groups.ts";

const A2: Address = { account: ALICE, device: 2, registrationId: 12 };
const B2: Address = { account: BOB, device: 2, registrationId: 22 };

/** A message with an acknowledgement beside it. */
function carrying(acknowledged: number, to: Address[], id = newId(), version = 1): Uint8Array {
	const field = toBinary(ConversationUpSchema, create(ConversationUpSchema, { acknowledged }));
	return new Uint8Array([...message(id, to, version), ...field]);
}

/** What is beside the entries that a socket was sent since the last call. */
function takeBeside(bench: Bench, socket: number): { delivered: number | undefined; after: number | undefined }[] {
	const found = bench.effects.flatMap((effect) => {
		if (effect.type !== "send" || effect.socket !== socket) return [];
		const { frame, delivered, after } = fromBinary(ConversationDownSchema, effect.bytes);
		return frame.case === "entry" ? [{ delivered, after }] : [];
	});
	bench.take(socket);
	return found;
}

const wiped = (bench: Bench) => bench.store.entries(0, 1_000).map((entry) => entry.wiped);

test("DELIVERED-4: an acknowledgement beside a message counts, and the others hear of it beside the entry", () => {
	const bench = new Bench();
	const [alice, bob] = [bench.ready(A1), bench.ready(B1)];
	bench.raw(alice, message(newId(), [B1]));
	bench.effects = [];
	bench.raw(bob, carrying(1, [A1]));
	expect(bench.take(bob)).toEqual(["accepted 2"]);
	expect(takeBeside(bench, alice)).toEqual([{ delivered: 1, after: undefined }]);
	// Said once: the next message has nothing to say.
	bench.raw(bob, carrying(1, [A1]));
	expect(takeBeside(bench, alice)).toEqual([{ delivered: undefined, after: undefined }]);
	// The log keeps the message alone, as it would be without.
	const [, kept] = bench.store.rows(0, 3);
	expect(fromBinary(ConversationUpSchema, kept?.payload ?? new Uint8Array()).acknowledged).toBeUndefined();
	// Who connects later finds it in the welcome.
	bench.ready(A1, 0);
	expect(bench.take(3)[0]).toContain("1/0");
});

test("DELIVERED-4: encoders that write in another order may send it too", () => {
	const bench = new Bench();
	const [alice, bob] = [bench.ready(A1), bench.ready(B1)];
	bench.raw(alice, message(newId(), [B1]));
	const field = toBinary(ConversationUpSchema, create(ConversationUpSchema, { acknowledged: 1 }));
	bench.effects = [];
	bench.raw(bob, new Uint8Array([...field, ...message(newId(), [A1])]));
	expect(takeBeside(bench, alice)).toEqual([{ delivered: 1, after: undefined }]);
	const [, kept] = bench.store.rows(0, 2);
	expect(fromBinary(ConversationUpSchema, kept?.payload ?? new Uint8Array()).acknowledged).toBeUndefined();
	// Beside anything else it is no frame of this version.
	const read = up({ case: "read", value: { upTo: 1 } });
	bench.raw(bob, new Uint8Array([...read, ...field]));
	expect(bench.take(bob)).toContain("refused MALFORMED 0");
});

test("DELIVERED-4: it counts whatever becomes of the message, and whoever doesn't get the entry gets the watermark", () => {
	const bench = new Bench([member(ALICE, 11, 12), member(BOB, 21, 22)]);
	const [one, two, bob, second] = [bench.ready(A1), bench.ready(A2), bench.ready(B1), bench.ready(B2)];
	const id = newId();
	bench.raw(one, message(newId(), [A2, B1, B2]));
	bench.raw(one, message(newId(), [A2, B1, B2]));
	bench.effects = [];
	// Refused: the roster is an old one.
	bench.raw(bob, carrying(1, [A1, A2], newId(), 0));
	expect(bench.take(one)).toEqual(["watermark 1/0"]);
	expect(bench.take(two)).toEqual(["watermark 1/0"]);
	bench.effects = [];
	bench.raw(bob, carrying(2, [A1, A2, B2], id));
	for (const socket of [one, two, second])
		expect(takeBeside(bench, socket)).toEqual([{ delivered: 2, after: undefined }]);
	// A repetition is answered as before; there is no entry to say it beside.
	bench.effects = [];
	bench.raw(bob, carrying(3, [A1, A2, B2], id));
	expect(bench.take(bob)).toEqual(["accepted 3"]);
	expect(bench.take(one)).toEqual(["watermark 3/0"]);
	// Beyond the head it is refused, and the message is not.
	bench.effects = [];
	bench.raw(bob, carrying(9, [A1, A2, B2]));
	expect(bench.take(bob)).toEqual(["refused CURSOR_BEYOND_HEAD 3", "accepted 4"]);
	expect(takeBeside(bench, one)).toEqual([{ delivered: undefined, after: undefined }]);
});

test("DELIVERED-4, WATERMARK-3: a device that came later says after which entry", () => {
	const bench = new Bench();
	const alice = bench.ready(A1);
	bench.raw(alice, message(newId(), [B1]));
	bench.handle({ type: "setDevices", member: { ...member(BOB, 21, 22), version: 2 } });
	const second = bench.ready(B2);
	bench.raw(alice, message(newId(), [B1, B2], 2));
	bench.effects = [];
	bench.raw(second, carrying(2, [A1, B1], newId(), 2));
	expect(takeBeside(bench, alice)).toEqual([{ delivered: 2, after: 1 }]);
});

test("DELIVERED-4, REQUEST-2: what was said quietly is said aloud beside a message", () => {
	const bench = new Bench();
	const [alice, bob] = [bench.ready(A1), bench.ready(B1)];
	bench.raw(alice, message(newId(), [B1]));
	bench.up(bob, { case: "acknowledge", value: { cursor: 1, quiet: true } });
	expect(bench.take(alice)).not.toContain("watermark 1/0");
	bench.raw(bob, carrying(1, [A1]));
	expect(takeBeside(bench, alice)).toEqual([{ delivered: 1, after: undefined }]);
});

test("KEPT-1, DELIVERED-4: what is acknowledged beside messages is removed by 16 entries, or with a frame of its own", () => {
	const bench = new Bench();
	const [alice, bob] = [bench.ready(A1), bench.ready(B1)];
	for (let turn = 0; turn < 60; turn++) {
		const head = 2 * turn;
		bench.raw(alice, carrying(head, [B1]));
		bench.raw(bob, carrying(head + 1, [A1]));
		const left = wiped(bench)
			.slice(0, head)
			.filter((gone) => !gone).length;
		expect(left, `turn ${turn}`).toBeLessThanOrEqual(16);
	}
	bench.up(alice, { case: "acknowledge", value: { cursor: 120 } });
	expect(wiped(bench).every((gone) => gone)).toBe(true);
});

test("KEPT-1, DELIVERED-4: it is removed at once where nobody is there who would complete it, and when somebody leaves", () => {
	const bench = new Bench();
	const alice = bench.ready(A1);
	bench.raw(alice, message(newId(), [B1]));
	bench.handle({ type: "disconnected", socket: alice });
	const bob = bench.ready(B1);
	bench.raw(bob, carrying(1, [A1]));
	expect(wiped(bench)).toEqual([true, false]);
	const again = bench.ready(A1, 1);
	bench.raw(again, carrying(2, [B1]));
	expect(wiped(bench)).toEqual([true, false, false]);
	bench.handle({ type: "disconnected", socket: bob });
	expect(wiped(bench)).toEqual([true, true, false]);
});

test("KEPT-1, DELIVERED-4: it is removed when the second is over, though nobody says anything more", () => {
	const bench = new Bench();
	const [alice, bob] = [bench.ready(A1), bench.ready(B1)];
	bench.raw(alice, message(newId(), [B1]));
	expect(bench.core.unsettled).toBe(false);
	bench.raw(bob, carrying(1, [A1]));
	expect([bench.core.unsettled, wiped(bench), bench.sockets.get(bob)?.cursor]).toEqual([true, [false, false], 0]);
	bench.handle({ type: "settle" });
	expect([bench.core.unsettled, wiped(bench), bench.sockets.get(bob)?.cursor]).toEqual([false, [true, false], 1]);
});

test("KEPT-1, DELIVERED-4: the object sees to that by itself", async () => {
	const { stub, alice, bob } = await newConversation();
	const [one, other] = [await TestSocket.ready(stub, alice), await TestSocket.ready(stub, bob)];
	for (const socket of [one, other]) await socket.take(2);
	one.send(message(newId(), [bob]));
	expect(await other.next()).toBe("entry 1");
	other.send(carrying(1, [alice]));
	expect(await other.next()).toBe("accepted 2");
	const kept = () =>
		runInDurableObject(stub, (_, state) =>
			state.storage.sql.exec("SELECT number FROM log WHERE payload IS NOT NULL").toArray(),
		);
	while ((await kept()).length > 1) await scheduler.wait(50);
	expect(await kept()).toEqual([{ number: 2 }]);
});

test("IDLE-1, DELIVERED-4: a hibernation knows what was acknowledged beside messages", () => {
	const bench = new Bench();
	const [alice, bob] = [bench.ready(A1), bench.ready(B1)];
	bench.raw(alice, message(newId(), [B1]));
	bench.raw(bob, carrying(1, [A1]));
	bench.up(alice, { case: "acknowledge", value: { cursor: 2 } });
	expect([bench.sockets.get(alice)?.cursor, bench.sockets.get(bob)?.cursor]).toEqual([2, 1]);
});

test("DELIVERED-1, DELIVERED-4: after a fault nobody is told that they missed what they acknowledged beside messages", async () => {
	const { stub, alice, bob } = await newConversation();
	const [one, other] = [await TestSocket.ready(stub, alice), await TestSocket.ready(stub, bob)];
	for (const socket of [one, other]) await socket.take(2);
	for (let head = 0; head < 80; head += 2) {
		one.send(carrying(head, [bob]));
		await other.next();
		other.send(carrying(head + 1, [alice]));
		await one.take(2);
		await other.next();
	}
	const sql = (text: string) => runInDurableObject(stub, (_, state) => void state.storage.sql.exec(text));
	await sql("CREATE TRIGGER fault BEFORE INSERT ON log BEGIN SELECT RAISE(ABORT, 'fault'); END");
	one.send(carrying(80, [bob]));
	expect(await one.next()).toBe("refused INTERNAL 0");
	// From its cursor: what was wiped lies before it.
	expect(await other.next()).toBe("caught up 80");
	await sql("DROP TRIGGER fault");
	const again = await TestSocket.ready(stub, alice, 80);
	expect((await again.take(2)).at(-1)).toBe("caught up 80");
	expect(await other.next()).toBe("watermark 80/0");
});

test("DELIVERED-3, DELIVERED-4: an acknowledgement beside a message makes room for more", () => {
	const bench = new Bench();
	const [alice, bob] = [bench.ready(A1), bench.ready(B1)];
	for (let count = 0; count < 300; count++) bench.raw(alice, message(newId(), [B1]));
	expect(bench.take(bob).filter((frame) => frame.startsWith("entry"))).toHaveLength(256);
	bench.raw(bob, carrying(256, [A1]));
	expect(bench.take(bob).filter((frame) => frame.startsWith("entry"))).toHaveLength(44);
});

test("KEPT-1 in a large group what devices acknowledge is removed, and noted for a hibernation, when the second is over", () => {
	const bench = new GroupBench();
	const others = Array.from({ length: LIMITS.watermark_push_devices }, (_, index) => ({
		account: `00000000-0000-4000-8000-${(index + 0x1000).toString(16).padStart(12, "0")}`,
		device: 1,
		registrationId: 7,
	}));
	bench.change(request(A1, 2, { added: others.map((other) => joining(other)) }));
	const sockets = [bench.alice, bench.bob, ...others.map((other) => bench.ready(other))];
	bench.up(bench.alice, { case: "send", value: { messageId: newId(), rosterVersion: 2, shared: new Uint8Array(9) } });
	bench.effects = [];
	for (const socket of sockets) bench.up(socket, { case: "acknowledge", value: { cursor: 3 } });
	expect(bench.effects.filter(({ type }) => type === "attach")).toEqual([]);
	expect([bench.core.unsettled, wiped(bench).at(-1)]).toEqual([true, false]);
	bench.handle({ type: "settle" });
	expect([bench.core.unsettled, wiped(bench).at(-1)]).toEqual([false, true]);
	expect(sockets.map((socket) => bench.sockets.get(socket)?.cursor)).toEqual(sockets.map(() => 3));
});

test("GROUP-8 WATERMARK-1 of a device that acknowledges much a group hears at once, and then at the second's end", () => {
	const bench = new GroupBench();
	const send = () =>
		bench.up(bench.alice, { case: "send", value: { messageId: newId(), rosterVersion: 1, shared: new Uint8Array(9) } });
	for (let count = 0; count < 4; count++) send();
	bench.effects = [];
	for (const cursor of [2, 3, 4]) bench.up(bench.bob, { case: "acknowledge", value: { cursor } });
	expect(bench.take(bench.alice)).toEqual(["watermark 2/0"]);
	expect(bench.core.unsettled).toBe(true);
	bench.handle({ type: "settle" });
	expect(bench.take(bench.alice)).toEqual(["watermark 4/0"]);
	expect(bench.core.unsettled).toBe(false);
	bench.handle({ type: "settle" });
	expect(bench.take(bench.alice)).toEqual([]);
	// From then on as at the beginning; and who leaves owes nothing.
	bench.up(bench.bob, { case: "acknowledge", value: { cursor: 5 } });
	expect(bench.take(bench.alice)).toEqual(["watermark 5/0"]);
	send();
	bench.up(bench.bob, { case: "acknowledge", value: { cursor: 6 } });
	bench.effects = bench.effects.filter(({ type }) => type !== "send");
	bench.handle({ type: "disconnected", socket: bench.bob });
	expect(bench.take(bench.alice)).toEqual(["watermark 6/0"]);
});

test("KEPT-1 in a conversation of two it is removed at once", () => {
	const bench = new Bench();
	const [alice, bob] = [bench.ready(A1), bench.ready(B1)];
	bench.raw(alice, message(newId(), [B1]));
	bench.up(bob, { case: "acknowledge", value: { cursor: 1 } });
	expect([bench.core.unsettled, wiped(bench), bench.sockets.get(bob)?.cursor]).toEqual([false, [true], 1]);
});

test("DELIVERED-4: who has heard it beside the entry hears it of no watermark, in a group neither", () => {
	const pair = new Bench();
	const [alice, bob] = [pair.ready(A1), pair.ready(B1)];
	pair.raw(alice, message(newId(), [B1]));
	pair.effects = [];
	pair.raw(bob, carrying(1, [A1]));
	expect(pair.take(alice)).toEqual(["entry 2"]);
	const group = new GroupBench();
	const field = toBinary(ConversationUpSchema, create(ConversationUpSchema, { acknowledged: 1 }));
	const value = { messageId: newId(), rosterVersion: 1, shared: new Uint8Array([1]) };
	group.raw(group.bob, new Uint8Array([...up({ case: "send", value }), ...field]));
	expect(group.take(group.alice)).toEqual(["entry 2"]);
});

test("GROUP-8, DELIVERED-4: in a large group nothing is said beside a message", () => {
	const bench = new GroupBench();
	const somebody = (_: unknown, index: number) =>
		joining({ account: crypto.randomUUID(), device: 1, registrationId: index + 1 });
	const added = Array.from({ length: LIMITS.watermark_push_devices - 1 }, somebody);
	bench.change(request(A1, 2, { added }));
	bench.effects = [];
	const version = 2;
	bench.raw(bench.bob, carrying(2, [A1], newId(), version));
	expect(takeBeside(bench, bench.alice)).toEqual([{ delivered: undefined, after: undefined }]);
});

test("DELIVERED-3 GROUP-1 messages to a group count as on the way like others", () => {
	const bench = new GroupBench();
	for (let sent = 0; sent < LIMITS.window_entries + 5; sent++) {
		bench.now_ms += 2;
		const value = { messageId: newId(), rosterVersion: 1, shared: new Uint8Array([1]) };
		bench.up(bench.alice, { case: "send", value });
	}
	// The founding was the first.
	expect(bench.take(bench.bob).at(-1)).toBe(`entry ${LIMITS.window_entries}`);
});
