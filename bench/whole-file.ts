/**
 * The largest file, whole, through the command line and the Workers as they are deployed: up and down once, each with a
 * SIGKILL of the client in the middle and then one of the whole backend; and a file of one byte more, refused.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import { createReadStream, mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { open } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { z } from "zod";
import { LIMITS } from "../protocol/limits.ts";
import { Backend } from "../scripts/backend.ts";
import { endWith, readOptions } from "../scripts/options.ts";
import { ROOT } from "../scripts/repository.ts";

/** Where the client dies, then where the backend does. */
const CLIENT_DIES = 0.3;
const BACKEND_DIES = 0.6;
const BLOCK_BYTES = 2 ** 20;
/** The command line's exit code. */
const UNREACHABLE = 6;

const Progress = z.object({ type: z.literal("progress"), done: z.number(), total: z.number() });
const Sent = z.object({ type: z.literal("sent"), id: z.string() });

interface Run {
	code: number | null;
	output: string;
	seconds: number;
	/** The shares at which progress began: after an interruption the first that is told is what was there already. */
	began: number;
	reached: number;
	rss_mib_max: number;
}

const HELP = `npm run bench:whole-file -- [options]

Sends a file of the largest size by command line and fetches it, and kills client and backend on the way. It takes minutes,
and four times the file's size on the disk.

  --mib N  a smaller file, of so many MiB
  --calm   kills nobody
  --help   this text
`;

const values = readOptions(HELP, { options: { mib: { type: "string" }, calm: { type: "boolean", default: false } } });
const bytes = values.mib === undefined ? LIMITS.attachment_bytes : Number(values.mib) * 2 ** 20;
if (!(bytes > 0 && bytes <= LIMITS.attachment_bytes)) endWith("--mib takes a number from 1 to 2047");
const folder = mkdtempSync(join(tmpdir(), "parley-whole-"));
const stateDir = join(folder, "backend");
let backend = await Backend.start({ stateDir });
const port = Number(new URL(backend.url).port);

/** Runs the command line; `at` is called once when a transfer has come as far as `share`. */
async function parley(
	who: string,
	args: readonly string[],
	share = 2,
	at: (child: ChildProcess) => void = () => {},
): Promise<Run> {
	const begin_ms = performance.now();
	const all = ["--data", join(folder, who), "--server", backend.url, "--json", ...args];
	const child = spawn(process.execPath, [join(ROOT, "cli", "parley.js"), ...all], {
		stdio: ["ignore", "pipe", "pipe"],
	});
	const run: Run = { code: null, output: "", seconds: 0, began: -1, reached: 0, rss_mib_max: 0 };
	let [rest, waiting] = ["", true];
	child.stderr.on("data", (chunk) => {
		run.output += String(chunk);
	});
	child.stdout.on("data", (chunk) => {
		rest += String(chunk);
		const lines = rest.split("\n");
		rest = lines.pop() ?? "";
		for (const line of lines) {
			const progress = Progress.safeParse(JSON.parse(line));
			if (!progress.success) {
				run.output += `${line}\n`;
				continue;
			}
			run.reached = progress.data.done / progress.data.total;
			if (run.began < 0) run.began = run.reached;
		}
		run.rss_mib_max = Math.max(run.rss_mib_max, peakMemory(child.pid));
		if (!waiting || run.reached < share) return;
		waiting = false;
		at(child);
	});
	run.code = await new Promise((resolve) => child.once("close", resolve));
	run.seconds = (performance.now() - begin_ms) / 1000;
	return run;
}

/** The most that a process has had in memory, in MiB; 0 where the system does not tell. */
function peakMemory(pid: number | undefined): number {
	try {
		return Number(/VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1] ?? 0) / 1024;
	} catch {
		return 0;
	}
}

async function crashBackend(): Promise<void> {
	await backend.kill();
	backend = await Backend.start({ stateDir, port });
}

/** A transfer to its end, whatever is killed meanwhile. */
async function through(what: string, who: string, first: readonly string[], again: readonly string[]): Promise<Run> {
	const tell = (how: string, run: Run): void => {
		const mib = (bytes * (run.reached - Math.max(run.began, 0))) / 2 ** 20;
		const from = `${(run.began * 100).toFixed(1)} % to ${(run.reached * 100).toFixed(1)} %`;
		const speed = `${mib.toFixed(0)} MiB in ${run.seconds.toFixed(1)} s`;
		print(`${what}, ${how}: ${from}, ${speed}; client at most ${run.rss_mib_max.toFixed(0)} MiB`);
	};
	if (values.calm) {
		const run = await parley(who, first);
		tell("calm", run);
		return run;
	}
	tell("client killed", await parley(who, first, CLIENT_DIES, (child) => child.kill("SIGKILL")));
	let crashed: Promise<void> = Promise.resolve();
	const run = await parley(who, again, BACKEND_DIES, () => {
		crashed = crashBackend();
	});
	await crashed;
	tell("backend killed", run);
	// An outage ends a command that nobody watches, with a code that says so; the next goes on.
	if (run.code !== UNREACHABLE) return run;
	const last = await parley(who, again);
	tell("the rest", last);
	return last;
}

function print(line: string): void {
	process.stdout.write(`${line}\n`);
}

async function writeFile(path: string, size: number): Promise<void> {
	const file = await open(path, "w");
	try {
		const block = randomBytes(BLOCK_BYTES);
		for (let at = 0; at < size; at += BLOCK_BYTES) await file.write(block, 0, Math.min(BLOCK_BYTES, size - at));
	} finally {
		await file.close();
	}
}

async function digest(path: string): Promise<string> {
	const hash = createHash("sha256");
	for await (const piece of createReadStream(path)) hash.update(piece);
	return hash.digest("hex");
}

function must(holds: boolean, what: string): void {
	if (!holds) throw new Error(what);
}

try {
	for (const who of ["alice", "bob"])
		must((await parley(who, ["register", who])).code === 0, `${who} is not registered`);

	const larger = join(folder, "larger");
	writeFileSync(larger, "");
	truncateSync(larger, LIMITS.attachment_bytes + 1);
	const refused = await parley("alice", ["send", "bob", "--file", larger]);
	must(refused.code !== 0 && refused.began < 0, "one byte too many was sent");
	print(`${LIMITS.attachment_bytes + 1} bytes: exit code ${refused.code}, ${refused.output.trim()}`);

	const source = join(folder, "source");
	await writeFile(source, bytes);
	print(`a file of ${bytes} bytes`);
	const up = await through(
		"up",
		"alice",
		["send", "bob", "--file", source, "--document", "--timeout", "60"],
		["receive", "--timeout", "600"],
	);
	must(up.code === 0, `the upload failed: ${up.output}`);
	const idle = await parley("bob", ["receive", "--timeout", "30"]);
	const id = /"id":"([^"]+)"/.exec(idle.output)?.[1] ?? Sent.parse({ type: "sent" }).id;
	print(`a command that only connects: at most ${idle.rss_mib_max.toFixed(0)} MiB`);

	const target = join(folder, "target");
	const fetching = ["download", id, "--to", target];
	const down = await through("down", "bob", fetching, fetching);
	must(down.code === 0, `the download failed: ${down.output}`);
	must((await digest(target)) === (await digest(source)), "other bytes came down");
	print("the same bytes came down");
} finally {
	await backend.stop();
	rmSync(folder, { recursive: true, force: true });
}
