/** `specs/limits.md`: the table of protocol/limits.ts for who reads no code. */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { LIMITS } from "../protocol/limits.ts";
import { type Finding, ROOT } from "./repository.ts";

const PAGE = "specs/limits.md";

const HEAD = `# Limits

Made from \`protocol/limits.ts\` by \`npm run generate\`. The server enforces what it can see, and
[protocol.md](protocol.md) has the code of each refusal. Clients enforce the rest, when they send and when they receive.

| Limit | Value | What |
|---|---|---|
`;

/** A limit with what the source says of it. */
interface Limit {
	name: string;
	value: number;
	what: string;
}

/**
 * The limits of a source like protocol/limits.ts, each with the comment before it, of one line or several. Throws for a
 * name without a value, and for a limit of which the source says nothing.
 */
export function readLimits(source: string, values: Readonly<Record<string, number>>): Limit[] {
	const found = source.matchAll(/(?:\/\*\*(?<comment>(?:[^*]|\*(?!\/))*)\*\/\n)?\t(?<name>[a-z_]+): /g);
	return [...found].map(({ groups }) => {
		const { name = "", comment = "" } = groups ?? {};
		const value = values[name];
		if (value === undefined) throw new Error(`${name} is no limit`);
		const what = comment
			.replace(/\n\t \*/g, "")
			.replace(/\s+/g, " ")
			.trim();
		if (what === "") throw new Error(`${name} has no comment that says what it limits`);
		return { name, value, what };
	});
}

/** A number with its unit, which stands last in the name. Bytes as people say them. */
export function inWords(name: string, value: number): string {
	if (!/_bytes(?:_|$)/.test(name)) return value.toLocaleString("en");
	for (const [unit, size] of [
		["GiB", 1024 ** 3],
		["MiB", 1024 ** 2],
		["KiB", 1024],
	] as const) {
		if (value >= size && value % size === 0) return `${(value / size).toLocaleString("en")} ${unit}`;
	}
	return value.toLocaleString("en");
}

function page(): string {
	const limits = readLimits(readFileSync(join(ROOT, "protocol/limits.ts"), "utf8"), LIMITS);
	return HEAD + limits.map(({ name, value, what }) => `| \`${name}\` | ${inWords(name, value)} | ${what} |\n`).join("");
}

/** Whether the page is current. */
export function limitFindings(): Finding[] {
	if (readFileSync(join(ROOT, PAGE), "utf8") === page()) return [];
	return [{ path: PAGE, line: 0, what: "is out of date: run `npm run generate`" }];
}

/** Writes the page. */
export function writeLimits(): void {
	writeFileSync(join(ROOT, PAGE), page());
}
