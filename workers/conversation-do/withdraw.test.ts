/** An entry's ciphertexts are taken back by who sent it. */
import { expect, test } from "vitest";
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
import { C1, CAROL, GroupBench, joining, request } from "./testing-groups.ts";

const A2: Address = { account: ALICE, device: 2, registrationId: 12 };
const withdraw = (messageId: Uint8Array) => up({ case: "withdraw", value: { messageId } });

/** Alice connected, Bob not: what she sends waits for him. */
function waiting(text: string) {
	const bench = new Bench();
	const one = bench.ready(A1);
	const id = newId();
	bench.raw(one, message(newId(), [B1], 1, "first"));
	bench.raw(one, message(id, [B1], 1, text));
	bench.raw(one, message(newId(), [B1], 1, "third"));
	bench.effects = [];
	return { bench, one, id };
}

test("DELETE-3 a withdrawn entry is on no disk, is skipped without a word, and its place stays", () => {
	const { bench, one, id } = waiting("regretted");
	bench.raw(one, withdraw(id));
	expect(bench.take(one)).toEqual(["withdrawn"]);
	const payloads = bench.store.rows(0, 9).map(({ payload }) => new TextDecoder().decode(payload ?? undefined));
	expect(payloads.map((text) => text.includes("regretted"))).toEqual([false, false, false]);
	const other = bench.ready(B1);
	expect(bench.take(other)).toEqual(["welcome 3 v1 0/0 0/0", "entry 1", "entry 3", "caught up 3"]);
	bench.up(other, { case: "acknowledge", value: { cursor: 3 } });
	expect(bench.store.entries(0, 9).map(({ wiped }) => wiped)).toEqual([true, true, true]);
});

test("DELETE-3 the answer is the same again, after a crash, and for an id that was never sent", () => {
	const { bench, one, id } = waiting("regretted");
	bench.raw(one, withdraw(id));
	bench.raw(one, withdraw(id));
	bench.raw(one, withdraw(newId()));
	expect(bench.take(one)).toEqual(["withdrawn", "withdrawn", "withdrawn"]);
	bench.restart(false);
	const again = bench.ready(A1);
	bench.take(again);
	bench.raw(again, withdraw(id));
	expect(bench.take(again)).toEqual(["withdrawn"]);
});

test("DELETE-3 a message that is sent again after its withdrawal gets its first answer, and stays away", () => {
	const bench = new Bench();
	const one = bench.ready(A1);
	const id = newId();
	const bytes = message(id, [B1], 1, "regretted");
	bench.raw(one, bytes);
	bench.raw(one, withdraw(id));
	bench.take(one);
	bench.raw(one, bytes);
	expect(bench.take(one)).toEqual(["accepted 1"]);
	expect(bench.take(bench.ready(B1))).toEqual(["welcome 1 v1 0/0 0/0", "caught up 1"]);
});

test("DELETE-3 another device of the sender's account may, the other member may not", () => {
	const bench = new Bench([member(ALICE, 11, 12), member(BOB, 21)]);
	const [one, two, other] = [bench.ready(A1), bench.ready(A2), bench.ready(B1)];
	const id = newId();
	bench.raw(one, message(id, [A2, B1], 1, "mine"));
	bench.effects = [];
	bench.raw(other, withdraw(id));
	expect(bench.take(other)).toEqual(["refused NOT_PERMITTED 0"]);
	expect(bench.store.rows(0, 1)[0]?.payload?.length).toBeGreaterThan(0);
	bench.raw(two, withdraw(id));
	expect(bench.take(two)).toEqual(["withdrawn"]);
	expect(bench.store.rows(0, 1)[0]?.payload).toEqual(new Uint8Array());
});

test("DELETE-3 an id that is none is malformed, and before hello nothing is withdrawn", () => {
	const { bench, one, id } = waiting("kept");
	bench.raw(one, withdraw(new Uint8Array(3)));
	expect(bench.take(one)).toEqual(["refused MALFORMED 0"]);
	const other = bench.open(B1);
	bench.raw(other, withdraw(id));
	expect(bench.take(other)).toEqual(["refused HELLO_EXPECTED 0"]);
});

test("DELETE-3 a withdrawal costs one row, and nothing when it is repeated, in the runtime", async () => {
	const { stub, alice, bob } = await newConversation();
	const one = await TestSocket.ready(stub, alice);
	await one.take(2);
	const id = newId();
	one.send(message(id, [bob], 1, "regretted"));
	one.send(withdraw(id));
	one.send(withdraw(id));
	expect(await one.take(3)).toEqual(["accepted 1", "withdrawn", "withdrawn"]);
	const other = await TestSocket.ready(stub, bob);
	expect(await other.take(2)).toEqual(["welcome 1 v1 0/0 0/0", "caught up 1"]);
});

test("DELETE-3 in a group its sender and the admins of now may withdraw an entry, nobody else, nor whoever was an admin", () => {
	const bench = new GroupBench();
	const { alice, bob } = bench;
	bench.change(request(A1, 2, { added: [joining(C1)] }));
	const carol = bench.ready(C1);
	const ids = [newId(), newId(), newId()];
	const text = (id: Uint8Array) =>
		up({ case: "send", value: { messageId: id, rosterVersion: 2, envelopes: [], shared: new Uint8Array(9).fill(7) } });
	for (const id of ids) bench.raw(bob, text(id));
	const tries = (socket: number, id: Uint8Array | undefined) => {
		bench.effects = [];
		bench.raw(socket, withdraw(id ?? new Uint8Array()));
		return bench.take(socket);
	};
	expect(tries(carol, ids[0])).toEqual(["refused NOT_PERMITTED 0"]);
	expect(tries(alice, ids[0])).toEqual(["withdrawn"]);
	expect(tries(bob, ids[1])).toEqual(["withdrawn"]);
	bench.change(request(A1, 3, { roles: [{ account: CAROL, role: "admin" }] }));
	expect(tries(carol, ids[2])).toEqual(["withdrawn"]);
	const last = newId();
	bench.raw(bob, text(last));
	bench.change(request(A1, 4, { roles: [{ account: CAROL, role: "member" }] }));
	expect(tries(carol, last)).toEqual(["refused NOT_PERMITTED 0"]);
	expect(bench.store.rows(0, 99).filter(({ payload }) => payload?.length === 0)).toHaveLength(3);
});

test("DELETE-3 what is withdrawn again is not written again", () => {
	const { bench, one, id } = waiting("regretted");
	bench.raw(one, withdraw(id));
	let written = 0;
	const { store } = bench;
	const write = store.withdraw.bind(store);
	store.withdraw = (number) => {
		written++;
		write(number);
	};
	bench.raw(one, withdraw(id));
	expect(written).toBe(0);
});
