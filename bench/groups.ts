/** Deliveries a second in groups of connected members with one sender, beside the bare object and as many sockets. */
import { type Bound, type Figure, median, type Scale } from "./figures.ts";
import { type Host, runOnce, type Target } from "./hosting.ts";
import { type GroupOrder, type GroupReport, GroupReportSchema } from "./orders.ts";
import { MESSAGE_BYTES, type Progress, withHosts } from "./shared.ts";

const MEMBERS = [10, 100, 1_000] as const;
/** Messages that are on the way to somebody. */
const WINDOW = 8;
const PREPARE_MS_MAX = 240_000;
/** Of a second's CPU time of the generator: beyond, it is the generator that limits. */
const GENERATOR_SHARE_MAX = 0.85;
/** Deliveries a second that ejabberd reached on such a machine. */
const EJABBERD = 11_000;

export async function groups(scale: Scale, progress: Progress): Promise<Figure[]> {
	return withHosts("memory", async (hosts) => {
		const figures: Figure[] = [];
		for (const members of MEMBERS) {
			progress(`groups: ${members} members, in memory`);
			const reports: Record<Target, GroupReport[]> = { bare: [], parley: [] };
			for (let round = 1; round <= scale.rounds_bound; round++) {
				for (const target of ["bare", "parley"] as const) {
					const report = await run(target, hosts[target], members, scale);
					reports[target].push(report);
					progress(
						`  ${target} ${round}/${scale.rounds_bound}: ${Math.round(report.deliveries_per_second)} deliveries/s`,
					);
				}
			}
			figures.push(...compare(members, reports.bare, reports.parley));
		}
		return figures;
	});
}

async function run(target: Target, host: Host, members: number, scale: Scale): Promise<GroupReport> {
	const order: GroupOrder = {
		target,
		members,
		url: host.url,
		pids: [...host.pids],
		window: WINDOW,
		message_bytes: MESSAGE_BYTES,
		warmup_ms: scale.warmup_ms,
		measure_ms: scale.measure_ms,
	};
	const ms_max = scale.warmup_ms + scale.measure_ms + PREPARE_MS_MAX;
	return GroupReportSchema.parse(await runOnce("group-load.ts", order, ms_max));
}

function compare(members: number, bare: GroupReport[], parley: GroupReport[]): Figure[] {
	const share = Math.max(...[...bare, ...parley].map((one) => one.generator_cpu_seconds / one.seconds));
	const of = (what: string, unit: string, read: (report: GroupReport) => number, bounds: Bound[]): Figure => ({
		benchmark: "groups",
		what: `${what}, ${members} members, one sends, ${WINDOW} on the way`,
		unit,
		parley: median(parley.map(read)),
		bare: median(bare.map(read)),
		bounds,
		...(share > GENERATOR_SHARE_MAX ? { note: "the load generator was the limit" } : {}),
	});
	return [
		of("deliveries", "1/s", (report) => report.deliveries_per_second, [
			{ of: "ratio", relation: "at least", value: 0.7, why: "of the bare object" },
			{ of: "figure", relation: "at least", value: EJABBERD, why: "ejabberd's" },
		]),
		of("send to receipt p50", "ms", (report) => report.p50_ms, []),
		of("send to receipt p99", "ms", (report) => report.p99_ms, []),
		of("CPU for 1,000 deliveries", "s", (report) => (report.runtime_cpu_seconds / report.deliveries) * 1_000, []),
	];
}
