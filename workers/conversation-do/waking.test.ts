/** What an object knows after it slept or crashed, and what wakes it and others (rules IDLE-1, NUDGE-1, EXPIRY-1). */
import { fromBinary } from "@bufbuild/protobuf";
import { expect, test } from "vitest";
import type { Watermark } from "../../protocol/gen/common_pb.js";
import { ConversationDownSchema } from "../../protocol/gen/conversation_down_pb.js";
import { LIMITS } from "../../protocol/limits.ts";
import { A1, ALICE, B1, Bench, BOB, member, message, newId } from "./testing.ts";

const DAY_MS = 86_400_000;
const B2 = { ...B1, device: 2, registrationId: 22 };

/** Alice is here, Bob was here and has left; his first nudge is about to be called. */
function away() {
	const bench = new Bench();
	const one = bench.ready(A1);
	bench.handle({ type: "disconnected", socket: bench.ready(B1) });
	send(bench, one, 1);
	expect(nudges(bench)).toHaveLength(1);
	return { bench, one };
}

function send(bench: Bench, socket: number, count: number): void {
	for (let sent = 0; sent < count; sent++) {
		bench.now_ms += 2;
		bench.raw(socket, message(newId(), [B1]));
	}
}

/** The entries that nudges since the last look tell of. */
function nudges(bench: Bench): number[] {
	return bench.takeCalls().flatMap((call) => (call.type === "nudge" ? [call.upTo] : []));
}

/** When the alarm was set to, since the last look. */
function alarms(bench: Bench): number[] {
	return bench.takeCalls().flatMap((call) => (call.type === "alarm" ? [call.at_ms] : []));
}

test("IDLE-1 WATERMARK-1 cursors and read positions are there after hibernation, though nothing was written for them", () => {
	const bench = new Bench();
	const [one, other] = [bench.ready(A1), bench.ready(B1)];
	send(bench, one, 2);
	bench.up(other, { case: "read", value: { upTo: 1 } });
	bench.up(other, { case: "acknowledge", value: { cursor: 2 } });
	bench.restart(true);
	expect(bench.take(bench.ready(A1))).toEqual(["welcome 2 v1 0/0 2/1", "caught up 2"]);
	// A position that comes late moves nothing back.
	bench.up(other, { case: "acknowledge", value: { cursor: 1 } });
	bench.restart(true);
	expect(bench.take(bench.ready(A1))).toEqual(["welcome 2 v1 0/0 2/1", "caught up 2"]);
});

test("IDLE-1 DELIVERED-3 hibernation in the middle of a catch-up: what was not on the way yet still comes", () => {
	const bench = new Bench();
	send(bench, bench.ready(A1), 300);
	const late = bench.ready(B1);
	bench.take(late);
	bench.restart(true);
	bench.up(late, { case: "acknowledge", value: { cursor: 256 } });
	const rest = Array.from({ length: 44 }, (_, index) => `entry ${257 + index}`);
	expect(bench.take(late)).toEqual([...rest, "caught up 300"]);
});

test("WATERMARK-2 a read position that a crash has lost is pushed again, also where the cursor was kept", () => {
	const bench = new Bench();
	send(bench, bench.ready(A1), 2);
	bench.handle({ type: "disconnected", socket: bench.ready(B1, 2) });
	bench.restart(false);
	const watcher = bench.ready(A1);
	expect(bench.take(watcher)).toEqual(["welcome 2 v1 0/0 2/0", "caught up 2"]);
	bench.ready(B1, 2, 1);
	expect(bench.take(watcher)).toEqual(["watermark 2/1"]);
});

test("WATERMARK-3 a watermark says after which entry its device arrived, in Welcome and when it moves", () => {
	const bench = new Bench();
	const one = bench.ready(A1);
	send(bench, one, 2);
	bench.handle({ type: "setDevices", member: member(BOB, 21, 22) });
	bench.effects = [];
	const two = bench.ready(B2);
	bench.raw(one, message(newId(), [B1, B2], 2));
	bench.up(two, { case: "acknowledge", value: { cursor: 3 } });
	const marks = bench.effects.flatMap((effect): Watermark[] => {
		const frame = effect.type === "send" ? fromBinary(ConversationDownSchema, effect.bytes).frame : undefined;
		if (frame?.case === "welcome") return frame.value.watermarks;
		return frame?.case === "watermark" ? [frame.value] : [];
	});
	const positions = marks.map(({ device, delivered, after }) => ({ device, delivered, after }));
	expect(positions).toEqual([
		{ device: 1, delivered: 0, after: 0 },
		{ device: 1, delivered: 0, after: 0 },
		{ device: 2, delivered: 2, after: 2 },
		{ device: 2, delivered: 3, after: 2 },
	]);
});

test("EPHEMERAL-1 who has not said hello hears nobody typing", () => {
	const bench = new Bench();
	const one = bench.ready(A1);
	const silent = bench.open(B1);
	bench.up(one, { case: "typing", value: { started: true } });
	expect(bench.take(silent)).toEqual([]);
});

test("EPHEMERAL-1 typing nudges nobody who is behind, sets no alarm and leaves the disk as it was", () => {
	const { bench, one } = away();
	bench.handle({ type: "nudged", account: BOB, device: 1, upTo: 1, ok: true });
	const before = [bench.store.readState(), bench.store.rows(0, 9)];
	bench.effects = [];
	let written = 0;
	bench.store.writeState = () => written++;
	bench.up(one, { case: "typing", value: { started: true } });
	expect(bench.effects).toEqual([]);
	expect(written).toBe(0);
	expect([bench.store.readState(), bench.store.rows(0, 9)]).toEqual(before);
});

test("NUDGE-1 while a call is under way there is no second one, however long it takes", () => {
	const { bench, one } = away();
	bench.now_ms += 60_000;
	bench.handle({ type: "alarm" });
	send(bench, one, 1);
	expect(nudges(bench)).toEqual([]);
});

test("NUDGE-1 a nudge that arrived is remembered over a crash: the next entry is no new one", () => {
	const { bench } = away();
	bench.handle({ type: "nudged", account: BOB, device: 1, upTo: 1, ok: true });
	bench.restart(false);
	send(bench, bench.ready(A1), 1);
	bench.handle({ type: "alarm" });
	expect(nudges(bench)).toEqual([]);
});

test("NUDGE-1 that a device was here is remembered over a crash: the next entry is a new nudge", () => {
	const { bench } = away();
	bench.handle({ type: "nudged", account: BOB, device: 1, upTo: 1, ok: true });
	bench.ready(B1, 1);
	bench.restart(false);
	send(bench, bench.ready(A1), 1);
	expect(nudges(bench)).toEqual([2]);
});

test("NUDGE-1 a device that came and left while its nudge was called gets one for what is new since", () => {
	const { bench, one } = away();
	const other = bench.ready(B1);
	bench.up(other, { case: "acknowledge", value: { cursor: 1 } });
	bench.handle({ type: "disconnected", socket: other });
	bench.handle({ type: "nudged", account: BOB, device: 1, upTo: 1, ok: true });
	send(bench, one, 1);
	expect(nudges(bench)).toEqual([2]);
});

test("NUDGE-1 a device that is here when its nudge has arrived gets another after it has left behind", () => {
	const { bench, one } = away();
	const other = bench.ready(B1);
	bench.handle({ type: "nudged", account: BOB, device: 1, upTo: 1, ok: true });
	send(bench, one, 1);
	bench.takeCalls();
	bench.handle({ type: "disconnected", socket: other });
	expect(nudges(bench)).toEqual([2]);
});

test("NUDGE-1 ACCOUNT-4 a nudge that failed is repeated also when the peer has deleted the account meanwhile", () => {
	const { bench } = away();
	bench.handle({ type: "nudged", account: BOB, device: 1, upTo: 1, ok: false });
	bench.handle({ type: "removeMember", account: ALICE });
	bench.now_ms = (bench.alarm_ms ?? Number.NaN) + 60_000;
	bench.handle({ type: "alarm" });
	// Who is gone is nobody's peer: Bob's account knows whom the conversation was with.
	const nudge = { type: "nudge", account: BOB, peer: "", device: 1, upTo: 1 };
	expect(bench.takeCalls().filter(({ type }) => type === "nudge")).toEqual([nudge]);
});

test("NUDGE-1 EXPIRY-1 a failed call is repeated at growing distances, each time by the one alarm", () => {
	const { bench } = away();
	const pauses: number[] = [];
	for (let round = 0; round < 4; round++) {
		bench.handle({ type: "nudged", account: BOB, device: 1, upTo: 1, ok: false });
		// The alarm that was set before the call rings first, and sets itself for the next try.
		const failed_ms = bench.now_ms;
		let tries: number[] = [];
		for (let rings = 0; tries.length === 0 && rings < 9; rings++) {
			bench.now_ms = Math.max(bench.now_ms, bench.alarm_ms ?? Number.NaN);
			bench.handle({ type: "alarm" });
			tries = nudges(bench);
		}
		expect(tries).toEqual([1]);
		pauses.push((bench.now_ms - failed_ms) / 1_000);
	}
	expect(pauses).toEqual([10, 20, 40, 80]);
});

test("EXPIRY-1 the alarm is set for the earliest deadline, and again for the next: nudge, then retention", () => {
	const bench = new Bench();
	const [one, other] = [bench.ready(A1), bench.ready(B1)];
	send(bench, one, 1);
	const kept_ms = bench.now_ms + 45 * DAY_MS;
	expect(alarms(bench)).toEqual([kept_ms]);
	bench.now_ms += DAY_MS;
	bench.handle({ type: "disconnected", socket: other });
	// A nudge comes before the retention that was set.
	expect(alarms(bench)).toEqual([bench.now_ms + 5_000]);
	// A later deadline moves no alarm.
	bench.raw(one, message(newId(), [B1]));
	expect(alarms(bench)).toEqual([]);
	bench.handle({ type: "nudged", account: BOB, device: 1, upTo: 1, ok: true });
	bench.now_ms += 5_000;
	bench.handle({ type: "alarm" });
	expect(alarms(bench)).toEqual([kept_ms]);
});

test("EXPIRY-1 a deadline that is later than the alarm does not move it", () => {
	const { bench } = away();
	const set_ms = bench.alarm_ms;
	// The next try is later than what was set before the call.
	bench.handle({ type: "nudged", account: BOB, device: 1, upTo: 1, ok: false });
	expect(alarms(bench)).toEqual([]);
	expect(bench.alarm_ms).toBe(set_ms);
});

test("SOCKET-1 another device of the account, and the other member's, keep their sockets", () => {
	const bench = new Bench([member(ALICE, 11, 12), member(BOB, 21)]);
	const [one, two, other] = [bench.ready(A1), bench.ready({ ...A1, device: 2, registrationId: 12 }), bench.ready(B1)];
	for (const socket of [one, two, other]) bench.take(socket);
	bench.ready(A1);
	expect(bench.take(one)).toEqual(["refused SUPERSEDED 0", "closed 4001"]);
	expect([bench.take(two), bench.take(other)]).toEqual([[], []]);
	bench.up(other, { case: "typing", value: { started: true } });
	expect(bench.take(two)).toEqual(["typing true"]);
});

test("IDLE-1 DELIVERED-3 hibernation after a window was filled by what came: the rest follows an acknowledgement", () => {
	const bench = new Bench();
	const [one, other] = [bench.ready(A1), bench.ready(B1)];
	send(bench, one, LIMITS.window_entries + 2);
	bench.restart(true);
	bench.effects = [];
	bench.up(other, { case: "acknowledge", value: { cursor: LIMITS.window_entries } });
	expect(bench.take(other)).toEqual(["entry 257", "entry 258", "caught up 258"]);
});

test("IDLE-1 NUDGE-1 who is here is here after hibernation too, and who had not said hello is not", () => {
	const bench = new Bench();
	const one = bench.ready(A1);
	const silent = bench.open(B1);
	bench.restart(true);
	send(bench, one, 1);
	expect(nudges(bench)).toEqual([1]);
	bench.handle({ type: "disconnected", socket: silent });
	bench.ready(B1, 1);
	bench.restart(true);
	send(bench, one, 1);
	expect(nudges(bench)).toEqual([]);
});

test("IDLE-1 KEPT-1 what a device acknowledged before a hibernation counts for what is removed after it", () => {
	const bench = new Bench([member(ALICE, 11), member(BOB, 21, 22)]);
	const [one, b1, b2] = [bench.ready(A1), bench.ready(B1), bench.ready(B2)];
	bench.raw(one, message(newId(), [B1, B2]));
	bench.up(b1, { case: "acknowledge", value: { cursor: 1 } });
	bench.restart(true);
	bench.up(b2, { case: "acknowledge", value: { cursor: 1 } });
	expect(bench.store.entries(0, 1)[0]?.wiped).toBe(true);
});

test("NUDGE-1 after a crash nobody is nudged for what it sent itself", () => {
	const bench = new Bench();
	const [one, other] = [bench.ready(A1), bench.ready(B1)];
	send(bench, one, 1);
	bench.up(other, { case: "acknowledge", value: { cursor: 1 } });
	bench.takeCalls();
	bench.restart(false);
	bench.ready(B1, 1);
	bench.now_ms += 60_000;
	bench.handle({ type: "alarm" });
	expect(nudges(bench)).toEqual([]);
});
