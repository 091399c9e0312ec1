/** What the formatter can't see: files of a readable length, names that say something, nothing left for later. */
import { basename } from "node:path";
import { type Finding, lineAt, type SourceFile } from "./repository.ts";

/** The aim is 300; what passes this is two files. */
export const FILE_LINES_MAX = 400;

const GENERATED = /^(?:protocol\/gen\/|migrations\/|worker-configuration\.d\.ts$)/;
const EMPTY_NAME = /^(?:utils?|helpers?|misc)\.(?:test\.)?ts$/;
const LATER = /\b(?:T[O]DO|F[I]XME|X[X]X)\b/g;

/** Findings of all files; the order is that of the files. */
export function styleFindings(files: readonly SourceFile[]): Finding[] {
	return files
		.filter((file) => !GENERATED.test(file.path))
		.flatMap((file) => [...lengthFindings(file), ...nameFindings(file), ...laterFindings(file)]);
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
