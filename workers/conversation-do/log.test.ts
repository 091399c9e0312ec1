/**
 * The life of rows over more entries than are remembered: ids, ciphertexts, windows (rules ONCE-1, KEPT-1,
 * DELIVERED-3).
 */
import { expect, test } from "vitest";
import { z } from "zod";
import { LIMITS } from "../../protocol/limits.ts";
import { MemoryStore } from "./memory-store.ts";
import type { Store } from "./store.ts";
import { A1, ALICE, B1, Bench, BOB, member, message, newId } from "./testing.ts";

const DAY_MS = 86_400_000;
const B2 = { ...B1, device: 2, registrationId: 22 };
/** The last two parts of the log have so many entries, each as many as are remembered. */
const PARTS = 2 * LIMITS.remembered_entries;
/** More than this and the oldest entries may be gone. */
const MANY = PARTS + 200;

function send(bench: Bench, socket: number, count: number): void {
	for (let sent = 0; sent < count; sent++) {
		bench.now_ms += 2;
		bench.raw(socket, message(newId(), [B1]));
	}
}

function acknowledge(bench: Bench, socket: number): void {
	bench.up(socket, { case: "acknowledge", value: { cursor: bench.core.head } });
}

/** Numbers from one to another, as they are described. */
function range(what: string, from: number, to: number): string[] {
	return Array.from({ length: to - from + 1 }, (_, index) => `${what} ${from + index}`);
}

test("ORDER-1 numbers go on where they were after a crash, whatever was written beside the log", () => {
	const bench = new Bench();
	send(bench, bench.ready(A1), 3);
	bench.restart(false);
	const again = bench.ready(A1);
	bench.take(again);
	send(bench, again, 2);
	expect(bench.take(again)).toEqual(range("accepted", 4, 5));
});

test("ONCE-1 a repetition of an entry that is long ago and still there gets the first answer, after a crash too", () => {
	const bench = new Bench();
	const one = bench.ready(A1);
	const first = message(newId(), [B1]);
	bench.raw(one, first);
	// Nobody else reads, so nothing is wiped, and nothing goes.
	send(bench, one, MANY);
	bench.take(one);
	bench.raw(one, first);
	expect(bench.take(one)).toEqual(["accepted 1"]);
	bench.restart(false);
	const again = bench.ready(A1);
	bench.take(again);
	bench.raw(again, first);
	expect(bench.take(again)).toEqual(["accepted 1"]);
	expect(bench.core.head).toBe(MANY + 1);
});

test("ONCE-1 a crash right after the first rows went: their repetitions are too old, and add nothing", () => {
	const bench = new Bench();
	const [one, other] = [bench.ready(A1), bench.ready(B1)];
	const sent = Array.from({ length: PARTS + 1 }, () => message(newId(), [B1]));
	for (const bytes of sent) {
		expect(bench.store.entries(0, 1)[0]?.number ?? 1).toBe(1);
		bench.now_ms += 2;
		bench.raw(one, bytes);
		for (const socket of [one, other]) acknowledge(bench, socket);
	}
	expect(bench.store.entries(0, 1)[0]?.number).toBe(LIMITS.remembered_entries + 1);
	bench.restart(false);
	const again = bench.ready(A1, bench.core.head);
	for (const [index, answer] of [
		[0, "refused MESSAGE_ID_TOO_OLD 0"],
		[LIMITS.remembered_entries - 1, "refused MESSAGE_ID_TOO_OLD 0"],
		[LIMITS.remembered_entries, `accepted ${LIMITS.remembered_entries + 1}`],
	] as const) {
		bench.take(again);
		bench.raw(again, sent[index] ?? new Uint8Array());
		expect(bench.take(again)).toEqual([answer]);
	}
	expect(bench.core.head).toBe(sent.length);
});

test("ONCE-1 no row goes whose sender has not acknowledged it: its Accepted may have been lost", () => {
	const bench = new Bench();
	const [one, other] = [bench.ready(A1), bench.ready(B1)];
	const first = message(newId(), [B1]);
	bench.raw(one, first);
	for (let round = 0; round * 50 < MANY; round++) {
		send(bench, one, 50);
		acknowledge(bench, other);
	}
	expect(bench.store.entries(0, 1)[0]).toMatchObject({ number: 1, wiped: true });
	bench.take(one);
	bench.raw(one, first);
	expect(bench.take(one)).toEqual(["accepted 1"]);
});

test("KEPT-1 ONCE-1 the log stays as long as twice what is remembered, whoever was away meanwhile", () => {
	const bench = new Bench();
	let [one, other] = [bench.ready(A1), bench.ready(B1)];
	/** Numbers of the oldest and of all rows, counted from the head. */
	const rows = () => {
		const { head } = bench.core;
		const entries = bench.store.entries(0, 10_000);
		return { oldest: head - (entries[0]?.number ?? 0), count: entries.length };
	};
	/** In which both answer at once, as fast as they may. */
	const talk = (count: number) => {
		for (let sent = 0; sent < count; sent++) {
			bench.now_ms += 200;
			send(bench, one, 1);
			for (const socket of [one, other]) acknowledge(bench, socket);
			bench.effects = [];
		}
	};
	const most = PARTS + 1;
	talk(2 * MANY);
	expect(rows().count).toBeLessThanOrEqual(most);
	// A memory that is gone begins with what is on disk.
	bench.restart(false);
	[one, other] = [bench.ready(A1, bench.core.head), bench.ready(B1, bench.core.head)];
	talk(MANY);
	expect(rows().count).toBeLessThanOrEqual(most);
	// Nobody reads what Alice sends: nothing goes.
	const before = bench.core.head;
	for (let sent = 0; sent < MANY; sent += 50) {
		send(bench, one, 50);
		acknowledge(bench, one);
	}
	expect(rows().oldest).toBeGreaterThanOrEqual(bench.core.head - before - 1);
	acknowledge(bench, other);
	// Longer than it was, and none of its rows stays behind.
	expect(rows().count).toBeGreaterThan(MANY);
	talk(MANY);
	expect(rows().count).toBeLessThanOrEqual(most);
	const numbers = bench.store.entries(0, 10_000).map(({ number }) => number);
	expect(numbers.slice(-LIMITS.remembered_entries)).toEqual(
		Array.from(
			{ length: LIMITS.remembered_entries },
			(_, index) => bench.core.head - LIMITS.remembered_entries + 1 + index,
		),
	);
});

/** A store that counts how often it is called, by method. */
function counting(): { store: Store; calls: Map<string, unknown[][]> } {
	const calls = new Map<string, unknown[][]>();
	const store: Store = new Proxy(new MemoryStore(), {
		get(target, name) {
			const method: unknown = Reflect.get(target, name);
			if (typeof method !== "function") return method;
			return (...values: unknown[]) => {
				calls.set(String(name), [...(calls.get(String(name)) ?? []), values]);
				return Reflect.apply(method, target, values);
			};
		},
	});
	return { store, calls };
}

test("ONCE-1 KEPT-1 two who talk cost a row and what is wiped, and every 64 messages the state: nothing is looked for", () => {
	const { store, calls } = counting();
	const bench = new Bench(undefined, store);
	const [one, other] = [bench.ready(A1), bench.ready(B1)];
	const talk = (count: number) => {
		for (let sent = 0; sent < count; sent++) {
			bench.now_ms += 200;
			send(bench, one, 1);
			// Bob has not the newest, so that whose it is has to be known.
			bench.up(other, { case: "acknowledge", value: { cursor: Math.max(1, bench.core.head - 1) } });
			acknowledge(bench, one);
			bench.effects = [];
		}
	};
	talk(PARTS + 1);
	calls.clear();
	const count = LIMITS.remembered_entries;
	talk(count);
	const counts = Object.fromEntries([...calls].map(([name, each]) => [name, each.length]));
	const batches = count / 64;
	expect(counts).toEqual({
		...{ append: count, wipe: count, together: batches, writeState: batches },
		...{ seniors: 1, renew: 1 },
	});
});

test("KEPT-1 a device that reads a long log piece by piece has no entries looked through twice", () => {
	const { store, calls } = counting();
	const bench = new Bench(undefined, store);
	const [one, late] = [bench.ready(A1), bench.ready(B1)];
	send(bench, one, 100);
	acknowledge(bench, one);
	calls.clear();
	for (let cursor = 10; cursor <= 90; cursor += 10) {
		bench.up(late, { case: "acknowledge", value: { cursor } });
		send(bench, one, 1);
		acknowledge(bench, one);
	}
	let seen = 0;
	for (const [after, upTo, own] of calls.get("wipe") ?? []) {
		const until = z.object({ upTo: z.number() }).optional().parse(own)?.upTo ?? z.number().parse(upTo);
		seen += until - z.number().parse(after);
	}
	// Once for all, and once for those that only Bob could have sent.
	expect(seen).toBeLessThanOrEqual(2 * bench.core.head);
});

test("ONCE-3 the same bytes from a device that was installed anew, or for another device, are a conflict", () => {
	const bench = new Bench();
	const [one, id] = [bench.ready(A1), newId()];
	const bytes = message(id, [B1]);
	bench.raw(one, bytes);
	bench.raw(one, message(id, [{ ...B1, registrationId: 99 }]));
	bench.raw(one, message(id, [{ ...B1, account: ALICE }]));
	const conflict = "refused MESSAGE_ID_CONFLICT 1";
	expect(bench.take(one).slice(2)).toEqual(["accepted 1", conflict, conflict]);
	bench.handle({ type: "setDevices", member: member(ALICE, 12) });
	const anew = bench.ready({ ...A1, registrationId: 12 });
	bench.take(anew);
	bench.raw(anew, bytes);
	expect(bench.take(anew)).toEqual([conflict]);
});

test("KEPT-1 a ciphertext is kept for 45 days, not a millisecond less or more; the alarm is set for that moment", () => {
	const bench = new Bench();
	const one = bench.ready(A1);
	// A device that was nudged: no other deadline is left.
	send(bench, one, 1);
	const due_ms = bench.now_ms + 45 * DAY_MS;
	bench.handle({ type: "nudged", account: BOB, device: 1, upTo: 1, ok: true });
	bench.takeCalls();
	bench.now_ms = due_ms - 1;
	bench.handle({ type: "alarm" });
	expect(bench.store.entries(0, 1)[0]?.wiped).toBe(false);
	expect(bench.takeCalls()).toEqual([{ type: "alarm", at_ms: due_ms }]);
	bench.now_ms = due_ms;
	bench.handle({ type: "alarm" });
	expect(bench.store.entries(0, 1)[0]?.wiped).toBe(true);
	// Nothing is left that has a deadline.
	expect(bench.takeCalls()).toEqual([]);
});

test("KEPT-1 who was removed holds up no ciphertext", () => {
	const bench = new Bench([member(ALICE, 11), member(BOB, 21, 22)]);
	const [one, b1] = [bench.ready(A1), bench.ready(B1)];
	bench.raw(one, message(newId(), [B1, B2]));
	acknowledge(bench, b1);
	expect(bench.store.entries(0, 1)[0]?.wiped).toBe(false);
	bench.handle({ type: "setDevices", member: member(BOB, 21) });
	expect(bench.store.entries(0, 1)[0]?.wiped).toBe(true);
});

test("KEPT-1 DELIVERED-3 what a device has not read is neither wiped nor forgotten, and comes window by window", () => {
	const bench = new Bench();
	const one = bench.ready(A1);
	for (let round = 0; round * 50 < MANY; round++) {
		send(bench, one, 50);
		acknowledge(bench, one);
	}
	const { head } = bench.core;
	const late = bench.ready(B1);
	const got: string[] = [];
	for (let next = bench.take(late).slice(1); next.length > 0; next = bench.take(late)) {
		expect(next.length).toBeLessThanOrEqual(LIMITS.window_entries + 1);
		got.push(...next);
		bench.up(late, { case: "acknowledge", value: { cursor: Math.min(got.length, head) } });
	}
	expect(got).toEqual([...range("entry", 1, head), `caught up ${head}`]);
});

test("KEPT-2 what was removed by age, and its row too, is told as missed", () => {
	const bench = new Bench();
	const one = bench.ready(A1);
	for (let round = 0; round * 50 < MANY; round++) {
		send(bench, one, 50);
		acknowledge(bench, one);
	}
	const missed = bench.core.head;
	bench.now_ms += 46 * DAY_MS;
	bench.handle({ type: "alarm" });
	const more = LIMITS.remembered_entries + 1;
	send(bench, one, more);
	expect(bench.store.entries(0, 1)[0]?.number).toBe(missed + 1);
	const late = bench.ready(B1);
	expect(bench.take(late).slice(1, 3)).toEqual([`missed 1-${missed}`, `entry ${missed + 1}`]);
});

test("RETRY-3 a device whose file went back hears of what it had by name, 64 to a frame, and of nothing else", () => {
	const bench = new Bench([member(ALICE, 11), member(BOB, 21)]);
	const one = bench.ready(A1);
	send(bench, one, 3);
	acknowledge(bench, one);
	const mine = newId();
	const bob = bench.ready(B1, 3);
	bench.raw(bob, message(mine, [A1]));
	send(bench, one, 70);
	bench.up(bob, { case: "acknowledge", value: { cursor: 74 } });
	bench.up(one, { case: "acknowledge", value: { cursor: 74 } });
	bench.effects = [];
	const numbers = (from: number, to: number) => range("", from, to).join("");
	const back = bench.ready(B1, 2);
	const frames = bench.take(back).slice(1);
	// The fourth was its own.
	expect(frames).toEqual([
		`missed 3-3 3`,
		`missed 5-68${numbers(5, 68)}`,
		`missed 69-74${numbers(69, 74)}`,
		"caught up 74",
	]);
	// Unread and over: not to be asked for.
	send(bench, one, 2);
	bench.now_ms += 46 * DAY_MS;
	bench.handle({ type: "alarm" });
	expect(bench.take(bench.ready(B1, 73)).slice(1)).toEqual(["missed 74-76 74", "caught up 76"]);
});

test("DELIVERED-1 a device that has lost what it acknowledged gets it again, as long as it is there", () => {
	const bench = new Bench([member(ALICE, 11), member(BOB, 21, 22)]);
	const [one, b1] = [bench.ready(A1), bench.ready(B1)];
	for (let count = 0; count < 3; count++) bench.raw(one, message(newId(), [B1, B2]));
	acknowledge(bench, b1);
	const again = bench.ready(B1, 1);
	expect(bench.take(again).slice(1)).toEqual(["entry 2", "entry 3", "caught up 3"]);
});

test("DELIVERED-2 DELIVERED-3 a catch-up stops at 256 entries and tells of its end only when that has come", () => {
	const bench = new Bench();
	send(bench, bench.ready(A1), 300);
	const late = bench.ready(B1);
	expect(bench.take(late).slice(1)).toEqual(range("entry", 1, 256));
	bench.up(late, { case: "acknowledge", value: { cursor: 256 } });
	expect(bench.take(late)).toEqual([...range("entry", 257, 300), "caught up 300"]);
});

test("DELIVERED-3 what is acknowledged makes room, in bytes too, however much has passed; who is slow holds up nobody", () => {
	const bench = new Bench([member(ALICE, 11), member(BOB, 21, 22)]);
	const [one, slow, quick] = [bench.ready(A1), bench.ready(B1), bench.ready(B2)];
	for (const socket of [one, slow, quick]) bench.take(socket);
	const text = "x".repeat(LIMITS.message_ciphertext_bytes / 2);
	const count = Math.ceil((2 * LIMITS.window_bytes) / text.length);
	for (let number = 1; number <= count; number++) {
		bench.raw(one, message(newId(), [B1, B2], 1, text));
		expect(bench.take(quick)).toEqual([`entry ${number}`]);
		acknowledge(bench, quick);
	}
	const fits = Math.ceil(LIMITS.window_bytes / text.length);
	expect(bench.take(slow).filter((frame) => frame.startsWith("entry"))).toEqual(range("entry", 1, fits));
	acknowledge(bench, quick);
	bench.up(slow, { case: "acknowledge", value: { cursor: fits } });
	expect(bench.take(slow)).toEqual([...range("entry", fits + 1, count), `caught up ${count}`]);
});
