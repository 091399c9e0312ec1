/**
 * Two loads side by side of which only one sends at any time, for seconds in turn: a machine whose speed moves by a factor
 * of two within minutes, as rented ones do, is then fast and slow for both. Rounds of seconds told more of the machine than
 * of what ran on it. Each is as often the first of two as the second: what follows the busier one may have less of a machine
 * that is granted in portions.
 */
import type { Target, ToldLoad } from "./hosting.ts";

const TARGETS: readonly Target[] = ["bare", "parley"];

export interface Slices {
	/** How many of each target are measured, and how many before them are not. */
	measured: number;
	warm: number;
	slice_ms: number;
}

/** What each target did in all its slices. */
export async function inSlices<Report>(
	start: (target: Target) => ToldLoad<Report>,
	{ measured, warm, slice_ms }: Slices,
): Promise<Record<Target, Report>> {
	const ready = async (target: Target) => {
		const load = start(target);
		await load.answer("ready");
		return load;
	};
	const loads = { bare: await ready("bare"), parley: await ready("parley") };
	for (let slice = 0; slice < warm + measured; slice++) {
		for (const target of slice % 2 === 0 ? TARGETS : TARGETS.toReversed()) {
			const load = loads[target];
			load.tell(slice < warm ? "warm" : "measure");
			await new Promise((over) => setTimeout(over, slice_ms));
			load.tell("rest");
			await load.answer("rested");
		}
	}
	const reportOf = (target: Target) => {
		loads[target].tell("report");
		return loads[target].report;
	};
	return { bare: await reportOf("bare"), parley: await reportOf("parley") };
}
