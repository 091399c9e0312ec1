import { describe, expect, test } from "vitest";
import { FAULTS, type Fault, NO_FAULT } from "./faults.ts";
import { runMachineWorld } from "./machine-world.ts";
import { runWorld } from "./world.ts";

const WORLDS = 200;
/** Some faults show only where a crash and a lost connection meet. */
const SEEDS_FOR_A_FAULT = 150;

test("ORDER-1 ORDER-2 ONCE-1 DURABLE-1 DELIVERED-1 two hundred worlds hold the contract", {
	timeout: 60_000,
}, async () => {
	let entries = 0;
	for (let seed = 1; seed <= WORLDS; seed++) {
		const outcome = await runWorld(seed, NO_FAULT);
		entries += outcome.entries;
		expect(outcome.violations, `seed ${seed}`).toEqual([]);
	}
	// Not because nothing happened.
	expect(entries).toBeGreaterThan(WORLDS * 10);
});

test("DELIVERED-2 KEPT-1 NUDGE-1 WATERMARK-1 WATERMARK-2 IDLE-1 other seeds hold as well", {
	timeout: 30_000,
}, async () => {
	for (let seed = 1_000_000; seed < 1_000_030; seed++) {
		expect((await runWorld(seed, NO_FAULT)).violations, `seed ${seed}`).toEqual([]);
	}
});

test("DEVICE-3 DEVICE-4 ROSTER-1 ROSTER-2 ROSTER-3 worlds hold in which devices are linked and unlinked", {
	timeout: 60_000,
}, async () => {
	let changes = 0;
	// 7906: a crash forgot what a device had acknowledged before it left; the news of it must bring it back.
	for (const seed of [...Array.from({ length: WORLDS }, (_, index) => index + 1), 7906]) {
		const outcome = await runWorld(seed, NO_FAULT, true);
		changes += outcome.trace.filter((line) => / roster \d/.test(line)).length;
		expect(outcome.violations, `seed ${seed}`).toEqual([]);
	}
	// Two changes a world beside the founding.
	expect(changes).toBeGreaterThan(WORLDS * 3);
});

test("ORDER-1 the same seed gives the same world, event by event", async () => {
	for (const seed of [3, 17, 42]) {
		const first = await runWorld(seed, NO_FAULT);
		const second = await runWorld(seed, NO_FAULT);
		expect(first.trace.length).toBeGreaterThan(100);
		expect(second.trace).toEqual(first.trace);
	}
});

test("CLIENT-1 CLIENT-2 DELIVERED-1 NUDGE-1 NUDGE-3 ONCE-1 the real client loses and repeats nothing", {
	timeout: 60_000,
}, async () => {
	// 42 and 102: a kill between storing and acknowledging, after which no nudge came any more (rule NUDGE-1).
	// 234 and 358: the object crashed with an entry on the connection of a device that was killed (rule NUDGE-3).
	for (const seed of [1, 2, 3, 4, 5, 6, 7, 8, 42, 102, 234, 358]) {
		const outcome = await runMachineWorld(seed);
		expect(outcome.violations, `seed ${seed}`).toEqual([]);
		expect(outcome.entries).toBeGreaterThan(0);
	}
});

test("CLIENT-1 ROSTER-2 the real client loses nothing while devices are linked and unlinked", {
	timeout: 60_000,
}, async () => {
	// 58 and 69: something was sent to a device that was unlinked already and not yet off the roster.
	for (const seed of [1, 2, 3, 4, 5, 6, 58, 69]) {
		const outcome = await runMachineWorld(seed, true);
		expect(outcome.violations, `seed ${seed}`).toEqual([]);
		expect(outcome.entries).toBeGreaterThan(0);
	}
});

describe("planted faults", () => {
	for (const fault of FAULTS) {
		test(`${fault.breaks.join(" ")} ${fault.name} is caught`, { timeout: 30_000 }, async () => {
			expect(await firstBroken(fault)).toBeDefined();
		});
	}
});

/** The first seed in which the fault's own rule is reported. */
async function firstBroken(fault: Fault): Promise<number | undefined> {
	for (let seed = 1; seed <= SEEDS_FOR_A_FAULT; seed++) {
		const { violations } = await runWorld(seed, fault);
		if (violations.some(({ rule }) => fault.breaks.includes(rule))) return seed;
	}
	return undefined;
}
