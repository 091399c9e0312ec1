/** What one member may cost the others: bytes on the disk, memory, reading. */
import { fromBinary } from "@bufbuild/protobuf";
import { expect, test } from "vitest";
import { ConversationDownSchema } from "../../protocol/gen/conversation_down_pb.js";
import { nextUuidV7 } from "../../protocol/ids.ts";
import { LIMITS } from "../../protocol/limits.ts";
import { Backlog } from "./backlog.ts";
import { MemoryStore } from "./memory-store.ts";
import type { LogEntry, LogRow } from "./store.ts";
import { A1, ALICE, B1, Bench, BOB, member, message, newId, up } from "./testing.ts";

/** A store that counts how often the whole log is read. */
class Counting extends MemoryStore {
	scans = 0;

	override find(messageId: string): LogEntry | undefined {
		this.scans += 1;
		return super.find(messageId);
	}
}

/** A store that keeps a small frame in place of each, and counts it as the large one. */
class Folded extends MemoryStore {
	readonly #small = message(newId(), [B1]);

	override append(row: LogRow): void {
		super.append({ ...row, payload: this.#small });
	}

	override waiting(after: number): number {
		return (super.waiting(after) / this.#small.length) * FRAME_BYTES;
	}
}

const BIG = "x".repeat(90_000);
const FRAME_BYTES = message(newId(), [B1], 1, BIG).length;

test("KEPT-3 what waits is bounded: refused when full, taken again when somebody has fetched", () => {
	const bench = new Bench(undefined, new Folded());
	const one = bench.ready(A1);
	bench.effects = [];
	let answer = "";
	let count = 0;
	for (; count < 20_000; count++) {
		bench.now_ms += 10;
		bench.raw(one, message(newId(), [B1], 1, BIG));
		[answer = ""] = bench.take(one);
		if (!answer.startsWith("accepted")) break;
	}
	expect(answer).toBe(`refused CONVERSATION_FULL ${LIMITS.unread_bytes}`);
	expect(count * BIG.length).toBeGreaterThan(LIMITS.unread_bytes * 0.98);
	expect(bench.store.waiting(0)).toBeLessThanOrEqual(LIMITS.unread_bytes);
	// Neither a crash nor another device of the sender makes more room.
	bench.restart(false);
	const again = bench.ready(A1, count);
	bench.effects = [];
	const id = newId();
	bench.raw(again, message(id, [B1], 1, BIG));
	expect(bench.take(again)).toEqual([`refused CONVERSATION_FULL ${LIMITS.unread_bytes}`]);
	// The same message goes when half of it was fetched.
	const other = bench.ready(B1, Math.floor(count / 2));
	bench.effects = [];
	bench.raw(again, message(id, [B1], 1, BIG));
	expect(bench.take(again)).toEqual([`accepted ${count + 1}`]);
	bench.up(other, { case: "acknowledge", value: { cursor: count + 1 } });
	expect(bench.store.waiting(0)).toBe(0);
});

test("KEPT-3 KEPT-1 the end of retention makes room, though the device never comes", () => {
	const bench = new Bench(undefined, new Folded());
	const one = bench.ready(A1);
	for (let count = 0; count < 15_000; count++) {
		bench.now_ms += 10;
		bench.raw(one, message(newId(), [B1], 1, BIG));
		bench.effects = [];
	}
	bench.now_ms += 46 * 86_400_000;
	bench.handle({ type: "alarm" });
	bench.effects = [];
	bench.raw(one, message(newId(), [B1], 1, BIG));
	expect(bench.take(one)[0]).toMatch(/^accepted/);
});

test("KEPT-3 the bound is never too low, whatever comes and goes", () => {
	for (let seed = 1; seed <= 12; seed++) {
		let state = seed;
		const random = (limit: number): number => {
			state = (state * 1_103_515_245 + 12_345) % 2_147_483_648;
			return Math.floor((state / 2_147_483_648) * limit);
		};
		let backlog = new Backlog();
		const sizes: number[] = [0];
		let floor = 0;
		for (let turn = 0; turn < 3_000; turn++) {
			const head = sizes.length;
			const size = random(1_000);
			sizes.push(size);
			backlog.appended(head, size);
			if (random(40) === 0) {
				floor += random(head - floor + 1);
				backlog.passed(floor, head);
			}
			if (random(500) === 0) backlog = new Backlog(JSON.parse(JSON.stringify(backlog.json)));
			const waiting = sizes.slice(floor + 1).reduce((sum, bytes) => sum + bytes, 0);
			expect(backlog.bytes, `seed ${seed}`).toBeGreaterThanOrEqual(waiting);
			if (floor === head) expect(backlog.bytes).toBe(0);
		}
		expect(backlog.json.steps.length).toBeLessThanOrEqual(16);
	}
});

test("ONCE-1 REFUSED-2 made-up old ids don't have the log read for each", () => {
	const store = new Counting();
	const bench = new Bench(undefined, store);
	const one = bench.ready(A1);
	for (let count = 0; count < 20_000; count++) {
		bench.now_ms += 10;
		bench.raw(one, message(newId(), [B1]));
		bench.effects = [];
	}
	for (let count = 0; count < 400; count++) {
		bench.now_ms += 2;
		const old = nextUuidV7(count + 1, new Uint8Array(10), undefined);
		bench.raw(one, message(old, [B1]));
	}
	expect(store.scans).toBeLessThan(12);
	expect(bench.take(one)).toContain("refused RATE_LIMITED 0");
	// The budget comes back, and what is new was never held up.
	bench.now_ms += 5_000;
	bench.raw(one, message(nextUuidV7(2, new Uint8Array(10), undefined), [B1]));
	bench.raw(one, message(newId(), [B1]));
	const answers = bench.take(one);
	expect(answers.every((answer) => answer.startsWith("accepted"))).toBe(true);
});

test("DELIVERED-3 an id in memory does not keep the frame that it came in", () => {
	const bench = new Bench();
	const one = bench.ready(A1);
	const id = newId();
	const frame = message(id, [B1], 1, BIG);
	bench.raw(one, frame);
	// A repetition is answered from memory: what if the frame's bytes had been used for something else meanwhile?
	const again = frame.slice();
	frame.fill(0);
	bench.effects = [];
	bench.raw(one, again);
	const [effect] = bench.effects;
	const answer = effect?.type === "send" ? fromBinary(ConversationDownSchema, effect.bytes).frame : undefined;
	expect(answer?.case === "accepted" && answer.value.messageId).toEqual(Uint8Array.from(id));
});

test("ONCE-1 devices that come and go leave bounded traces, and one that returns is remembered", () => {
	const bench = new Bench();
	bench.raw(bench.ready(A1), message(newId(), [B1]));
	const rounds = LIMITS.remembered_entries + 200;
	for (let round = 1; round <= rounds; round++) {
		bench.now_ms += 1_000;
		const device = { ...B1, registrationId: 1_000 + round };
		bench.handle({ type: "setDevices", member: { ...member(BOB, device.registrationId), version: round } });
		const socket = bench.ready(device, bench.core.head);
		bench.raw(socket, message(newId(), [A1], round + 1));
		bench.effects = [];
	}
	const state: { marks: unknown[] } = JSON.parse(bench.store.readState() ?? "");
	expect(state.marks.length).toBeLessThanOrEqual(LIMITS.remembered_entries + 3);
	expect(JSON.stringify(state.marks)).toContain(ALICE);
});

test("GROUP-8 REFUSED-2 asking for all watermarks again and again is answered twice a second", () => {
	const bench = new Bench();
	const one = bench.ready(A1);
	bench.effects = [];
	for (let count = 0; count < 1_000; count++) {
		bench.now_ms += 2;
		bench.up(one, { case: "watermarks", value: {} });
	}
	const answers = bench.take(one);
	expect(answers.filter((answer) => answer.startsWith("watermarks")).length).toBeLessThan(14);
	expect(answers).toContain("refused RATE_LIMITED 0");
	expect(up({ case: "watermarks", value: {} }).length).toBeLessThan(4);
});
