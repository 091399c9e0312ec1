import { createColors } from "picocolors";
import { expect, test } from "vitest";
import type { Context } from "./context.ts";
import { GroupProgressLine } from "./group_progress.ts";

function bench(json: boolean) {
	const printed: object[] = [];
	const lines: (string | undefined)[] = [];
	const context = {
		json,
		print: (result: object) => void printed.push(result),
		terminal: { progress: (line: string | undefined) => void lines.push(line), colors: createColors(false) },
	} as unknown as Context;
	return { line: new GroupProgressLine(context), printed, lines };
}

test("GROUP-12 a large group's progress is a bar for people, and lines for programs", () => {
	const people = bench(false);
	people.line.show({ stage: "names", done: 30, total: 60 });
	people.line.show({ stage: "members", done: 60, total: 60 });
	people.line.end();
	expect(people.lines).toEqual([
		`${"█".repeat(12)}${"░".repeat(12)}  names looked up: 30 of 60`,
		`${"█".repeat(24)}  members added: 60 of 60`,
		undefined,
	]);
	const programs = bench(true);
	programs.line.show({ stage: "keys", done: 5, total: 20 });
	programs.line.show({ stage: "keys", done: 5, total: 19 });
	programs.line.end();
	expect(programs.printed).toEqual([{ type: "group-progress", stage: "keys", done: 5, total: 20 }]);
	expect([people.printed, programs.lines]).toEqual([[], []]);
});
