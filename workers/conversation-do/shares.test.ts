/** A member who never comes back, and one who fills the group, hold up nobody else (rules KEPT-3 and KEPT-5). */
import { expect, test } from "vitest";
import { nextUuidV7 } from "../../protocol/ids.ts";
import { LIMITS } from "../../protocol/limits.ts";
import { bytesBySender, MemoryStore } from "./memory-store.ts";
import type { LogRow } from "./store.ts";
import { A1, type Address, B1, up } from "./testing.ts";
import { C1, GroupBench, joining, request } from "./testing-groups.ts";

const HOUR_MS = 3_600_000;
const shared = (bytes: number) => {
	lastId = nextUuidV7(Date.now(), new Uint8Array(10), lastId);
	return up({ case: "send", value: { messageId: lastId, rosterVersion: 2, shared: new Uint8Array(bytes) } });
};
let lastId: Uint8Array | undefined;

const BIG = 90_000;
const FRAME_BYTES = shared(BIG).length;

/** A store that keeps a small payload in place of each large one, and counts it as that. */
class Folded extends MemoryStore {
	scans = 0;

	override append(row: LogRow): void {
		super.append(row.payload === null ? row : { ...row, payload: shared(1) });
	}

	override waiting(after: number): number {
		return this.#waiting(after).length * FRAME_BYTES;
	}

	override waitingBySender(after: number, since_ms: number): [string, number][] {
		this.scans++;
		const young = this.#waiting(after).filter(({ time_ms }) => time_ms > since_ms);
		const rows = young.map((row) => ({ ...row, payload: ONE }));
		return bytesBySender(rows).map(([sender, count]) => [sender, count * FRAME_BYTES]);
	}

	#waiting(after: number): LogRow[] {
		return this.rows(after, Number.MAX_SAFE_INTEGER).filter(({ payload }) => payload !== null);
	}
}

const ONE = new Uint8Array(1);

const MORE = ["d", "e", "f"].map((digit, index): Address => {
	return { account: `00000000-0000-4000-8000-00000000000${digit}`, device: 1, registrationId: 41 + index };
});

/** All but Carol are there; she never comes. */
function bench() {
	const store = new Folded();
	const group = new GroupBench(undefined, store);
	group.change(request(A1, 2, { added: [C1, ...MORE].map((one) => joining(one)) }));
	group.effects = [];
	const big = shared(BIG);
	const idAt = Buffer.from(big).indexOf(lastId ?? "");
	/** Sends so many, so far apart, and returns the last answer. */
	const talk = (socket: number, count: number, everyMs: number): string => {
		let answer = "";
		for (let sent = 0; sent < count; sent++) {
			group.now_ms += everyMs;
			lastId = nextUuidV7(Date.now(), new Uint8Array(10), lastId);
			big.set(lastId, idAt);
			group.raw(socket, big);
			const frames = group.take(socket);
			answer = frames.findLast((frame) => frame.startsWith("accepted") || frame.startsWith("refused")) ?? "";
			group.effects = [];
			if (answer.startsWith("refused")) return answer;
		}
		return answer;
	};
	return { group, store, talk };
}
const COUNT_SHARE = Math.floor(LIMITS.unread_member_bytes / FRAME_BYTES);

test("KEPT-5 one member fills a quarter and no more: the others go on", () => {
	const { group, store, talk } = bench();
	expect(talk(group.alice, COUNT_SHARE + 20, 10)).toBe(`refused CONVERSATION_FULL ${LIMITS.unread_member_bytes}`);
	expect(store.waiting(0)).toBeGreaterThan(LIMITS.unread_member_bytes * 0.98);
	// The two changes of the group are counted as large frames too.
	expect(store.waiting(0) - 2 * FRAME_BYTES).toBeLessThanOrEqual(LIMITS.unread_member_bytes);
	expect(talk(group.bob, 100, 10)).toMatch(/^accepted/);
	// What is refused reads the log at most once a minute.
	const { scans } = store;
	for (let count = 0; count < 50; count++) expect(talk(group.alice, 1, 10)).toMatch(/^refused/);
	expect(store.scans - scans).toBeLessThanOrEqual(1);
	// When the others have read, there is room; also after a restart.
	group.restart(false);
	for (const one of [C1, ...MORE]) group.ready(one, group.core.head);
	const [alice, bob] = [group.ready(A1, group.core.head), group.ready(B1, group.core.head)];
	group.effects = [];
	expect([alice, bob].map((socket) => talk(socket, 1, 10).slice(0, 8))).toEqual(["accepted", "accepted"]);
});

test("KEPT-5 KEPT-2 a member who never comes back does not fill a group: what waited a day goes, and it is told", () => {
	const { group, store, talk } = bench();
	// Everybody else reads: half an hour between messages is 600 days for two gibibytes.
	for (let round = 0; round < 8; round++) {
		for (const socket of [group.alice, group.bob]) {
			expect(talk(socket, Math.floor(COUNT_SHARE / 2), 30_000), `round ${round}`).toMatch(/^accepted/);
			for (const one of [group.alice, group.bob]) {
				group.up(one, { case: "acknowledge", value: { cursor: group.core.head } });
			}
		}
		group.now_ms += HOUR_MS;
	}
	expect(store.waiting(0)).toBeLessThanOrEqual(LIMITS.unread_bytes);
	expect(store.waiting(0)).toBeGreaterThan(LIMITS.unread_bytes / 2);
	group.effects = [];
	const carol = group.ready(C1, 0);
	const frames = group.take(carol);
	expect(frames[0]).toMatch(/^welcome/);
	expect(frames[1]).toMatch(/^missed \d+-\d+$/);
	expect(frames[2]).toMatch(/^entry \d+$/);
});

test("KEPT-5 what is younger than a day goes for nobody, however full the group is", () => {
	const { group, store, talk } = bench();
	const [dora = 0, erin = 0, fred = 0] = MORE.map((one) => group.ready(one));
	for (const socket of [group.alice, group.bob, dora, erin]) {
		expect(talk(socket, COUNT_SHARE - 1, 2)).toMatch(/^accepted/);
	}
	const full = `refused CONVERSATION_FULL ${LIMITS.unread_bytes}`;
	expect(talk(fred, 20, 2)).toBe(full);
	const waits = store.waiting(0);
	group.now_ms += 23 * HOUR_MS;
	expect(talk(fred, 1, 2)).toBe(full);
	expect(store.waiting(0)).toBe(waits);
	group.now_ms += 2 * HOUR_MS;
	expect(talk(fred, 1, 2)).toMatch(/^accepted/);
	expect(store.waiting(0)).toBeLessThan(LIMITS.unread_bytes);
	expect(store.waiting(0)).toBeGreaterThan(LIMITS.unread_bytes / 2);
});
