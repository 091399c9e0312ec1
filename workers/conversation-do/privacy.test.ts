/** Blocking, presence and quiet acknowledgements: what is told to whom. */
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { expect, test } from "vitest";
import { ConversationDownSchema } from "../../protocol/gen/conversation_down_pb.js";
import { ConversationUpSchema } from "../../protocol/gen/conversation_up_pb.js";
import { uuidFromBytes } from "../../protocol/ids.ts";
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
import { GroupBench } from "./testing-groups.ts";

const BLOCK = up({ case: "block", value: { on: true } });
const UNBLOCK = up({ case: "block", value: { on: false } });
const A2: Address = { account: ALICE, device: 2, registrationId: 12 };

/** Both devices connected and caught up, their first frames read. */
function pair() {
	const bench = new Bench();
	const [one, other] = [bench.ready(A1), bench.ready(B1)];
	bench.effects = [];
	return { bench, one, other };
}

test("BLOCK-1 a blocked sender is answered as always, and nothing comes to the blocker, after waking and unblocking neither", () => {
	const { bench, one, other } = pair();
	bench.raw(other, BLOCK);
	expect(bench.take(other)).toEqual(["blocking true"]);
	expect(bench.take(one)).toEqual([]);
	bench.raw(one, message(newId(), [B1]));
	expect(bench.take(one)).toEqual(["accepted 1"]);
	expect(bench.take(other)).toEqual([]);
	bench.restart(false);
	const again = bench.ready(B1);
	expect(bench.take(again)).toEqual(["welcome 1 v1 0/0 0/0", "caught up 1"]);
	const sender = bench.ready(A1);
	bench.take(sender);
	bench.raw(sender, message(newId(), [B1]));
	bench.raw(again, UNBLOCK);
	expect(bench.take(again)).toEqual(["blocking false"]);
	bench.restart(true);
	bench.raw(sender, message(newId(), [B1]));
	expect(bench.take(again)).toEqual(["entry 3"]);
	const later = bench.ready(B1, 0);
	expect(bench.take(later)).toEqual(["welcome 3 v1 0/0 0/0", "entry 3", "caught up 3"]);
});

test("BLOCK-1 the parts for a blocker are on no disk, and what is repeated is still known", () => {
	const { bench, one, other } = pair();
	bench.raw(other, BLOCK);
	const bytes = message(newId(), [B1], 1, "what nobody gets");
	bench.raw(one, bytes);
	bench.raw(one, bytes);
	expect(bench.take(one)).toEqual(["accepted 1", "accepted 1"]);
	const kept = bench.store.rows(0, 1)[0]?.payload ?? new Uint8Array();
	expect(new TextDecoder().decode(kept)).not.toContain("what nobody gets");
});

test("BLOCK-1 other devices of the sender get what it sends", () => {
	const bench = new Bench([member(ALICE, 11, 12), member(BOB, 21)]);
	const [one, two, other] = [bench.ready(A1), bench.ready(A2), bench.ready(B1)];
	bench.effects = [];
	bench.raw(other, BLOCK);
	bench.take(other);
	bench.raw(one, message(newId(), [A2, B1]));
	expect(bench.take(two)).toEqual(["entry 1"]);
	expect(bench.take(other)).toEqual([]);
});

test("BLOCK-2 the blocked one learns nothing: no watermark, typing or presence, in a new welcome neither", () => {
	const { bench, one, other } = pair();
	bench.raw(one, message(newId(), [B1]));
	bench.up(other, { case: "presence", value: { online: true } });
	bench.effects = [];
	bench.raw(other, BLOCK);
	// As somebody who leaves.
	expect(bench.take(one)).toEqual(["presence false"]);
	bench.raw(one, message(newId(), [B1]));
	bench.up(other, { case: "acknowledge", value: { cursor: 2 } });
	bench.up(other, { case: "read", value: { upTo: 2 } });
	bench.up(other, { case: "typing", value: { started: true } });
	bench.up(other, { case: "presence", value: { online: false } });
	bench.up(other, { case: "presence", value: { online: true } });
	expect(bench.take(one)).toEqual(["accepted 2"]);
	for (const keep of [true, false]) {
		bench.restart(keep);
		const again = bench.ready(B1, 2, 2);
		bench.take(again);
		const blocked = bench.ready(A1);
		expect(bench.take(blocked)[0]).toBe("welcome 2 v1 0/0 0/0");
	}
});

test("BLOCK-2 the blocker does not see the blocked one either", () => {
	const { bench, one, other } = pair();
	bench.raw(other, BLOCK);
	bench.take(other);
	bench.up(one, { case: "typing", value: { started: true } });
	bench.up(one, { case: "presence", value: { online: true } });
	expect(bench.take(other)).toEqual([]);
});

test("BLOCK-2 of two who block each other neither learns what the other one changes", () => {
	const { bench, one, other } = pair();
	for (const socket of [one, other]) bench.up(socket, { case: "presence", value: { online: true } });
	bench.effects = [];
	bench.raw(other, BLOCK);
	expect(bench.take(one)).toEqual(["presence false"]);
	bench.take(other);
	bench.raw(one, BLOCK);
	expect(bench.take(one)).toEqual(["blocking true"]);
	expect(bench.take(other)).toEqual([]);
	// The other one blocks on: nothing of them comes, nor of this one to them.
	bench.raw(one, UNBLOCK);
	expect(bench.take(one)).toEqual(["blocking false"]);
	expect(bench.take(other)).toEqual([]);
	bench.raw(other, UNBLOCK);
	expect(bench.take(one)).toEqual(["presence true"]);
	expect(bench.take(other)).toEqual(["blocking false", "presence true"]);
});

test("BLOCK-3 what the blocked one sends wakes no device of the blocker, and holds up no removal", () => {
	const { bench, one, other } = pair();
	bench.raw(other, BLOCK);
	bench.handle({ type: "disconnected", socket: other });
	bench.takeCalls();
	for (let sent = 0; sent < 3; sent++) bench.raw(one, message(newId(), [B1]));
	expect(bench.takeCalls().filter(({ type }) => type === "nudge")).toEqual([]);
	bench.up(one, { case: "acknowledge", value: { cursor: 3 } });
	const back = bench.ready(B1, 0);
	expect(bench.take(back)).toEqual(["welcome 3 v1 3/0 0/0", "caught up 3"]);
	bench.up(back, { case: "acknowledge", value: { cursor: 3 } });
	expect(bench.store.entries(0, 9).map(({ wiped }) => wiped)).toEqual([true, true, true]);
	// A device that has lost what it acknowledged is told so, as of all that is removed.
	bench.restart(false);
	expect(bench.take(bench.ready(B1, 0)).slice(1)).toEqual(["missed 1-3", "caught up 3"]);
});

test("BLOCK-3 a blocker that lags behind gets what is older, once, and nothing of what came after", () => {
	const { bench, one, other } = pair();
	bench.raw(one, message(newId(), [B1]));
	bench.raw(other, BLOCK);
	bench.raw(one, message(newId(), [B1]));
	bench.take(other);
	bench.up(other, { case: "acknowledge", value: { cursor: 1 } });
	bench.takeCalls();
	bench.handle({ type: "disconnected", socket: other });
	expect(bench.takeCalls()).toEqual([]);
});

test("BLOCK-3 KEPT-1 what a blocker has not read stays for it while others read what came after", () => {
	const { bench, one, other } = pair();
	bench.raw(one, message(newId(), [B1]));
	bench.raw(other, BLOCK);
	bench.handle({ type: "disconnected", socket: other });
	bench.raw(one, message(newId(), [B1]));
	bench.up(one, { case: "acknowledge", value: { cursor: 2 } });
	bench.handle({ type: "setDevices", member: { ...member(ALICE, 11, 12), version: 2 } });
	const again = bench.ready(B1);
	expect(bench.take(again).slice(1)).toEqual(["entry 1", "caught up 2"]);
});

test("BLOCK-2 DELIVERED-4 what a blocker acknowledges beside a message that is refused is told to nobody", () => {
	const { bench, one, other } = pair();
	bench.raw(one, message(newId(), [B1]));
	bench.raw(other, BLOCK);
	bench.effects = [];
	const beside = toBinary(ConversationUpSchema, create(ConversationUpSchema, { acknowledged: 1 }));
	bench.raw(other, new Uint8Array([...message(newId(), [A1], 9), ...beside]));
	expect(bench.take(other)).toEqual(["refused STALE_ROSTER 0"]);
	expect(bench.take(one)).toEqual([]);
	expect(bench.store.entries(0, 1)[0]?.wiped).toBe(true);
});

test("BLOCK-1 nobody is blocked in a conversation with oneself, or in a group", () => {
	const bench = new Bench([member(ALICE, 11)]);
	const one = bench.ready(A1);
	bench.take(one);
	bench.raw(one, BLOCK);
	expect(bench.take(one)).toEqual(["refused NOT_PERMITTED 0"]);
	const group = new GroupBench();
	group.raw(group.alice, BLOCK);
	expect(group.take(group.alice)).toEqual(["refused NOT_PERMITTED 0"]);
});

test("BLOCK-2 a block that is said again tells the blocked one nothing", () => {
	const { bench, one, other } = pair();
	bench.up(other, { case: "presence", value: { online: true } });
	bench.raw(other, BLOCK);
	bench.take(one);
	bench.take(other);
	bench.raw(other, BLOCK);
	expect(bench.take(other)).toEqual(["blocking true"]);
	expect(bench.take(one)).toEqual([]);
});

test("PRESENCE-1 presence goes to who listens, and ends with the connection; nothing of it is kept", () => {
	const { bench, one, other } = pair();
	const before = bench.store.readState();
	bench.up(one, { case: "presence", value: { online: true } });
	bench.up(one, { case: "presence", value: { online: true } });
	expect(bench.take(other)).toEqual(["presence true"]);
	expect(bench.take(one)).toEqual([]);
	bench.restart(true);
	bench.handle({ type: "disconnected", socket: one });
	expect(bench.take(other)).toEqual(["presence false"]);
	expect(bench.store.readState() ?? "").not.toContain("online");
	expect(bench.store.readState()?.length).toBe(before?.length);
});

test("PRESENCE-1 an account is there as long as one of its devices says so", () => {
	const bench = new Bench([member(ALICE, 11, 12), member(BOB, 21)]);
	const [one, two, other] = [bench.ready(A1), bench.ready(A2), bench.ready(B1)];
	bench.effects = [];
	bench.up(one, { case: "presence", value: { online: true } });
	bench.up(two, { case: "presence", value: { online: true } });
	bench.handle({ type: "disconnected", socket: one });
	bench.up(two, { case: "presence", value: { online: false } });
	expect(bench.take(other)).toEqual(["presence true", "presence true", "presence true", "presence false"]);
});

test("PRESENCE-2 who hides when they were seen says so with each coming and going, a lost connection and a blocking too", () => {
	const { bench, one, other } = pair();
	bench.up(one, { case: "presence", value: { online: true, fleeting: true } });
	bench.up(one, { case: "presence", value: { online: true, fleeting: true } });
	expect(bench.take(other)).toEqual(["presence true fleeting"]);
	bench.up(one, { case: "presence", value: { online: true, fleeting: false } });
	expect(bench.take(other)).toEqual(["presence true"]);
	bench.up(one, { case: "presence", value: { online: true, fleeting: true } });
	bench.take(other);
	bench.raw(one, BLOCK);
	expect(bench.take(other)).toEqual(["presence false fleeting"]);
	bench.raw(one, UNBLOCK);
	expect(bench.take(other)).toEqual(["presence true fleeting"]);
	bench.restart(true);
	bench.handle({ type: "disconnected", socket: one });
	expect(bench.take(other)).toEqual(["presence false fleeting"]);
});

test("REQUEST-2 a quiet acknowledgement frees the server's copy and tells nobody, until it is said aloud", () => {
	const { bench, one, other } = pair();
	bench.raw(one, message(newId(), [B1]));
	bench.up(other, { case: "acknowledge", value: { cursor: 1, quiet: true } });
	expect(bench.take(one)).toEqual(["accepted 1"]);
	expect(bench.store.entries(0, 1)[0]?.wiped).toBe(true);
	for (const keep of [true, false]) {
		bench.restart(keep);
		const again = bench.open(B1);
		bench.up(again, { case: "hello", value: { protocolVersion: 1, cursor: 1, quiet: true } });
		bench.take(again);
		const sender = bench.ready(A1, 1);
		expect(bench.take(sender)[0]).toBe("welcome 1 v1 1/0 0/0");
		if (keep) continue;
		bench.up(again, { case: "acknowledge", value: { cursor: 1, quiet: true } });
		expect(bench.take(sender)).toEqual(["caught up 1"].slice(1));
		bench.up(again, { case: "acknowledge", value: { cursor: 1 } });
		expect(bench.take(sender)).toEqual(["watermark 1/0"]);
	}
});

test("REQUEST-2 what was acknowledged quietly is not told after a crash either, before the device says anything", () => {
	const { bench, one, other } = pair();
	bench.raw(one, message(newId(), [B1]));
	bench.up(other, { case: "acknowledge", value: { cursor: 1, quiet: true } });
	for (const socket of [other, one]) bench.handle({ type: "disconnected", socket });
	bench.restart(false);
	expect(bench.take(bench.ready(A1, 1))[0]).toBe("welcome 1 v1 1/0 0/0");
});

test("BLOCK-1 in the runtime: blocked before, after and over an eviction", async () => {
	const { stub, alice, bob } = await newConversation();
	const one = await TestSocket.ready(stub, alice);
	const other = await TestSocket.ready(stub, bob);
	await one.take(2);
	await other.take(2);
	other.send(BLOCK);
	expect(await other.next()).toBe("blocking true");
	one.send(message(newId(), [bob]));
	expect(await one.next()).toBe("accepted 1");
	other.send(UNBLOCK);
	expect(await other.next()).toBe("blocking false");
	one.send(message(newId(), [bob]));
	expect(await one.next()).toBe("accepted 2");
	expect(await other.next()).toBe("entry 2");
});

/** Who is there, as the first frame on a new socket says it. */
function onlineIn(bench: Bench, address: Address): string[] {
	bench.effects = [];
	bench.ready(address);
	for (const effect of bench.effects) {
		if (effect.type !== "send") continue;
		const { frame } = fromBinary(ConversationDownSchema, effect.bytes);
		if (frame.case === "welcome") return frame.value.online.map(uuidFromBytes);
	}
	throw new Error("no welcome");
}

test("PRESENCE-1 BLOCK-2 a greeting says who is there, never oneself, and nobody between two of whom one blocks", () => {
	const { bench, one, other } = pair();
	for (const socket of [one, other]) bench.up(socket, { case: "presence", value: { online: true } });
	const second: Address = { account: BOB, device: 2, registrationId: 22 };
	bench.handle({ type: "setDevices", member: { ...member(BOB, 21, 22), version: 2 } });
	expect(onlineIn(bench, second)).toEqual([ALICE]);
	bench.raw(one, BLOCK);
	expect(onlineIn(bench, second)).toEqual([]);
	bench.raw(one, UNBLOCK);
	expect(onlineIn(bench, second)).toEqual([ALICE]);
});

test("BLOCK-1 what the blocker sends goes to their other devices and to the blocked one", () => {
	const bench = new Bench([member(ALICE, 11, 12), member(BOB, 21)]);
	const [one, two, other] = [bench.ready(A1), bench.ready(A2), bench.ready(B1)];
	bench.raw(one, BLOCK);
	bench.effects = [];
	bench.raw(one, message(newId(), [A2, B1]));
	expect(bench.take(two)).toEqual(["entry 1"]);
	expect(bench.take(other)).toEqual(["entry 1"]);
});

test("PRESENCE-1 who has not said hello hears nobody come, and in a group nobody does", () => {
	const bench = new Bench();
	const one = bench.ready(A1);
	const silent = bench.open(B1);
	bench.up(one, { case: "presence", value: { online: true } });
	expect(bench.take(silent)).toEqual([]);
	const group = new GroupBench();
	group.up(group.alice, { case: "presence", value: { online: true } });
	expect(group.take(group.bob)).toEqual([]);
});

test("PRESENCE-2 it is enough that one of an account's devices hides when its user was seen", () => {
	const bench = new Bench([member(ALICE, 11, 12), member(BOB, 21)]);
	const [one, two, other] = [bench.ready(A1), bench.ready(A2), bench.ready(B1)];
	bench.effects = [];
	bench.up(one, { case: "presence", value: { online: true } });
	bench.up(two, { case: "presence", value: { online: true, fleeting: true } });
	bench.up(one, { case: "presence", value: { online: false } });
	expect(bench.take(other)).toEqual(["presence true", "presence true fleeting", "presence true fleeting"]);
	bench.up(one, { case: "presence", value: { online: true } });
	bench.take(other);
	for (const [frame, shown] of [
		[BLOCK, "presence false fleeting"],
		[UNBLOCK, "presence true fleeting"],
	] as const) {
		bench.raw(one, frame);
		expect(bench.take(other)).toEqual([shown]);
	}
});
