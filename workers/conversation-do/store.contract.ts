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
	checkLog(store);
	checkState(store);
}

function checkLog(store: Store): void {
	expect([store.head(), store.newer(), store.seniors()]).toEqual([undefined, undefined, []]);
	expect([store.oldestCiphertext(), store.waiting(0)]).toEqual([undefined, 0]);
	for (let number = 1; number <= 6; number++) store.append(row(number, number % 2 === 0 ? "b" : "a"));
	expect(store.head()).toEqual({ number: 6, time_ms: 60 });
	checkParts(store);
	store.renew();
	// What was the newer part is the older one: nothing looks different.
	checkParts(store);
	expect([store.head()?.number, store.newer()]).toEqual([6, undefined]);
	for (const number of [7, 8]) store.append(row(number));
	expect([store.head(), store.newer()]).toEqual([{ number: 8, time_ms: 80 }, 7]);
	checkBoth(store);
	store.renew();
	expect(store.entries(0, 10).map(({ number }) => number)).toEqual([7, 8]);
	expect([store.head()?.number, store.newer()]).toEqual([8, undefined]);
	expect(store.find(idOf(8))?.number).toBe(8);
	expect(store.find(idOf(1))).toBe(undefined);
	store.renew();
	expect([store.entries(0, 10), store.head()]).toEqual([[], undefined]);
}

/** Six entries in one of the parts. */
function checkParts(store: Store): void {
	expect(store.rows(1, 1)[0]?.messageId).toEqual(idOf(2));
	store.wipe(0, 2, { sender: "b", upTo: 5 });
	expect(store.rows(2, 1)).toEqual([row(3)]);
	expect(store.entries(0, 10).map(({ wiped }) => wiped)).toEqual([true, true, false, true, false, false]);
	expect(store.oldestCiphertext()).toBe(30);
	expect([store.waiting(0), store.waiting(3), store.waiting(6)]).toEqual([3, 2, 0]);
	expect(store.waitingBySender(0, 0).toSorted()).toEqual([
		["a", 2],
		["b", 1],
	]);
	expect(store.waitingBySender(5, 59)).toEqual([["b", 1]]);
	expect(store.waitingBySender(0, 60)).toEqual([]);
}

/** Six entries in the older part, two in the newer one. */
function checkBoth(store: Store): void {
	expect(store.seniors().toSorted((one, other) => one.number - other.number)).toEqual([
		{ sender: "a", messageId: idOf(5), number: 5 },
		{ sender: "b", messageId: idOf(6), number: 6 },
	]);
	expect(store.entries(4, 3).map(({ number }) => number)).toEqual([5, 6, 7]);
	expect(store.rows(6, 10)).toEqual([row(7), row(8)]);
	expect([store.find(idOf(3))?.number, store.find(idOf(7))?.number]).toEqual([3, 7]);
	expect([store.waiting(0), store.waiting(5), store.waiting(6)]).toEqual([5, 3, 2]);
	expect(store.waitingBySender(5, 0).toSorted()).toEqual([
		["a", 2],
		["b", 1],
	]);
	// Across the boundary, up to each side of it, and beside it.
	store.wipe(4, 5, { sender: "a", upTo: 7 });
	const kept = () => store.entries(0, 10).flatMap(({ number, wiped }) => (wiped ? [] : [number]));
	expect(kept()).toEqual([3, 6, 8]);
	store.withdraw(5);
	store.withdraw(6);
	store.withdraw(8);
	expect(store.rows(4, 4).map(({ payload }) => payload)).toEqual([null, new Uint8Array(), null, new Uint8Array()]);
	expect(kept()).toEqual([3, 6, 8]);
	store.wipe(5, 7);
	expect(kept()).toEqual([3, 8]);
	expect([store.expire(29), store.oldestCiphertext()]).toEqual([2, 30]);
	expect([store.expire(75), store.oldestCiphertext()]).toEqual([7, 80]);
	expect([store.expire(80), store.oldestCiphertext(), store.expire(9)]).toEqual([8, undefined, 0]);
}

function checkState(store: Store): void {
	expect([store.readState(), store.readGroup()]).toEqual([undefined, undefined]);
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
