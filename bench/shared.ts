/** What the benchmarks against the server have in common: the load's constants and a pair of hosts. */
import { type Host, runLoad, type Storage, startHost, type Target } from "./hosting.ts";
import type { LoadOrder, LoadReport } from "./orders.ts";

export const MESSAGE_BYTES = 1_000;
/** Messages of one pair that are on the way: four of each member. */
export const WINDOW = 8;

export type Progress = (text: string) => void;
export type Hosts = Readonly<Record<Target, Host>>;

/** Runs both servers, each on fresh storage; the one that is not loaded only waits. */
export async function withHosts<T>(storage: Storage, use: (hosts: Hosts) => Promise<T>): Promise<T> {
	const bare = await startHost("bare", storage);
	try {
		const parley = await startHost("parley", storage);
		try {
			return await use({ bare, parley });
		} finally {
			await parley.stop();
		}
	} finally {
		await bare.stop();
	}
}

export type LoadShape = Pick<LoadOrder, "mode" | "pairs" | "warmup_ms" | "measure_ms" | "messages_max">;

/** What the load generator is told. */
export function orderOf(target: Target, host: Host, shape: LoadShape): LoadOrder {
	return { ...shape, target, url: host.url, pids: [...host.pids], window: WINDOW, message_bytes: MESSAGE_BYTES };
}

/** One run of the load. A refusal means that something else was measured than messages. */
export async function load(target: Target, host: Host, shape: LoadShape): Promise<LoadReport> {
	const report = await runLoad(orderOf(target, host, shape));
	if (report.refused > 0) throw new Error(`${target} refused ${report.refused} frames of the load`);
	return report;
}

/** The unloaded figure of several runs in turn, and its fellow. */
export async function inTurn(
	hosts: Hosts,
	rounds: number,
	shape: LoadShape,
	progress: Progress,
): Promise<Record<Target, LoadReport[]>> {
	const reports: Record<Target, LoadReport[]> = { bare: [], parley: [] };
	for (let round = 1; round <= rounds; round++) {
		for (const target of ["bare", "parley"] as const) {
			const report = await load(target, hosts[target], shape);
			reports[target].push(report);
			progress(`  ${target} ${round}/${rounds}: ${Math.round(report.messages_per_second)} messages/s`);
		}
	}
	return reports;
}
