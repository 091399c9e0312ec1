/** Starts and ends the benchmark's child processes. None outlives its parent: each ends with its standard input. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import type { z } from "zod";
import { descendants } from "./cpu-time.ts";
import {
	type HostOrder,
	HostReportSchema,
	type LoadOrder,
	type LoadReport,
	LoadReportSchema,
	type SliceAnswer,
	SliceAnswerSchema,
	type SliceOrder,
} from "./orders.ts";

const ROOT = fileURLToPath(new URL("..", import.meta.url));
const START_MS_MAX = 60_000;
/** For the load generator: accounts, keys and sockets of all pairs. */
const PREPARE_MS_MAX = 180_000;
/** For a load in slices, with all of them and those of the other one. */
const SLICES_MS_MAX = 600_000;
const STOP_MS_MAX = 5_000;

export type Target = LoadOrder["target"];
export type Storage = "disk" | "memory";

/** Workers that run in a workerd of their own. */
export interface Host {
	/** Where each listening Worker is, by name. */
	urls: Readonly<Record<string, string>>;
	/** The public Worker. */
	url: string;
	/** The runtime's inspector, where it was asked for. */
	inspector: string | undefined;
	/** The processes whose CPU time counts. */
	pids: readonly number[];
	stop(): Promise<void>;
}

const running = new Set<ChildProcess>();
const folders = new Set<string>();
process.on("exit", () => {
	for (const child of running) killTree(child);
	for (const folder of folders) removeFolder(folder);
});

/** A host has the runtime below it, which must not stay behind. */
function killTree(child: ChildProcess): void {
	const below = child.pid === undefined ? [] : descendants(child.pid);
	child.kill("SIGKILL");
	for (const pid of below) {
		try {
			process.kill(pid, "SIGKILL");
		} catch {
			// It has ended by itself.
		}
	}
}

function start(file: string, order: object, flags: readonly string[] = [], told = false): ChildProcess {
	const child = spawn(process.execPath, [...flags, join(ROOT, "bench", file), JSON.stringify(order)], {
		cwd: ROOT,
		stdio: ["pipe", "pipe", "inherit", ...(told ? (["ipc"] as const) : [])],
	});
	running.add(child);
	child.once("exit", () => running.delete(child));
	return child;
}

/** The line with a child's report. */
function line(child: ChildProcess, ms_max: number, name: string): Promise<string> {
	return new Promise((found, failed) => {
		let text = "";
		const timer = setTimeout(() => {
			killTree(child);
			failed(new Error(`${name} did not answer within ${ms_max / 1000} s`));
		}, ms_max);
		const done = () => clearTimeout(timer);
		child.stdout?.on("data", (chunk: Buffer) => {
			text += chunk.toString("utf8");
			// Whatever else a library prints there: the report is the line that is an object.
			const report = text.split("\n").find((one) => one.startsWith("{") && one.endsWith("}"));
			if (report === undefined) return;
			done();
			found(report);
		});
		child.once("exit", (code) => {
			done();
			failed(new Error(`${name} ended with ${code} and no report`));
		});
	});
}

/** A new folder on the disk, or in memory where the system has a place for that. */
export function storageFolder(storage: Storage): string {
	const folder = mkdtempSync(join(storage === "disk" ? tmpdir() : "/dev/shm", "parley-bench-"));
	folders.add(folder);
	return folder;
}

export function removeFolder(folder: string): void {
	rmSync(folder, { recursive: true, force: true });
	folders.delete(folder);
}

const CONFIGS: Record<Target | "bare-media", readonly string[]> = {
	bare: ["bench/bare/wrangler.toml"],
	"bare-media": ["bench/bare/media.toml"],
	parley: [
		"wrangler.toml",
		"workers/conversation-do/wrangler.toml",
		"workers/account-do/wrangler.toml",
		"workers/media/wrangler.toml",
	],
};

/** Runs a set of Workers on fresh storage. What follows `storage`: see `HostOrder`. */
export async function startHost(
	target: keyof typeof CONFIGS,
	storage: Storage,
	replacements: Readonly<Record<string, string>> = {},
	inspector = false,
	limited = false,
): Promise<Host> {
	const folder = storageFolder(storage);
	const order: HostOrder = {
		configs: CONFIGS[target].map((config) => resolve(ROOT, config)),
		storage: folder,
		migrations: resolve(ROOT, "migrations"),
		replacements: Object.fromEntries(Object.entries(replacements).map(([name, file]) => [name, resolve(ROOT, file)])),
		inspector,
		limited,
	};
	const child = start("host.ts", order);
	const stop = async () => {
		await new Promise<void>((ended) => {
			if (child.exitCode !== null || child.signalCode !== null) return ended();
			const timer = setTimeout(() => killTree(child), STOP_MS_MAX);
			child.once("exit", () => {
				clearTimeout(timer);
				ended();
			});
			child.stdin?.end();
		});
		removeFolder(folder);
	};
	try {
		const { urls, inspector: address } = HostReportSchema.parse(
			JSON.parse(await line(child, START_MS_MAX, `the ${target} host`)),
		);
		const url = Object.values(urls)[0];
		if (url === undefined || child.pid === undefined) throw new Error("no Worker listens");
		return { urls, url, inspector: address, pids: descendants(child.pid), stop };
	} catch (error) {
		await stop();
		throw error;
	}
}

/** Runs a child to its end and returns what it reports. `flags` are Node's. */
export async function runOnce(
	file: string,
	order: object,
	ms_max: number,
	flags?: readonly string[],
): Promise<unknown> {
	const child = start(file, order, flags);
	const report: unknown = JSON.parse(await line(child, ms_max, file));
	child.stdin?.end();
	return report;
}

/** A load that is told what to do. */
export interface ToldLoad<Report> {
	tell(order: SliceOrder): void;
	/** Waits for its answer, which must be this one. */
	answer(expected: SliceAnswer): Promise<void>;
	report: Promise<Report>;
}

/** Starts a load generator in its own process, to send in slices; it answers "ready" once its sockets are open. */
export function startLoad<Report>(file: string, order: object, schema: z.ZodType<Report>): ToldLoad<Report> {
	const child = start(file, order, [], true);
	const report = line(child, SLICES_MS_MAX, file).then((text) => {
		child.stdin?.end();
		return schema.parse(JSON.parse(text));
	});
	return {
		tell: (told) => void child.send(told),
		async answer(expected) {
			// A generator that fails ends, and so does the wait for its answer.
			const [answer]: unknown[] = await Promise.race([once(child, "message"), report.then(() => ["nothing"])]);
			if (SliceAnswerSchema.parse(answer) !== expected) throw new Error(`the load said ${String(answer)}`);
		},
		report,
	};
}

/** Runs the load generator once, in its own process. */
export async function runLoad(order: LoadOrder): Promise<LoadReport> {
	const report = await runOnce("load.ts", order, order.warmup_ms + order.measure_ms + PREPARE_MS_MAX);
	return LoadReportSchema.parse(report);
}
