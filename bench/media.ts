/**
 * A file up and down: a bare Worker that streams the same bytes to R2, Parley with the same bytes, and Parley with what
 * the client makes of them (encrypted, copied to the disk, verified), in turn in one run. R2's operations are counted,
 * and the media Worker's memory is watched while the bytes pass.
 */
import { randomBytes } from "node:crypto";
import { open } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { type Bound, type Figure, median, type Scale } from "./figures.ts";
import { HeapWatch } from "./heap.ts";
import { type Host, removeFolder, runOnce, startHost, storageFolder } from "./hosting.ts";
import { type MediaOrder, type MediaReport, MediaReportSchema } from "./orders.ts";
import type { Progress } from "./shared.ts";

const MEDIA = "parley-media";
const RUN_MS_MAX = 300_000;
/** What `cli/parley.js` sets and does. */
const FLAGS = [
	"--semi-space-growth-factor=1",
	"--scavenger-max-new-space-capacity-mb=2",
	"--expose-gc",
	"--disable-warning=ExperimentalWarning",
	"--import",
	new URL("../cli/stripped.js", import.meta.url).href,
];
/** 150 MB and 64 MB. */
const CLIENT_MIB_MAX = 150e6 / 2 ** 20;
const WORKER_MIB_MAX = 64e6 / 2 ** 20;
/** The file repeats this: nothing between here and R2 compresses. */
const BLOCK_BYTES = 2 ** 20;

type Target = MediaOrder["target"];
/** One for each round. */
type Reports = Record<Target, MediaReport[]>;

export async function media(scale: Scale, progress: Progress): Promise<Figure[]> {
	const folder = storageFolder("disk");
	const bare = await startHost("bare-media", "disk");
	try {
		const parley = await startHost("parley", "disk", { [MEDIA]: "bench/observed/media.ts" }, true);
		try {
			const source = await writeFile(folder, scale.file_bytes);
			return await measure({ bare, parley }, source, folder, scale, progress);
		} finally {
			await parley.stop();
		}
	} finally {
		await bare.stop();
		removeFolder(folder);
	}
}

async function measure(
	hosts: { bare: Host; parley: Host },
	source: string,
	folder: string,
	scale: Scale,
	progress: Progress,
): Promise<Figure[]> {
	const { inspector } = hosts.parley;
	if (inspector === undefined) throw new Error("there is no inspector");
	const run = async (target: Target): Promise<MediaReport> => {
		const { url, pids } = target === "bare" ? hosts.bare : hosts.parley;
		const order: MediaOrder = { target, url, source, folder, pids: [...pids] };
		const report = MediaReportSchema.parse(await runOnce("media-run.ts", order, RUN_MS_MAX, FLAGS));
		if (report.bytes !== scale.file_bytes) throw new Error(`${report.bytes} bytes came down`);
		for (const way of ["up", "down"] as const) progress(`  ${target} ${way}: ${told(report, way)}`);
		return report;
	};
	const size = `${scale.file_bytes / 2 ** 20} MiB`;
	progress(`media: a file of ${size}`);
	const heap = await HeapWatch.start(inspector, MEDIA);
	const reports: Reports = { bare: [], plain: [], sealed: [] };
	reports.bare.push(await run("bare"));
	reports.plain.push(await run("plain"));
	const counted = await operations(hosts.parley);
	reports.sealed.push(await run("sealed"));
	for (let round = 2; round <= scale.rounds_bound; round++) {
		for (const target of ["bare", "sealed"] as const) reports[target].push(await run(target));
	}
	return [...speeds(reports, size), ...memory(reports, heap.stop(), size), ...bill(counted, size)];
}

function told(report: MediaReport, way: "up" | "down"): string {
	const { seconds, runtime_cpu_seconds, client_cpu_seconds } = report[way];
	const speed = Math.round(report.bytes / 2 ** 20 / seconds);
	const cpu = `${(runtime_cpu_seconds ?? 0).toFixed(1)} s of CPU in the runtime, ${client_cpu_seconds.toFixed(1)} in the client`;
	return `${speed} MiB/s; ${cpu}`;
}

function speeds(reports: Reports, size: string): Figure[] {
	return (["up", "down"] as const).flatMap((direction) => {
		const speed = (target: Target) =>
			median(reports[target].map((report) => report.bytes / 2 ** 20 / report[direction].seconds));
		const of = (target: "plain" | "sealed", what: string, bounds: Bound[]): Figure => ({
			benchmark: "media",
			what: `media: ${size} ${direction}, ${what}`,
			unit: "MiB/s",
			parley: speed(target),
			bare: speed("bare"),
			bounds,
		});
		return [
			of("plain", "without encryption", []),
			of("sealed", "encrypted, verified and copied to the disk", [
				{ of: "ratio", relation: "at least", value: 0.7, why: "of a bare Worker that streams to R2" },
			]),
		];
	});
}

function memory(reports: Reports, heap_mib_max: number, size: string): Figure[] {
	return [
		{
			benchmark: "media",
			what: `media: memory of the media Worker at most, ${size}`,
			unit: "MiB",
			parley: heap_mib_max,
			bounds: [
				{ of: "figure", relation: "at most", value: WORKER_MIB_MAX, why: "64 MB: half of what a Worker may have" },
			],
			note: "the isolate's heap and buffers with garbage, by the runtime's inspector",
		},
		{
			benchmark: "media",
			what: `media: memory of the client's process at most, ${size}`,
			unit: "MiB",
			parley: Math.max(...reports.sealed.map((report) => report.rss_mib_max)),
			bare: Math.max(...reports.bare.map((report) => report.rss_mib_max)),
			bounds: [{ of: "figure", relation: "at most", value: CLIENT_MIB_MAX, why: "150 MB, whatever the size" }],
		},
		{
			benchmark: "media",
			what: "media: of it, memory before the first byte",
			unit: "MiB",
			parley: median(reports.sealed.map((report) => report.rss_mib_begin)),
			bare: median(reports.bare.map((report) => report.rss_mib_begin)),
			bounds: [],
			note: "Node; for Parley the whole client with libsignal and SQLCipher; for both what the benchmark imports",
		},
	];
}

/** What R2 counts for one file; bare would be one `put` and one `get`. */
function bill(counted: Record<string, number>, size: string): Figure[] {
	return Object.entries(counted).map(([operation, count]) => ({
		benchmark: "media",
		what: `media: R2 ${operation} for a file of ${size}, up and down once`,
		unit: "",
		parley: count,
		bounds: [],
	}));
}

async function operations(host: Host): Promise<Record<string, number>> {
	const response = await fetch(host.urls[MEDIA] ?? "");
	return z.record(z.string(), z.number()).parse(await response.json());
}

async function writeFile(folder: string, bytes: number): Promise<string> {
	const path = join(folder, "source");
	const block = randomBytes(BLOCK_BYTES);
	const file = await open(path, "w");
	try {
		for (let at = 0; at < bytes; at += BLOCK_BYTES) await file.write(block);
		await file.sync();
	} finally {
		await file.close();
	}
	return path;
}
