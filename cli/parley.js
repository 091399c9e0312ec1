#!/usr/bin/env node
// The command line is TypeScript that Node runs as it is, which takes Node 22.18. Where the caller's Node is older, the
// one that npm has installed beside the dependencies takes over.
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

const [major = 0, minor = 0] = process.versions.node.split(".").map(Number);
if (major > 22 || (major === 22 && minor >= 18)) {
	silenceExperimentalWarnings();
	keepMemorySmall();
	await import("./stripped.js");
	const { main } = await import("./main.ts");
	process.exitCode = await main(process.argv.slice(2));
} else {
	runWithNewerNode();
}

/** That types are stripped is our choice and nothing that a user could act on. */
function silenceExperimentalWarnings() {
	const emitWarning = process.emitWarning;
	process.emitWarning = (warning, ...rest) => {
		const kind = typeof rest[0] === "string" ? rest[0] : rest[0]?.type;
		if (kind !== "ExperimentalWarning") emitWarning.call(process, warning, ...rest);
	};
}

/**
 * Large files pass through as buffers, which V8 frees with its young generation: while that is small, garbage is
 * collected often and little of it lies about. It saves a third of the memory. What grew old all the same the client has
 * collected (`client/media/garbage.ts`), for which the collector is opened.
 */
function keepMemorySmall() {
	setFlagsFromString("--semi-space-growth-factor=1");
	setFlagsFromString("--scavenger-max-new-space-capacity-mb=2");
	setFlagsFromString("--expose-gc");
	globalThis.gc = runInNewContext("gc");
}

/** Runs this file again, with the same terminal, and ends as it ends. */
function runWithNewerNode() {
	const windows = process.platform === "win32";
	const node = fileURLToPath(new URL(`../node_modules/node/bin/node${windows ? ".exe" : ""}`, import.meta.url));
	if (!existsSync(node) || process.env.PARLEY_NODE_TRIED) {
		console.error(
			`parley needs Node 22.18 or newer, and this is ${process.versions.node}: run "npm ci" beside its package.json`,
		);
		process.exitCode = 1;
		return;
	}
	const child = spawn(node, [fileURLToPath(import.meta.url), ...process.argv.slice(2)], {
		stdio: "inherit",
		env: { ...process.env, PARLEY_NODE_TRIED: "1" },
	});
	for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(signal, () => child.kill(signal));
	child.on("exit", (code) => {
		process.exitCode = code ?? 1;
	});
}
