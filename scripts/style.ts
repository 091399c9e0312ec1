/**
 * What the formatter can't see: files and prose of a readable length, tables that are tables, nothing left for later.
 */
import { basename } from "node:path";
import { type Finding, lineAt, type SourceFile } from "./repository.ts";

/** The aim is 300; what passes this is two files. */
export const FILE_LINES_MAX = 400;

/** Of prose. Tables and code may be wider. */
export const PROSE_CHARACTERS_MAX = 120;

const GENERATED = /^(?:protocol\/gen\/|migrations\/|worker-configuration\.d\.ts$)/;
const EMPTY_NAME = /^(?:utils?|helpers?|misc)\.(?:test\.)?ts$/;
const LATER = /\b(?:T[O]DO|F[I]XME|X[X]X)\b/g;

/** Findings of all files; the order is that of the files. */
export function styleFindings(files: readonly SourceFile[]): Finding[] {
	return files
		.filter((file) => !GENERATED.test(file.path))
		.flatMap((file) => [
			...lengthFindings(file),
			...nameFindings(file),
			...laterFindings(file),
			...(file.path.endsWith(".md") ? pageFindings(file) : []),
		]);
}

function lengthFindings(file: SourceFile): Finding[] {
	const lines = file.text.split("\n").length - 1;
	if (!file.path.endsWith(".ts") || lines <= FILE_LINES_MAX) return [];
	return [{ path: file.path, line: 0, what: `${lines} lines; ${FILE_LINES_MAX} are allowed` }];
}

function nameFindings(file: SourceFile): Finding[] {
	if (!EMPTY_NAME.test(basename(file.path)) && !/(?:^|\/)utils?\//.test(file.path)) return [];
	return [{ path: file.path, line: 0, what: "the name does not say what is inside" }];
}

function laterFindings(file: SourceFile): Finding[] {
	return [...file.text.matchAll(LATER)].map((match) => ({
		path: file.path,
		line: lineAt(file.text, match.index),
		what: `${match[0]}: do it, or write down the decision not to`,
	}));
}

/** Prose that is too wide, and rows that a reader would not see as a table's. */
function pageFindings(file: SourceFile): Finding[] {
	const findings: Finding[] = [];
	const lines = file.text.split("\n");
	let code = false;
	/** How many cells the rows of this table have; 0 outside of one. */
	let cells = 0;
	for (const [index, text] of lines.entries()) {
		const add = (what: string) => findings.push({ path: file.path, line: index + 1, what });
		if (text.startsWith("```")) code = !code;
		if (code || !text.startsWith("|")) {
			cells = 0;
			if (!code && text.length > PROSE_CHARACTERS_MAX)
				add(`${text.length} characters; ${PROSE_CHARACTERS_MAX} are allowed`);
			continue;
		}
		const here = text.split(/(?<!\\)\|/).length;
		if (cells === 0 && !/^\|[ :|-]+\|$/.test(lines[index + 1] ?? "")) add("a row without the head of a table");
		else if (cells !== 0 && here !== cells) add("a row with more or fewer cells than the table's head");
		cells = here;
	}
	return findings;
}
