/** The results as data and as a table. */
import { mkdirSync, writeFileSync } from "node:fs";
import { arch, cpus, platform, totalmem } from "node:os";
import { dirname } from "node:path";
import { type Bound, type Figure, kept, ratio } from "./figures.ts";

export interface Results {
	date: string;
	/** `quick` runs are no measurements. */
	scale: "full" | "quick";
	machine: { system: string; processor: string; cores: number; memory_gib: number; node: string };
	/** Other work on the machine makes figures worse; this is the load average at the start and at the end. */
	load_average: { start: number; end: number };
	figures: readonly Figure[];
	/** Benchmarks that could not run, and why. */
	failures: Readonly<Record<string, string>>;
}

/** The size of the machine, without its name. */
export function machine(): Results["machine"] {
	const processors = cpus();
	return {
		system: `${platform()} ${arch()}`,
		processor: processors[0]?.model ?? "unknown",
		cores: processors.length,
		memory_gib: Math.round(totalmem() / 2 ** 30),
		node: process.version,
	};
}

export function writeResults(results: Results, path: string): void {
	mkdirSync(dirname(path), { recursive: true });
	writeFileSync(path, `${JSON.stringify(results, rounded, "\t")}\n`);
}

/** Four digits are more than any of these figures is good for. */
function rounded(_key: string, value: unknown): unknown {
	return typeof value === "number" && !Number.isInteger(value) ? Number(value.toPrecision(4)) : value;
}

const shown = (value: number | undefined) => {
	if (value === undefined) return "-";
	return Math.abs(value) >= 1_000 ? Math.round(value).toLocaleString("en") : String(Number(value.toPrecision(3)));
};

function verdict(figure: Figure, bound: Bound): string {
	const subject = bound.of === "ratio" ? "ratio " : "";
	const text = `${subject}${bound.relation} ${shown(bound.value)} (${bound.why})`;
	switch (kept(figure, bound)) {
		case true:
			return `kept: ${text}`;
		case false:
			return `MISSED: ${text}`;
		case undefined:
			return `open: ${text}`;
	}
}

/** One line for each figure: what, Parley, bare, ratio, and its bounds. */
export function table(results: Results): string {
	const heads = ["", "Parley", "bare", "ratio", "bounds"];
	const lines = results.figures.map((figure) => [
		figure.unit === "" ? figure.what : `${figure.what} (${figure.unit})`,
		shown(figure.parley),
		shown(figure.bare),
		shown(ratio(figure)),
		figure.bounds.map((bound) => verdict(figure, bound)).join("; "),
	]);
	const widths = heads.map((head, column) =>
		Math.max(head.length, ...lines.map((line) => (line[column] ?? "").length)),
	);
	const text = [heads, ...lines].map((line) =>
		line
			.map((cell, column) =>
				column === 0 || column === 4 ? cell.padEnd(widths[column] ?? 0) : cell.padStart(widths[column] ?? 0),
			)
			.join("  ")
			.trimEnd(),
	);
	const { system, processor, cores, memory_gib, node } = results.machine;
	const { start, end } = results.load_average;
	return [
		`${results.date}, ${results.scale} run; ${processor}, ${cores} cores, ${memory_gib} GiB, ${system}, Node ${node}`,
		`load average ${start.toFixed(2)} before, ${end.toFixed(2)} after`,
		...text,
		...Object.entries(results.failures).map(([name, why]) => `${name} did not run: ${why}`),
	].join("\n");
}
