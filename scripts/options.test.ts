import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { ROOT, run } from "./repository.ts";

const { scripts }: { scripts: Record<string, string> } = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8"));
/** The formatter's own help serves. */
const ours = Object.entries(scripts).filter(([, command]) => command.startsWith("node "));

const call = (command: string, option: string) => {
	const [program = "", ...args] = command.split(" ");
	return run(program, [...args, option]);
};

test("--help of every command teaches, and runs nothing", { timeout: 120_000 }, () => {
	expect(ours.length).toBeGreaterThan(9);
	for (const [name, command] of ours) {
		const { ok, output } = call(command, "--help");
		expect([name, ok]).toEqual([name, true]);
		expect(output, name).toMatch(new RegExp(`^npm (?:run )?${name}\\b`));
		expect(output.length, name).toBeGreaterThan(100);
	}
});

test("an option that there isn't is refused in one line that names it", () => {
	const { ok, output } = call(scripts.deploy ?? "", "--dry-ran");
	expect(ok).toBe(false);
	expect(output).toMatch(/^[^\n]*--dry-ran[^\n]*--help[^\n]*\n$/);
});
