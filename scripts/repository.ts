/** The repository's own files, and programs run in it: what all developer commands need. */
import { spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { delimiter, join } from "node:path";
import { fileURLToPath } from "node:url";

/** The root of the repository, without a slash at the end. */
export const ROOT = fileURLToPath(new URL("..", import.meta.url)).replace(/[\\/]$/, "");

/** A file of the repository: its path from the root, with forward slashes, and its text. */
export interface SourceFile {
	path: string;
	text: string;
}

/** Something that a checker found. */
export interface Finding {
	path: string;
	/** 1 for the first line; 0 for the file as a whole. */
	line: number;
	what: string;
}

/** The environment in which the tools of `node_modules/.bin` come first, Node among them. */
export function toolEnvironment(): NodeJS.ProcessEnv {
	return { ...process.env, PATH: `${join(ROOT, "node_modules", ".bin")}${delimiter}${process.env.PATH ?? ""}` };
}

/** Runs a program in the root and collects what it says on both outputs. */
export function run(command: string, args: readonly string[], cwd = ROOT): { ok: boolean; output: string } {
	const result = spawnSync(command, args, {
		cwd,
		encoding: "utf8",
		env: { ...toolEnvironment(), CI: "1" },
		stdio: ["ignore", "pipe", "pipe"],
		maxBuffer: 64 * 1024 * 1024,
	});
	const failure = result.error === undefined ? "" : `${command}: ${result.error.message}\n`;
	return { ok: result.status === 0, output: `${result.stdout ?? ""}${result.stderr ?? ""}${failure}` };
}

/** Every file that git tracks or would track, with one of these endings. */
export function sourceFiles(endings: readonly string[]): SourceFile[] {
	const listing = run("git", ["ls-files", "--cached", "--others", "--exclude-standard", "-z"]);
	if (!listing.ok) throw new Error(`can't list the files: ${listing.output}`);
	return listing.output
		.split("\0")
		.filter((path) => endings.some((ending) => path.endsWith(ending)) && existsSync(join(ROOT, path)))
		.sort()
		.map((path) => ({ path, text: readFileSync(join(ROOT, path), "utf8") }));
}

/** The number of the line in which a character stands. */
export function lineAt(text: string, index: number): number {
	return text.slice(0, index).split("\n").length;
}

/** Whether a file is part of the tests: a test, or a suite or fixture that only tests import. */
export function isTestFile(path: string): boolean {
	return /\.(?:test|contract|bench)\.ts$/.test(path) || /\/(?:testing|fixtures)\//.test(path);
}
