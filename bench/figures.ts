/** What a benchmark finds. Figures are data; the report makes sentences of them. */

export const BENCHMARKS = [
	"throughput",
	"cpu",
	"catch-up",
	"rows",
	"client",
	"media",
	"groups",
	"group-create",
] as const;
export type Benchmark = (typeof BENCHMARKS)[number];

/** How far a run goes. `--quick` shows that everything works; its figures are no measurements. */
export interface Scale {
	rounds: number;
	/** The same where there is a bound to keep: single rounds move by a factor of two. */
	rounds_bound: number;
	/** Seconds in turn that are measured of each, for pairs. */
	slices: number;
	warmup_ms: number;
	measure_ms: number;
	/** Messages of one CPU run and of the client's run. */
	messages: number;
	/** Length of the log that is caught up. */
	log_messages: number;
	/** The size of the file that goes up and down. */
	file_bytes: number;
	/** Members of the group that is made. */
	group_members: number;
}

export const FULL: Scale = {
	rounds: 3,
	rounds_bound: 5,
	slices: 10,
	warmup_ms: 3_000,
	measure_ms: 4_000,
	messages: 10_000,
	log_messages: 10_000,
	file_bytes: 2 ** 30,
	group_members: 1_000,
};
export const QUICK: Scale = {
	rounds: 1,
	rounds_bound: 1,
	slices: 1,
	warmup_ms: 500,
	measure_ms: 1_500,
	messages: 1_000,
	log_messages: 1_000,
	file_bytes: 2 ** 26,
	group_members: 100,
};

/** A bound that a figure, or its ratio to the bare one, has to keep. */
export interface Bound {
	of: "figure" | "ratio";
	relation: "at least" | "at most";
	value: number;
	why: string;
}

export interface Figure {
	benchmark: Benchmark;
	/** What was measured, with its parameters. */
	what: string;
	unit: string;
	parley: number;
	/** The same of what Parley stands on: the bare object, or libsignal alone. */
	bare?: number;
	bounds: readonly Bound[];
	/** What a reader should know when judging it. */
	note?: string;
}

/** Parley's share of the bare figure. */
export function ratio(figure: Figure): number | undefined {
	return figure.bare === undefined || figure.bare === 0 ? undefined : figure.parley / figure.bare;
}

/** Whether a bound is kept; undefined where there is nothing to compare with. */
export function kept(figure: Figure, bound: Bound): boolean | undefined {
	const value = bound.of === "figure" ? figure.parley : ratio(figure);
	if (value === undefined) return undefined;
	switch (bound.relation) {
		case "at least":
			return value >= bound.value;
		case "at most":
			return value <= bound.value;
	}
}

/** The middle of some values; the upper one of an even number. */
export function median(values: readonly number[]): number {
	return values.toSorted((one, other) => one - other)[Math.floor(values.length / 2)] ?? 0;
}

/** Of several rounds, each of Parley and of the bare one, what is read of the one whose ratio is in the middle. */
export function middle<Report>(
	rounds: readonly Record<"parley" | "bare", Report>[],
	read: (report: Report) => number,
): { parley: number; bare: number } {
	const each = rounds.map(({ parley, bare }) => ({ parley: read(parley), bare: read(bare) }));
	const sorted = each.toSorted((one, other) => one.parley / one.bare - other.parley / other.bare);
	return sorted[Math.floor(sorted.length / 2)] ?? { parley: 0, bare: 0 };
}
