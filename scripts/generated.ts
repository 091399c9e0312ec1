/** Generated files are current: generating them again changes nothing. */
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { type Finding, ROOT, run } from "./repository.ts";

/** All files below a folder, by their path from there. A folder that does not exist is empty. */
export function readTree(folder: string): Map<string, string> {
	if (!existsSync(folder)) return new Map();
	return new Map(
		readdirSync(folder, { recursive: true, withFileTypes: true })
			.filter((entry) => entry.isFile())
			.map((entry) => join(entry.parentPath, entry.name))
			.sort()
			.map((path) => [path.slice(folder.length + 1), readFileSync(path, "utf8")]),
	);
}

/** Where the committed files of `folder` differ from those that were generated now. */
export function differences(folder: string, committed: Map<string, string>, fresh: Map<string, string>): Finding[] {
	const findings: Finding[] = [];
	const add = (name: string, what: string) => findings.push({ path: `${folder}/${name}`, line: 0, what });
	for (const [name, text] of fresh) {
		if (!committed.has(name)) add(name, "is missing: run `npm run generate`");
		else if (committed.get(name) !== text) add(name, "is out of date: run `npm run generate`");
	}
	for (const name of committed.keys()) if (!fresh.has(name)) add(name, "is generated from nothing");
	return findings;
}

/** The protocol's messages, from `protocol/proto/`. */
export function protocolFindings(): Finding[] {
	const temporary = mkdtempSync(join(tmpdir(), "parley-generated-"));
	try {
		const result = run("buf", ["generate", "-o", temporary]);
		if (!result.ok) return [{ path: "protocol/proto", line: 0, what: result.output }];
		const fresh = readTree(join(temporary, "protocol/gen"));
		return differences("protocol/gen", readTree(join(ROOT, "protocol/gen")), fresh);
	} finally {
		rmSync(temporary, { recursive: true, force: true });
	}
}

/** The directory's migrations, from its schema. The generator writes in place, so the folder is put back after it. */
export function migrationFindings(): Finding[] {
	if (!existsSync(join(ROOT, "drizzle.config.ts"))) return [];
	const folder = join(ROOT, "migrations");
	const committed = readTree(folder);
	const result = run("drizzle-kit", ["generate"]);
	const fresh = readTree(folder);
	const findings = differences("migrations", committed, fresh);
	if (findings.length > 0) restoreTree(folder, committed, fresh);
	return result.ok ? findings : [{ path: "drizzle.config.ts", line: 0, what: result.output }, ...findings];
}

function restoreTree(folder: string, before: Map<string, string>, after: Map<string, string>): void {
	for (const name of after.keys()) if (!before.has(name)) rmSync(join(folder, name));
	for (const [name, text] of before) {
		if (after.get(name) === text) continue;
		mkdirSync(dirname(join(folder, name)), { recursive: true });
		writeFileSync(join(folder, name), text);
	}
}
