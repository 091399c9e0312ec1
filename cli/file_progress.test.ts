import { PassThrough } from "node:stream";
import pico from "picocolors";
import { expect, test } from "vitest";
import type { Context } from "./context.ts";
import { ProgressLine } from "./file_progress.ts";

function told(): { lines: Record<string, unknown>[]; context: Context } {
	const lines: Record<string, unknown>[] = [];
	const context: Context = {
		json: true,
		print: (result) => void lines.push(result),
		withParley: () => Promise.reject(new Error("nothing is opened")),
		flush: () => Promise.resolve(),
		terminal: {
			out: () => {},
			note: () => {},
			readAll: () => Promise.resolve(""),
			interrupted: () => Promise.resolve(),
			input: new PassThrough(),
			output: new PassThrough(),
			environment: {},
			colors: pico,
		},
	};
	return { lines, context };
}

test("each of several files that one command moves has a progress of its own", () => {
	const { lines, context } = told();
	const progress = new ProgressLine(context);
	for (const id of ["one", "two"]) {
		for (const done of [0, 50, 50, 100]) {
			progress.show({ type: "file-progress", id, direction: "up", done, total: 100 });
		}
	}
	expect(lines.map(({ id, done }) => `${id} ${done}`)).toEqual([
		...["one 0", "one 50", "one 100"],
		...["two 0", "two 50", "two 100"],
	]);
});

test("of several files at once each percent is told once", () => {
	const { lines, context } = told();
	const progress = new ProgressLine(context);
	for (const done of [0, 50, 50, 100]) {
		for (const id of ["one", "two"]) progress.show({ type: "file-progress", id, direction: "down", done, total: 100 });
	}
	expect(lines.length).toBe(6);
});
