import { expect, test } from "vitest";
import { A1, type Address, ALICE, B1, Bench, BOB, member, message, newId } from "./testing.ts";

const A2: Address = { account: ALICE, device: 2, registrationId: 12 };

/** Alice alone, with some devices. */
function alone(...registrations: number[]): Bench {
	return new Bench([member(ALICE, ...registrations)]);
}

test("CONVERSATION-3 one device alone may write to itself, and a second gets what comes after its arrival", () => {
	const bench = alone(11);
	const one = bench.ready(A1);
	bench.take(one);
	bench.raw(one, message(newId(), []));
	expect(bench.take(one)).toEqual(["accepted 1"]);
	bench.handle({ type: "setDevices", member: { ...member(ALICE, 11, 12), version: 2 } });
	const two = bench.ready(A2);
	expect(bench.take(two)).toEqual(["welcome 1 v2 0/0 1/0", "caught up 1"]);
	bench.raw(one, message(newId(), [A2], 2));
	expect(bench.take(two)).toEqual(["entry 2"]);
});

test("NUDGE-1 an absent device of one's own is nudged with its own account as the peer", () => {
	const bench = alone(11, 12);
	const one = bench.ready(A1);
	bench.takeCalls();
	bench.raw(one, message(newId(), [A2]));
	const nudges = bench.takeCalls().filter(({ type }) => type === "nudge");
	expect(nudges).toEqual([{ type: "nudge", account: ALICE, peer: ALICE, device: 2, upTo: 1 }]);
});

test("CONVERSATION-3 whom everybody else has left writes to nobody, after waking too", () => {
	const bench = new Bench();
	bench.handle({ type: "removeMember", account: BOB });
	for (const restarted of [false, true]) {
		if (restarted) bench.restart(false);
		const one = bench.ready(A1);
		bench.take(one);
		bench.raw(one, message(newId(), [], 2));
		expect(bench.take(one)).toEqual(["refused MEMBER_GONE 0"]);
	}
});

test("DEVICE-4 lists of devices count in the order of their versions, not of their arrival, over crashes", () => {
	const bench = new Bench();
	const other = bench.ready(B1);
	const set = (version: number, ...registrations: number[]) =>
		bench.handle({ type: "setDevices", member: { ...member(ALICE, ...registrations), version } });
	bench.take(other);
	set(5, 11);
	bench.restart(true);
	set(4, 11, 12);
	set(5, 11, 12);
	expect(bench.take(other)).toEqual([]);
	expect(bench.core.admit(99, ALICE, 2)).toBe(undefined);
	set(6, 11, 12);
	expect(bench.take(other)).toEqual(["roster v2"]);
});

test("DEVICE-4 a device in the place of another is a change of the roster, though there are as many", () => {
	const bench = new Bench([member(ALICE, 11, 12), member(BOB, 21)]);
	const other = bench.ready(B1);
	bench.take(other);
	const devices = [A1, { ...A1, device: 3, registrationId: 13 }];
	bench.handle({ type: "setDevices", member: { account: ALICE, devices, version: 2 } });
	expect(bench.take(other)).toEqual(["roster v2"]);
	expect([2, 3].map((device) => bench.core.admit(99, ALICE, device)?.registrationId)).toEqual([undefined, 13]);
});

test("DEVICE-3 ROSTER-3 a removed device's sockets close with 4403, and nothing more is delivered to it", () => {
	const bench = new Bench([member(ALICE, 11, 12), member(BOB, 21)]);
	const [two, other] = [bench.ready(A2), bench.ready(B1)];
	bench.take(two);
	bench.take(other);
	bench.handle({ type: "setDevices", member: { ...member(ALICE, 11), version: 2 } });
	bench.raw(other, message(newId(), [A1], 2));
	bench.raw(two, message(newId(), [A1, B1], 2));
	expect(bench.take(two)).toEqual(["refused NOT_ON_ROSTER 0", "closed 4403"]);
	expect(bench.take(other)).toEqual(["roster v2", "accepted 1"]);
	expect(bench.core.admit(99, ALICE, 2)).toBe(undefined);
	expect(bench.core.head).toBe(1);
});

test("ORDER-1 two devices of one account that send at once get numbers of their own, and each other's entries", () => {
	const bench = new Bench([member(ALICE, 11, 12), member(BOB, 21)]);
	const [one, two, other] = [bench.ready(A1), bench.ready(A2), bench.ready(B1)];
	for (const socket of [one, two, other]) bench.take(socket);
	bench.raw(one, message(newId(), [A2, B1]));
	bench.raw(two, message(newId(), [A1, B1]));
	expect(bench.take(one)).toEqual(["accepted 1", "entry 2"]);
	expect(bench.take(two)).toEqual(["entry 1", "accepted 2"]);
	expect(bench.take(other)).toEqual(["entry 1", "entry 2"]);
});
