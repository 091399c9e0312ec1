/** What every store of this room has to do. */
import { expect } from "vitest";
import type { LogRow, Store } from "./store.ts";

const idOf = (number: number) => number.toString(16).padStart(32, "0");

function row(number: number, sender = "a"): LogRow {
	const messageId = idOf(number);
	const payload = new Uint8Array([number]);
	return { number, time_ms: number * 10, messageId, sender, checksum: number, wiped: false, payload };
}

/** Runs over an empty store. */
export function checkStore(store: Store): void {
	expect([store.head(), store.readState(), store.readGroup()]).toEqual([undefined, undefined, undefined]);
	expect([store.oldestCiphertext(), store.waiting(0)]).toEqual([undefined, 0]);
	for (let number = 1; number <= 6; number++) store.append(row(number, number % 2 === 0 ? "b" : "a"), undefined);
	expect(store.head()).toEqual({ number: 6, time_ms: 60 });
	expect(store.rows(1, 2)).toEqual([row(2, "b"), row(3)]);
	store.wipe(0, 2, { sender: "b", upTo: 5 });
	expect(store.entries(0, 10).map(({ wiped }) => wiped)).toEqual([true, true, false, true, false, false]);
	expect(store.oldestCiphertext()).toBe(30);
	expect([store.waiting(0), store.waiting(3), store.waiting(6)]).toEqual([3, 2, 0]);
	expect(store.waitingBySender(0, 0).toSorted()).toEqual([
		["a", 2],
		["b", 1],
	]);
	expect(store.waitingBySender(5, 59)).toEqual([["b", 1]]);
	expect(store.waitingBySender(0, 60)).toEqual([]);
	store.append(row(7), 1);
	store.append(row(8), 2);
	expect(store.entries(0, 10).map(({ number }) => number)).toEqual([3, 4, 5, 6, 7, 8]);
	expect(store.rows(6, 10)).toEqual([row(7), row(8)]);
	expect(store.head()).toEqual({ number: 8, time_ms: 80 });
	const oldest = (upTo: number, limit: number) => {
		const { numbers, ids } = store.oldest(upTo, limit);
		return [numbers, ids.map(({ sender, messageId }) => `${sender} ${Number.parseInt(messageId, 16)}`).toSorted()];
	};
	expect(oldest(6, 10)).toEqual([
		[3, 4, 5, 6],
		["a 5", "b 6"],
	]);
	expect(oldest(6, 3)).toEqual([
		[3, 4, 5],
		["a 5", "b 4"],
	]);
	expect(oldest(2, 10)).toEqual([[], []]);
	store.wipe(6, 7);
	expect(store.rows(6, 1)[0]?.payload).toBe(null);
	store.withdraw(7);
	store.withdraw(8);
	expect(store.rows(6, 2).map(({ payload }) => payload)).toEqual([null, new Uint8Array()]);
	expect(store.entries(7, 1)[0]?.wiped).toBe(false);
	store.expire(50);
	expect(store.oldestCiphertext()).toBe(60);
	expect(store.find(idOf(8))?.number).toBe(8);
	expect(store.find(idOf(1))).toBe(undefined);
	store.writeState("one");
	store.writeState("two");
	expect(store.readState()).toBe("two");
	expect(store.readGroup()).toBe(undefined);
	store.writeGroup("three");
	store.writeGroup("four");
	expect([store.readState(), store.readGroup()]).toEqual(["two", "four"]);
	// Larger than a row may be, changed in its middle, and small again.
	const large = Array.from({ length: 300_000 }, (_, index) => String(index).padStart(10, "0")).join("");
	for (const state of [large, `${large.slice(0, 1_500_000)}x${large.slice(1_500_001)}`, "five"]) {
		store.writeState(state);
		expect(store.readState() === state).toBe(true);
	}
	expect(store.readGroup()).toBe("four");
}
