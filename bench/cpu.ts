/** CPU time of the Workers' runtime for 1,000 messages: the least of several runs, in turn with the bare object. */
import type { Figure, Scale } from "./figures.ts";
import type { LoadReport } from "./orders.ts";
import { inTurn, type Progress, withHosts } from "./shared.ts";

const PAIRS = 20;
const RUNS = 5;
const RUN_MS_MAX = 60_000;
/** CPU seconds that ejabberd took for 1,000 messages. */
const EJABBERD = { disk: 4.3, memory: 1.8 };
const EJABBERD_TIMES = 5;

export async function cpu(scale: Scale, progress: Progress): Promise<Figure[]> {
	const figures: Figure[] = [];
	for (const storage of ["disk", "memory"] as const) {
		await withHosts(storage, async (hosts) => {
			progress(`cpu: ${PAIRS} pairs, ${storage}`);
			const shape = {
				mode: "exchange",
				pairs: PAIRS,
				warmup_ms: scale.warmup_ms,
				measure_ms: RUN_MS_MAX,
				messages_max: scale.messages,
			} as const;
			const reports = await inTurn(hosts, RUNS, shape, progress);
			const parley = least(reports.parley);
			const bare = least(reports.bare);
			if (parley === undefined || bare === undefined) return progress("  no CPU times on this system");
			figures.push({
				benchmark: "cpu",
				what: `CPU for 1,000 messages, ${PAIRS} pairs, ${storage}`,
				unit: "s",
				parley,
				bare,
				bounds: [
					{
						of: "figure",
						relation: "at most",
						value: EJABBERD[storage] / EJABBERD_TIMES,
						why: `a ${EJABBERD_TIMES}th of ejabberd`,
					},
				],
				note: "the whole runtime: object, output gate, sockets and the door before them",
			});
		});
	}
	return figures;
}

function least(reports: readonly LoadReport[]): number | undefined {
	const each = reports.flatMap(({ runtime_cpu_seconds, messages }) =>
		runtime_cpu_seconds === undefined || messages === 0 ? [] : [(runtime_cpu_seconds / messages) * 1_000],
	);
	return each.length === 0 ? undefined : Math.min(...each);
}
