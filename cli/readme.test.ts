/** The page of the command line says what the code does: exit codes, and what stands in the lines of JSON. */
import { readdirSync, readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { Failure, type FailureCode } from "../client/failure.ts";
import { HTTP_STATUS } from "../protocol/http.ts";
import { EXIT, tell } from "./exit.ts";

const README = readFileSync(new URL("README.md", import.meta.url), "utf8");

test("each code of a failure stands in the row of its exit code, and no other does", () => {
	const rows = [...README.matchAll(/^\| (\d+) \|[^|]*\|([^|]*)\|$/gm)].map(([, exitCode, codes = ""]) => ({
		exitCode: Number(exitCode),
		codes: [...codes.matchAll(/`(\w+)`/g)].map(([, code = ""]) => code),
	}));
	expect(rows.map(({ exitCode }) => exitCode)).toEqual(Object.values(EXIT).sort((one, other) => one - other));
	const told = failureCodes().map((code) => `${code} ${tell(new Failure(code, "")).exitCode}`);
	const others = new Set<string>(["unexpected", "usage", ...Object.keys(HTTP_STATUS)]);
	const written = rows.flatMap(({ exitCode, codes }) => codes.map((code) => ({ code, line: `${code} ${exitCode}` })));
	expect(written.map(({ line }) => line)).toEqual(expect.arrayContaining(told));
	expect(written.filter(({ code, line }) => !told.includes(line) && !others.has(code))).toEqual([]);
});

test("each type of a line of JSON stands in the table, and is printed", () => {
	const written = [...README.matchAll(/^\| ((?:`[a-z-]+`(?:, )?)+) \| (?:the command|`)/gm)]
		.filter((row) => row.index > README.indexOf("\n## JSON\n"))
		.flatMap(([, types = ""]) => [...types.matchAll(/`([a-z-]+)`/g)].map(([, type = ""]) => type));
	const sources = ["", "commands/"].flatMap((directory) => {
		const folder = new URL(directory, new URL("./", import.meta.url));
		const files = readdirSync(folder).filter((name) => name.endsWith(".ts") && !name.endsWith(".test.ts"));
		return files.map((name) => readFileSync(new URL(name, folder), "utf8"));
	});
	// A notice of the SDK, which is named in the code as a type, is no line.
	const printed = sources.flatMap((text) => [...text.matchAll(/\btype: "([a-z-]+)"(?! \}>)/g)].map(([, type]) => type));
	expect([...new Set(printed)].filter((type) => type !== undefined && !written.includes(type))).toEqual([]);
	const composed = ["request-accepted", "request-deleted", "unblocked"];
	const known = (type: string): boolean =>
		composed.includes(type) || sources.some((text) => text.includes(`"${type}"`));
	expect(written.filter((type) => !known(type))).toEqual([]);
});

/** As the type says them, which is gone when code runs. */
function failureCodes(): FailureCode[] {
	const text = readFileSync(new URL("../client/failure.ts", import.meta.url), "utf8");
	const union = /export type FailureCode =([^;]*);/.exec(text)?.[1] ?? "";
	return [...union.matchAll(/"(\w+)"/g)].map(([, code]) => code as FailureCode);
}
