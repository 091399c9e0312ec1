/**
 * Two loads side by side of which only one sends at any time, for a second in turn: a machine whose speed moves by a factor
 * of two within minutes, as rented ones do, is then fast and slow for both. Rounds of seconds told more of the machine than
 * of what ran on it.
 */

import { startLoad, type Target } from "./hosting.ts";
import type { LoadReport } from "./orders.ts";
import { type Hosts, type LoadShape, orderOf, type Progress } from "./shared.ts";

const TARGETS: readonly Target[] = ["bare", "parley"];

export interface Slices {
	/** How many of each target are measured, and how many before them are not. */
	measured: number;
	warm: number;
	slice_ms: number;
}

/** What each target did in all its slices. A refusal means that something else was measured than messages. */
export async function inSlices(
	hosts: Hosts,
	{ measured, warm, slice_ms }: Slices,
	shape: Omit<LoadShape, "mode">,
	progress: Progress,
): Promise<Record<Target, LoadReport>> {
	const start = async (target: Target) => {
		const load = startLoad(orderOf(target, hosts[target], { ...shape, mode: "slices" }));
		await load.answer("ready");
		return load;
	};
	const loads = { bare: await start("bare"), parley: await start("parley") };
	for (let slice = 0; slice < warm + measured; slice++) {
		for (const target of TARGETS) {
			const load = loads[target];
			load.tell(slice < warm ? "warm" : "measure");
			await new Promise((over) => setTimeout(over, slice_ms));
			load.tell("rest");
			await load.answer("rested");
		}
	}
	const reportOf = async (target: Target) => {
		loads[target].tell("report");
		const report = await loads[target].report;
		if (report.refused > 0) throw new Error(`${target} refused ${report.refused} frames of the load`);
		progress(`  ${target}: ${Math.round(report.messages_per_second)} messages/s`);
		return report;
	};
	return { bare: await reportOf("bare"), parley: await reportOf("parley") };
}
