/** Deliveries a second in groups of connected members with one sender, beside the bare object and as many sockets. */
import { type Bound, type Figure, middle, type Scale } from "./figures.ts";
import { type Host, startLoad, type Target, type ToldLoad } from "./hosting.ts";
import { type GroupOrder, type GroupReport, GroupReportSchema } from "./orders.ts";
import { MESSAGE_BYTES, type Progress, withHosts } from "./shared.ts";
import { inSlices } from "./slices.ts";

/**
 * Groups, and of how many pairs of processes the middle one is taken. Two processes of the bare object alone differ by up
 * to a fifth, all of their work alike, and small groups are where that matters.
 */
const SIZES: readonly { members: number; rounds: (scale: Scale) => number }[] = [
	{ members: 10, rounds: (scale) => 3 * scale.rounds },
	{ members: 100, rounds: (scale) => scale.rounds_bound },
	{ members: 1_000, rounds: (scale) => scale.rounds },
];
/** Messages that are on the way to somebody. */
const WINDOW = 8;
/** For how long one of the two sends until it is the other's turn. */
const SLICE_MS = 1_000;
/** Of a second's CPU time of the generator: beyond, it is the generator that limits. */
const GENERATOR_SHARE_MAX = 0.85;
/** Deliveries a second that ejabberd reached on such a machine. */
const EJABBERD = 11_000;

export async function groups(scale: Scale, progress: Progress): Promise<Figure[]> {
	const figures: Figure[] = [];
	const slices = {
		measured: Math.ceil(scale.slices / 2),
		warm: Math.ceil(scale.warmup_ms / SLICE_MS),
		slice_ms: SLICE_MS,
	};
	for (const { members, rounds: times } of SIZES) {
		progress(`groups: ${members} members, in memory`);
		const rounds: Round[] = [];
		for (let round = 0; round < times(scale); round++) {
			const { bare, parley } = await withHosts("memory", (hosts) =>
				inSlices((target) => start(target, hosts[target], members), slices),
			);
			rounds.push({ bare, parley });
			for (const [target, report] of Object.entries({ bare, parley })) {
				progress(`  ${target}: ${Math.round(report.deliveries_per_second)} deliveries/s`);
			}
		}
		figures.push(...compare(members, rounds));
	}
	return figures;
}

type Round = Record<Target, GroupReport>;

function start(target: Target, host: Host, members: number): ToldLoad<GroupReport> {
	const { url, pids } = host;
	const order: GroupOrder = { target, members, url, pids: [...pids], window: WINDOW, message_bytes: MESSAGE_BYTES };
	return startLoad("group-load.ts", order, GroupReportSchema);
}

function compare(members: number, rounds: readonly Round[]): Figure[] {
	const reports = rounds.flatMap(({ bare, parley }) => [bare, parley]);
	const share = Math.max(...reports.map((one) => one.generator_cpu_seconds / one.seconds));
	const of = (what: string, unit: string, read: (report: GroupReport) => number, bounds: Bound[]): Figure => ({
		benchmark: "groups",
		what: `${what}, ${members} members, one sends, ${WINDOW} on the way`,
		unit,
		...middle(rounds, read),
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
