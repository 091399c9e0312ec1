/** `npm run bench`: runs the benchmarks one after the other, prints a table and writes `bench/results/latest.json`. */
import { loadavg } from "node:os";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { catchUp } from "./catch-up.ts";
import { client } from "./client.ts";
import { cpu } from "./cpu.ts";
import { BENCHMARKS, type Benchmark, type Figure, FULL, kept, QUICK, type Scale } from "./figures.ts";
import { groupCreate } from "./group-create.ts";
import { groups } from "./groups.ts";
import { media } from "./media.ts";
import { machine, type Results, table, writeResults } from "./report.ts";
import { rows } from "./rows.ts";
import type { Progress } from "./shared.ts";
import { throughput } from "./throughput.ts";

const HELP = `npm run bench -- [options]

Measures Parley against what it stands on: a bare Durable Object, and libsignal alone. Everything runs on this machine,
on 127.0.0.1 and in temporary folders, which are removed at the end.

  --quick        short runs, to see that everything works; no measurements
  --only NAME    one of ${BENCHMARKS.join(", ")}; may be repeated
  --json         print the results as JSON instead of a table
  --help         this text

The results of a run with all benchmarks go to bench/results/latest.json, or quick.json. The exit code is 1 when a
bound is missed in a full run, or when a benchmark could not run.
`;

const RUN: Record<Benchmark, (scale: Scale, progress: Progress) => Promise<Figure[]>> = {
	throughput,
	cpu,
	"catch-up": catchUp,
	rows,
	client,
	media,
	groups,
	"group-create": groupCreate,
};

const isBenchmark = (name: string): name is Benchmark => BENCHMARKS.some((one) => one === name);

function readOptions(): { quick: boolean; json: boolean; help: boolean; names: readonly Benchmark[] } {
	const { values } = parseArgs({
		options: {
			quick: { type: "boolean", default: false },
			json: { type: "boolean", default: false },
			help: { type: "boolean", default: false },
			only: { type: "string", multiple: true },
		},
	});
	const names = values.only ?? BENCHMARKS;
	for (const name of names) {
		if (!isBenchmark(name)) throw new TypeError(`there is no benchmark "${name}"; there are ${BENCHMARKS.join(", ")}`);
	}
	return { ...values, names: names.filter(isBenchmark) };
}

async function main(): Promise<number> {
	const options = readOptions();
	if (options.help) {
		process.stdout.write(HELP);
		return 0;
	}
	const progress: Progress = (text) => void process.stderr.write(`${text}\n`);
	const start = loadavg()[0] ?? 0;
	const figures: Figure[] = [];
	const failures: Record<string, string> = {};
	for (const name of options.names) {
		try {
			figures.push(...(await RUN[name](options.quick ? QUICK : FULL, progress)));
		} catch (error) {
			failures[name] = error instanceof Error ? error.message : String(error);
			progress(`${name} did not run: ${failures[name]}`);
		}
	}
	const results: Results = {
		date: new Date().toISOString().slice(0, 10),
		scale: options.quick ? "quick" : "full",
		machine: machine(),
		load_average: { start, end: loadavg()[0] ?? 0 },
		figures,
		failures,
	};
	if (options.names.length === BENCHMARKS.length) {
		const name = options.quick ? "quick" : "latest";
		writeResults(results, fileURLToPath(new URL(`results/${name}.json`, import.meta.url)));
	}
	process.stdout.write(options.json ? `${JSON.stringify(results)}\n` : `${table(results)}\n`);
	const missed = figures.some((figure) => figure.bounds.some((bound) => kept(figure, bound) === false));
	return Object.keys(failures).length > 0 || (missed && !options.quick) ? 1 : 0;
}

// A signal ends the children too: they go with this process's `exit`.
for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => process.exit(130));

try {
	process.exitCode = await main();
} catch (error) {
	process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
	process.exitCode = 2;
}
