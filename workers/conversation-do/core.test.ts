import { fromBinary } from "@bufbuild/protobuf";
import { expect, describe as group, test } from "vitest";
import { ConversationDownSchema } from "../../protocol/gen/conversation_down_pb.js";
import { A1, ALICE, B1, Bench, BOB, member, message, newId, up } from "./testing.ts";

const DAY_MS = 86_400_000;

/** Both devices connected and caught up, their first frames read. */
function pair() {
	const bench = new Bench();
	const [one, other] = [bench.ready(A1), bench.ready(B1)];
	bench.effects = [];
	return { bench, one, other };
}

function sendMany(bench: Bench, socket: number, count: number, text = "x"): void {
	for (let sent = 0; sent < count; sent++) {
		bench.now_ms += 2;
		bench.raw(socket, message(newId(), [B1], 1, text));
	}
}

group("the log", () => {
	test("ORDER-1 numbers go from 1 without gaps, refusals between included", () => {
		const { bench, one, other } = pair();
		bench.raw(one, message(newId(), [B1]));
		bench.raw(one, message(newId(), [B1], 2));
		bench.raw(other, message(newId(), [A1]));
		expect(bench.take(one)).toEqual(["accepted 1", "refused STALE_ROSTER 0", "entry 2"]);
		expect(bench.take(other)).toEqual(["entry 1", "accepted 2"]);
	});

	test("ORDER-2 time stays when the clock goes back", () => {
		const { bench, one } = pair();
		bench.raw(one, message(newId(), [B1]));
		bench.now_ms -= 5_000;
		bench.raw(one, message(newId(), [B1]));
		bench.restart(false);
		const again = bench.ready(A1);
		bench.raw(again, message(newId(), [B1]));
		const times = bench.store.entries(0, 9).map(({ time_ms }) => time_ms);
		expect(times).toEqual(times.map(() => bench.now_ms + 5_000));
	});

	test("ONCE-1 a repetition gets the first answer, whatever the roster is by then, and after a crash", () => {
		const { bench, one } = pair();
		const bytes = message(newId(), [B1]);
		bench.raw(one, bytes);
		bench.raw(one, bytes);
		bench.handle({ type: "setDevices", member: member(BOB, 21, 22) });
		bench.raw(one, bytes);
		expect(bench.take(one)).toEqual(["accepted 1", "accepted 1", "roster v2", "accepted 1"]);
		bench.restart(false);
		const again = bench.ready(A1, 1);
		bench.take(again);
		bench.raw(again, bytes);
		expect(bench.take(again)).toEqual(["accepted 1"]);
		expect(bench.core.head).toBe(1);
	});

	test("ONCE-1 a repetition of an entry that is gone is too old, after a crash too, and adds nothing", () => {
		const { bench, one, other } = pair();
		const first = message(newId(), [B1]);
		bench.raw(one, first);
		for (let round = 0; round < 42; round++) {
			sendMany(bench, one, 50);
			const cursor = bench.core.head;
			for (const socket of [one, other]) bench.up(socket, { case: "acknowledge", value: { cursor } });
		}
		expect(bench.store.entries(0, 9_999)[0]?.number).toBeGreaterThan(1);
		bench.restart(false);
		const again = bench.ready(A1, 1);
		bench.take(again);
		bench.raw(again, first);
		expect(bench.take(again)).toEqual(["refused MESSAGE_ID_TOO_OLD 0"]);
		expect(bench.core.head).toBe(2_101);
	});

	test("ONCE-3 other content or another device under the same id is a conflict", () => {
		const { bench, one, other } = pair();
		const id = newId();
		bench.raw(one, message(id, [B1]));
		bench.raw(one, message(id, [B1], 1, "y"));
		bench.raw(other, message(id, [A1]));
		expect(bench.take(one)).toEqual(["accepted 1", "refused MESSAGE_ID_CONFLICT 1"]);
		expect(bench.take(other)).toEqual(["entry 1", "refused MESSAGE_ID_CONFLICT 1"]);
	});

	test("KEPT-1 a ciphertext goes when every addressed device has acknowledged it, not before", () => {
		const bench = new Bench([member(ALICE, 11), member(BOB, 21, 22)]);
		const B2 = { account: BOB, device: 2, registrationId: 22 };
		const [one, b1, b2] = [bench.ready(A1), bench.ready(B1), bench.ready(B2)];
		bench.raw(one, message(newId(), [B1, B2]));
		bench.up(b1, { case: "acknowledge", value: { cursor: 1 } });
		expect(bench.store.entries(0, 1)[0]?.wiped).toBe(false);
		bench.up(b2, { case: "acknowledge", value: { cursor: 1 } });
		expect(bench.store.entries(0, 1)[0]?.wiped).toBe(true);
	});

	test("KEPT-1 a sender that reads nothing does not keep its own ciphertexts", () => {
		const { bench, one, other } = pair();
		bench.raw(other, message(newId(), [A1]));
		bench.raw(one, message(newId(), [B1]));
		bench.up(other, { case: "acknowledge", value: { cursor: 2 } });
		expect(bench.store.entries(0, 2).map(({ wiped }) => wiped)).toEqual([false, true]);
	});

	test("KEPT-2 what was removed by age is told as missed, in one range", () => {
		const { bench, one } = pair();
		sendMany(bench, one, 3);
		bench.now_ms += 46 * DAY_MS;
		bench.handle({ type: "alarm" });
		bench.raw(one, message(newId(), [B1]));
		const late = bench.ready(B1);
		expect(bench.take(late)).toEqual(["welcome 4 v1 0/0 0/0", "missed 1-3", "entry 4", "caught up 4"]);
	});
});

group("delivery", () => {
	test("DELIVERED-1 a device gets what is after its cursor, in order, and none of its own", () => {
		const { bench, one, other } = pair();
		sendMany(bench, one, 3);
		bench.handle({ type: "disconnected", socket: other });
		const again = bench.ready(B1, 1);
		expect(bench.take(again)).toEqual(["welcome 3 v1 0/0 1/0", "entry 2", "entry 3", "caught up 3"]);
		expect(bench.take(bench.ready(A1))).toEqual(["welcome 3 v1 0/0 1/0", "caught up 3"]);
	});

	test("DELIVERED-2 CaughtUp carries the head, in an empty log too", () => {
		expect(new Bench().take(0)).toEqual([]);
		const bench = new Bench();
		expect(bench.take(bench.ready(A1))).toEqual(["welcome 0 v1 0/0 0/0", "caught up 0"]);
	});

	test("DELIVERED-3 256 entries are on the way at most; the rest follows an acknowledgement; others go on", () => {
		const { bench, one, other } = pair();
		sendMany(bench, one, 300);
		expect(bench.take(one)).toHaveLength(300);
		expect(bench.take(other)).toHaveLength(256);
		bench.up(other, { case: "acknowledge", value: { cursor: 100 } });
		expect(bench.take(other)).toEqual([
			...Array.from({ length: 44 }, (_, index) => `entry ${257 + index}`),
			"caught up 300",
		]);
	});

	test("DELIVERED-3 a mebibyte is on the way at most", () => {
		const { bench, one, other } = pair();
		sendMany(bench, one, 20, "x".repeat(96 * 1024));
		expect(bench.take(other)).toHaveLength(11);
	});

	test("IDLE-1 after hibernation nothing is lost and nothing that was caught up is repeated", () => {
		const { bench, one, other } = pair();
		sendMany(bench, one, 2);
		bench.take(other);
		bench.restart(true);
		bench.raw(one, message(newId(), [B1]));
		expect(bench.take(other)).toEqual(["entry 3"]);
	});
});

group("the roster", () => {
	test("ROSTER-1 too few, too many or oneself is refused", () => {
		const { bench, one } = pair();
		bench.raw(one, message(newId(), []));
		bench.raw(one, message(newId(), [B1, A1]));
		bench.raw(one, message(newId(), [A1]));
		// For the right devices, but quoting another roster, or a device as it was installed before.
		bench.raw(one, message(newId(), [B1], 2));
		bench.raw(one, message(newId(), [{ ...B1, registrationId: 99 }]));
		expect(bench.take(one)).toEqual(Array.from({ length: 5 }, () => "refused STALE_ROSTER 0"));
		expect(bench.core.head).toBe(0);
	});

	test("ROSTER-2 a change is pushed, and what was encrypted before it is not logged", () => {
		const { bench, one } = pair();
		bench.handle({ type: "setDevices", member: member(BOB, 99) });
		bench.handle({ type: "setDevices", member: member(BOB, 99) });
		bench.raw(one, message(newId(), [B1]));
		bench.raw(one, message(newId(), [{ ...B1, registrationId: 99 }], 2));
		expect(bench.take(one)).toEqual(["roster v2", "refused STALE_ROSTER 0", "accepted 1"]);
	});

	test("ROSTER-2 the difference names devices missing, gone and re-registered", () => {
		const bench = new Bench([member(ALICE, 11), member(BOB, 21, 22)]);
		const one = bench.ready(A1);
		bench.effects = [];
		bench.raw(
			one,
			message(newId(), [
				{ ...B1, registrationId: 99 },
				{ ...B1, device: 5 },
			]),
		);
		const [effect] = bench.effects;
		const refused = effect?.type === "send" ? fromBinary(ConversationDownSchema, effect.bytes).frame : undefined;
		const difference = refused?.case === "refused" ? refused.value.difference : undefined;
		const numbers = (devices: { device: number; registrationId: number }[] = []) =>
			devices.map(({ device, registrationId }) => `${device}.${registrationId}`);
		expect(numbers(difference?.missing)).toEqual(["2.22"]);
		expect(numbers(difference?.gone)).toEqual(["5.21"]);
		expect(numbers(difference?.reregistered)).toEqual(["1.21"]);
	});

	test("ROSTER-2 the difference names no device that the message has right", () => {
		const bench = new Bench([member(ALICE, 11), member(BOB, 21, 22)]);
		const one = bench.ready(A1);
		bench.effects = [];
		bench.raw(one, message(newId(), [B1]));
		const [effect] = bench.effects;
		const refused = effect?.type === "send" ? fromBinary(ConversationDownSchema, effect.bytes).frame : undefined;
		expect(refused?.case === "refused" ? refused.value.difference : undefined).toMatchObject({
			...{ version: 1, missing: [{ device: 2, registrationId: 22 }], gone: [], reregistered: [] },
		});
	});

	test("ROSTER-3 a removed device is closed, a new one reads nothing before its arrival", () => {
		const { bench, one, other } = pair();
		sendMany(bench, one, 2);
		bench.take(other);
		bench.handle({ type: "setDevices", member: member(BOB, 99) });
		expect(bench.take(other)).toEqual(["refused NOT_ON_ROSTER 0", "closed 4403"]);
		const anew = bench.ready({ ...B1, registrationId: 99 });
		expect(bench.take(anew)).toEqual(["welcome 2 v2 0/0 2/0", "caught up 2"]);
	});
});

group("what is not in the log", () => {
	test("WATERMARK-1 positions are pushed to the others and never go back", () => {
		const { bench, one, other } = pair();
		sendMany(bench, one, 2);
		bench.take(one);
		for (const cursor of [2, 1]) bench.up(other, { case: "acknowledge", value: { cursor } });
		for (const upTo of [2, 1]) bench.up(other, { case: "read", value: { upTo } });
		expect(bench.take(one)).toEqual(["watermark 2/0", "watermark 2/2"]);
	});

	test("WATERMARK-2 Hello brings back what a crash has lost", () => {
		const { bench, one } = pair();
		sendMany(bench, one, 2);
		bench.restart(false);
		const watcher = bench.ready(A1);
		bench.take(watcher);
		bench.ready(B1, 2, 1);
		expect(bench.take(watcher)).toEqual(["watermark 2/1"]);
	});

	test("EPHEMERAL-1 typing goes to who listens, is not stored and wakes nobody", () => {
		const { bench, one, other } = pair();
		bench.up(one, { case: "typing", value: { started: true } });
		expect(bench.take(other)).toEqual(["typing true"]);
		bench.handle({ type: "disconnected", socket: other });
		bench.up(one, { case: "typing", value: { started: true } });
		expect(bench.effects).toEqual([]);
		expect(bench.core.head).toBe(0);
	});

	test("NUDGE-1 one nudge until the device was here; the alarm is set before the call", () => {
		const { bench, one, other } = pair();
		bench.handle({ type: "disconnected", socket: other });
		sendMany(bench, one, 1);
		expect(bench.takeCalls().map(({ type }) => type)).toEqual(["alarm", "alarm", "nudge"]);
		bench.handle({ type: "nudged", account: BOB, device: 1, upTo: 1, ok: true });
		sendMany(bench, one, 5);
		expect(bench.takeCalls()).toEqual([]);
		bench.restart(true);
		sendMany(bench, one, 1);
		expect(bench.takeCalls().filter(({ type }) => type === "nudge")).toEqual([]);
		const again = bench.ready(B1, 7);
		bench.handle({ type: "disconnected", socket: again });
		expect(bench.takeCalls()).toEqual([]);
		sendMany(bench, one, 1);
		expect(bench.takeCalls().at(-1)).toEqual({ type: "nudge", account: BOB, peer: ALICE, device: 1, upTo: 8 });
	});

	test("NUDGE-1 a nudge that a crash or a failure stopped is repeated by the alarm, and on leaving behind", () => {
		const { bench, one, other } = pair();
		sendMany(bench, one, 1);
		bench.handle({ type: "disconnected", socket: other });
		expect(bench.takeCalls().at(-1)?.type).toBe("nudge");
		bench.handle({ type: "nudged", account: BOB, device: 1, upTo: 1, ok: false });
		bench.now_ms += 60_000;
		bench.handle({ type: "alarm" });
		expect(bench.takeCalls().filter(({ type }) => type === "nudge")).toHaveLength(1);
		bench.restart(false);
		bench.handle({ type: "alarm" });
		expect(bench.takeCalls().filter(({ type }) => type === "nudge")).toHaveLength(1);
	});

	test("NUDGE-1 a device whose dead connection went with a crash gets its nudge without another entry", () => {
		const { bench, one } = pair();
		sendMany(bench, one, 1);
		bench.takeCalls();
		bench.restart(false);
		bench.ready(A1, 1);
		expect(bench.takeCalls()).toEqual([{ type: "alarm", at_ms: bench.now_ms + 5_000 }]);
		bench.now_ms += 5_000;
		bench.handle({ type: "alarm" });
		expect(bench.takeCalls().filter(({ type }) => type === "nudge")).toHaveLength(1);
	});
});

group("refusals", () => {
	test("REFUSED-1 each code, with its limit, on a connection that survives", () => {
		const bench = new Bench();
		const one = bench.open(A1);
		bench.up(one, { case: "read", value: { upTo: 0 } });
		bench.up(one, { case: "hello", value: { protocolVersion: 9 } });
		bench.up(one, { case: "hello", value: { protocolVersion: 1, cursor: 1 } });
		bench.up(one, { case: "hello", value: { protocolVersion: 1 } });
		bench.raw(one, "text");
		bench.raw(one, new Uint8Array([255]));
		bench.raw(one, new Uint8Array());
		bench.raw(one, message(new Uint8Array(16), [B1]));
		bench.raw(one, message(newId(), [B1, B1]));
		bench.raw(one, message(newId(), [{ ...B1, device: 128 }]));
		bench.raw(one, new Uint8Array(128 * 1024 + 1));
		bench.raw(one, message(newId(), [B1], 1, "x".repeat(96 * 1024 + 1)));
		bench.up(one, { case: "acknowledge", value: { cursor: 5 } });
		bench.up(one, { case: "read", value: { upTo: 5 } });
		bench.raw(one, message(newId(), [B1]));
		bench.handle({ type: "removeMember", account: BOB });
		bench.raw(one, message(newId(), []));
		expect(bench.take(one)).toEqual([
			"refused HELLO_EXPECTED 0",
			"refused UNSUPPORTED_VERSION 1",
			"refused CURSOR_BEYOND_HEAD 0",
			"welcome 0 v1 0/0 0/0",
			"caught up 0",
			...Array.from({ length: 6 }, () => "refused MALFORMED 0"),
			"refused FRAME_TOO_LARGE 131072",
			"refused MESSAGE_TOO_LARGE 98304",
			"refused CURSOR_BEYOND_HEAD 0",
			"refused CURSOR_BEYOND_HEAD 0",
			"accepted 1",
			"roster v2",
			"refused MEMBER_GONE 0",
		]);
	});

	test("REFUSED-2 16 malformed frames close with 4400, 1,000 beyond the rate with 4429, others go on", () => {
		const { bench, one, other } = pair();
		for (let count = 0; count < 20; count++) bench.raw(one, "x");
		expect(bench.take(one)).toEqual([...Array.from({ length: 16 }, () => "refused MALFORMED 0"), "closed 4400"]);
		const again = bench.ready(A1);
		bench.take(again);
		const typing = up({ case: "typing", value: { started: true } });
		for (let count = 0; count < 4_000; count++) bench.raw(again, typing);
		expect(bench.take(again)).toEqual(["refused RATE_LIMITED 0", "refused RATE_LIMITED 0", "closed 4429"]);
		bench.raw(other, message(newId(), [A1]));
		expect(bench.take(other).at(-1)).toBe("accepted 1");
	});

	test("SOCKET-1 the older socket is told and closed", () => {
		const { bench, one } = pair();
		bench.ready(A1);
		expect(bench.take(one)).toEqual(["refused SUPERSEDED 0", "closed 4001"]);
	});
});
