import { describe, expect, test } from "vitest";
import { type Fault, NO_FAULT } from "./faults.ts";
import { REAL_GROUP_FAULTS } from "./real-group-faults.ts";
import { runRealGroupWorld } from "./real-group-world.ts";

/** Each takes about a second. 3: the account that made the newest state is deleted, then a member links a new device. */
const SEEDS = [1, 2, 3, 4, 5, 6];
/** Between them all faults show. */
const SEEDS_FOR_A_FAULT = [2, 5];

test("GROUP-2 GROUP-6 GROUP-12 GROUP-13 GROUP-15 GROUP-16 CLIENT-1 groups of real clients have one history each, and lose nothing", {
	timeout: 90_000,
}, async () => {
	let entries = 0;
	const seen = { crashed: 0, "group-left": 0, "is linked": 0, "object-crashed": 0, "is evicted": 0 };
	for (const seed of SEEDS) {
		const outcome = await runRealGroupWorld(seed, NO_FAULT);
		expect(outcome.violations, `seed ${seed}`).toEqual([]);
		entries += outcome.entries;
		for (const word of ["crashed", "group-left", "is linked", "object-crashed", "is evicted"] as const) {
			seen[word] += outcome.trace.filter((line) => line.includes(word)).length;
		}
	}
	// Not because nothing happened.
	expect(entries).toBeGreaterThan(SEEDS.length * 15);
	for (const count of Object.values(seen)) expect(count).toBeGreaterThan(0);
});

describe("planted faults in groups of real clients", () => {
	for (const fault of REAL_GROUP_FAULTS) {
		test(`${fault.breaks.join(" ")} ${fault.name} is caught`, { timeout: 90_000 }, async () => {
			expect(await firstBroken(fault)).toBeDefined();
		});
	}
});

/** The first seed in which the fault's own rule is reported. */
async function firstBroken(fault: Fault): Promise<number | undefined> {
	for (const seed of SEEDS_FOR_A_FAULT) {
		const { violations } = await runRealGroupWorld(seed, fault);
		if (violations.some(({ rule }) => fault.breaks.includes(rule))) return seed;
	}
	return undefined;
}
