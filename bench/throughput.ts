/** Messages a second and latency, for one, twenty and a hundred pairs, on disk and in memory. */
import { type Bound, type Figure, middle, type Scale } from "./figures.ts";
import { type Storage, startLoad, type Target } from "./hosting.ts";
import { type LoadReport, LoadReportSchema } from "./orders.ts";
import { orderOf, type Progress, WINDOW, withHosts } from "./shared.ts";
import { inSlices } from "./slices.ts";

const PAIRS = [1, 20, 100] as const;
/** The number of pairs for which there are bounds. */
const PAIRS_BOUND = 20;
/** Messages a second that ejabberd reached on the same machine size, with its archive on disk and in memory. */
const EJABBERD: Record<Storage, number> = { disk: 159, memory: 773 };
/** How often Parley has to be faster. */
const EJABBERD_TIMES = 5;
/** For how long one of the two sends until it is the other's turn. */
const SLICE_MS = 1_000;
/** Slices that are not measured: until each log is as long as it stays, and the code compiled. */
const WARM_TIMES = 1.7;
/** Of a second's CPU time of the generator: beyond, it is the generator that limits. */
const GENERATOR_SHARE_MAX = 0.85;

export async function throughput(scale: Scale, progress: Progress): Promise<Figure[]> {
	const figures: Figure[] = [];
	for (const storage of ["disk", "memory"] as const) {
		for (const pairs of PAIRS) {
			progress(`throughput: ${pairs} pairs, ${storage}`);
			const { warmup_ms, measure_ms, slices: measured } = scale;
			const shape = { pairs, messages_max: 2_000_000, warmup_ms, measure_ms };
			const slices = { measured, warm: Math.ceil((WARM_TIMES * warmup_ms) / SLICE_MS), slice_ms: SLICE_MS };
			const rounds: Round[] = [];
			// A process is faster or slower than the next one of the same kind, by where its memory lies.
			for (let round = 0; round < (pairs === PAIRS_BOUND ? scale.rounds_bound : 1); round++) {
				rounds.push(
					await withHosts(storage, (hosts) => {
						const order = (target: Target) => orderOf(target, hosts[target], { ...shape, mode: "slices" });
						return inSlices((target) => startLoad("load.ts", order(target), LoadReportSchema), slices);
					}),
				);
				tell(rounds.at(-1), progress);
			}
			figures.push(...compare(storage, pairs, rounds));
		}
	}
	return figures;
}

type Round = Record<Target, LoadReport>;

/** A refusal means that something else was measured than messages. */
function tell(round: Round | undefined, progress: Progress): void {
	for (const [target, report] of Object.entries(round ?? {})) {
		if (report.refused > 0) throw new Error(`${target} refused ${report.refused} frames of the load`);
		progress(`  ${target}: ${Math.round(report.messages_per_second)} messages/s`);
	}
}

function compare(storage: Storage, pairs: number, rounds: readonly Round[]): Figure[] {
	const bound = pairs === PAIRS_BOUND;
	const where = `${pairs} ${pairs === 1 ? "pair" : "pairs"}, ${storage}, ${WINDOW} on the way a pair`;
	const of = (what: string, unit: string, read: (report: LoadReport) => number, bounds: Bound[]): Figure => ({
		benchmark: "throughput",
		what: `${what}, ${where}`,
		unit,
		...middle(rounds, read),
		bounds: bound ? bounds : [],
		...noteOnGenerator(rounds.flatMap(({ bare, parley }) => [bare, parley])),
	});
	return [
		of("messages", "1/s", (report) => report.messages_per_second, [
			{ of: "ratio", relation: "at least", value: 0.6, why: "of the bare object" },
			{
				of: "figure",
				relation: "at least",
				value: EJABBERD_TIMES * EJABBERD[storage],
				why: `${EJABBERD_TIMES} times ejabberd`,
			},
		]),
		of("send to acknowledgement p50", "ms", (report) => report.accepted.p50_ms, [
			{ of: "ratio", relation: "at most", value: 1.6, why: "of the bare object" },
		]),
		of("send to acknowledgement p95", "ms", (report) => report.accepted.p95_ms, []),
		of("send to acknowledgement p99", "ms", (report) => report.accepted.p99_ms, []),
		of("send to receipt p50", "ms", (report) => report.received.p50_ms, [
			{ of: "ratio", relation: "at most", value: 1.6, why: "of the bare object" },
		]),
		of("send to receipt p95", "ms", (report) => report.received.p95_ms, []),
		of("send to receipt p99", "ms", (report) => report.received.p99_ms, []),
	];
}

function noteOnGenerator(reports: readonly LoadReport[]): { note?: string } {
	const share = Math.max(...reports.map((report) => report.generator_cpu_seconds / report.seconds));
	return share > GENERATOR_SHARE_MAX ? { note: "the load generator was the limit" } : {};
}
