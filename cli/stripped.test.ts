import { spawnSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { ROOT } from "../scripts/repository.ts";

const KEPT = join(ROOT, "node_modules", ".cache", "parley", "cli+main.ts.js");

function help(): { status: number | null; stdout: string } {
	return spawnSync(process.execPath, [join(ROOT, "cli", "parley.js"), "--help"], { encoding: "utf8" });
}

test("code is kept without its types; what was kept of other code is not run", () => {
	expect(help().status).toBe(0);
	const kept = readFileSync(KEPT, "utf8");
	expect(kept).not.toMatch(/: Promise<number>/);
	// Lines stay where they are, so that errors name them.
	expect(kept.split("\n").length).toBe(readFileSync(join(ROOT, "cli", "main.ts"), "utf8").split("\n").length + 1);
	writeFileSync(KEPT, `process.exit(99);\n//${"0".repeat(64)}`);
	expect(help()).toMatchObject({ status: 0, stdout: expect.stringContaining("parley") });
	expect(readFileSync(KEPT, "utf8")).toBe(kept);
});

test("no command has the compiler in its memory, not even the first after a change", () => {
	writeFileSync(KEPT, "");
	const code = `await import("./cli/main.ts"); console.log(String(process.moduleLoadList.some((name) => name.includes("amaro"))));`;
	const flags = ["--import", join(ROOT, "cli", "stripped.js"), "--input-type=module", "--eval", code];
	const { status, stdout } = spawnSync(process.execPath, flags, { cwd: ROOT, encoding: "utf8" });
	expect({ status, stdout }).toEqual({ status: 0, stdout: "false\n" });
	expect(readFileSync(KEPT, "utf8")).not.toBe("");
});
