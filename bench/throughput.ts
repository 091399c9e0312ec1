/** Messages a second and latency, for one, twenty and a hundred pairs, on disk and in memory. */
import type { Bound, Figure, Scale } from "./figures.ts";
import type { Storage } from "./hosting.ts";
import type { LoadReport } from "./orders.ts";
import { type Progress, WINDOW, withHosts } from "./shared.ts";
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
/** Of a second's CPU time of the generator: beyond, it is the generator that limits. */
const GENERATOR_SHARE_MAX = 0.85;

export async function throughput(scale: Scale, progress: Progress): Promise<Figure[]> {
	const figures: Figure[] = [];
	for (const storage of ["disk", "memory"] as const) {
		await withHosts(storage, async (hosts) => {
			for (const pairs of PAIRS) {
				progress(`throughput: ${pairs} pairs, ${storage}`);
				const { warmup_ms, measure_ms } = scale;
				const shape = { pairs, messages_max: 2_000_000, warmup_ms, measure_ms };
				const measured = pairs === PAIRS_BOUND ? scale.slices_bound : scale.slices;
				const slices = { measured, warm: Math.ceil((2 * warmup_ms) / SLICE_MS), slice_ms: SLICE_MS };
				const reports = await inSlices(hosts, slices, shape, progress);
				figures.push(...compare(storage, pairs, reports.bare, reports.parley));
			}
		});
	}
	return figures;
}

function compare(storage: Storage, pairs: number, bare: LoadReport, parley: LoadReport): Figure[] {
	const bound = pairs === PAIRS_BOUND;
	const where = `${pairs} ${pairs === 1 ? "pair" : "pairs"}, ${storage}, ${WINDOW} on the way a pair`;
	const of = (what: string, unit: string, read: (report: LoadReport) => number, bounds: Bound[]): Figure => ({
		benchmark: "throughput",
		what: `${what}, ${where}`,
		unit,
		parley: read(parley),
		bare: read(bare),
		bounds: bound ? bounds : [],
		...noteOnGenerator([bare, parley]),
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
