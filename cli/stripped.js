// Node runs our TypeScript by taking the types away, with a compiler that costs 35 MiB of memory and a third of a second
// in every process. What it makes is kept beside the dependencies, so that only the first command after a change pays,
// and even then another process does the work: no command has the compiler in its memory.
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdirSync, readdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { registerHooks, stripTypeScriptTypes } from "node:module";
import { join, relative } from "node:path";
import { fileURLToPath } from "node:url";

const ROOT = fileURLToPath(new URL("..", import.meta.url));
/** Whoever can write here can change the code itself. */
const KEPT = join(ROOT, "node_modules", ".cache", "parley");
const OURS = new URL("..", import.meta.url).href;
const SELF = fileURLToPath(import.meta.url);
/** What a command may run. */
const ROOMS = ["cli", "client", "protocol"];
let prepared = process.argv[1] === SELF;

if (prepared) {
	for (const room of ROOMS) {
		const names = readdirSync(join(ROOT, room), { recursive: true });
		const code = names.filter((name) => name.endsWith(".ts") && !/\.(test|d)\.ts$/.test(name));
		for (const name of code) withoutTypes(join(ROOT, room, name));
	}
} else {
	registerHooks({
		load(url, context, nextLoad) {
			const ours = url.startsWith(OURS) && url.endsWith(".ts") && !url.includes("/node_modules/");
			if (!ours) return nextLoad(url, context);
			return { format: "module", source: withoutTypes(fileURLToPath(url)), shortCircuit: true };
		},
	});
}

function withoutTypes(path) {
	const source = readFileSync(path, "utf8");
	const digest = createHash("sha256").update(`${process.version}\0${source}`).digest("hex");
	// At the end: lines stay where they are.
	const mark = `\n//${digest}`;
	const kept = join(KEPT, `${relative(ROOT, path).replaceAll(/[/\\]/g, "+")}.js`);
	let known = read(kept);
	if (!known?.endsWith(mark) && !prepared) {
		prepared = true;
		spawnSync(process.execPath, [SELF], { stdio: "ignore" });
		known = read(kept);
	}
	if (known?.endsWith(mark)) return known;
	// Where nothing can be kept, and in programs that run more than a command.
	const stripped = stripTypeScriptTypes(source) + mark;
	keep(kept, stripped);
	return stripped;
}

function read(path) {
	try {
		return readFileSync(path, "utf8");
	} catch {
		return undefined;
	}
}

/** Whole or not at all: another process may be reading. Where nothing can be written, each process does the work. */
function keep(path, text) {
	const partial = `${path}.${process.pid}`;
	try {
		mkdirSync(KEPT, { recursive: true });
		writeFileSync(partial, text);
		renameSync(partial, path);
	} catch {
		// It only saves time.
	}
}
