/** What a terminal types when files are dropped on it: paths as a shell would read them, or file URLs. */
import { type Stats, statSync } from "node:fs";
import { homedir } from "node:os";
import { isAbsolute, join } from "node:path";
import { fileURLToPath } from "node:url";

/** `files` can be sent. `none` is there and can't: a folder, a pipe, a device; it must not go out as a text. */
export type Dropped = { files: string[] } | { none: string };

/** What a line names, where it holds nothing but paths of what is there. */
export function dropped(line: string): Dropped | undefined {
	const text = line.trim();
	// Some terminals type the path as it is, whatever is in it.
	const whole = pathOf(text);
	const words = whole !== undefined && statOf(whole)?.isFile() === true ? [whole] : wordsOf(text)?.map(pathOf);
	if (words === undefined || words.length === 0) return undefined;
	const files: string[] = [];
	let none: string | undefined;
	for (const path of words) {
		const stat = path === undefined ? undefined : statOf(path);
		if (path === undefined || stat === undefined) return undefined;
		if (stat.isFile()) files.push(path);
		else none ??= path;
	}
	if (none === undefined) return { files };
	// `/media` is a folder on many computers, and may be a command here.
	return /^\/[^/\s]*$/.test(text) ? undefined : { none };
}

/** URLs are not quoted, paths are. */
function wordsOf(text: string): string[] | undefined {
	const words = text.split(/\s+/);
	return words.every((word) => word.startsWith("file://")) ? words : shellWords(text);
}

/** The words of a line by a shell's rules of quoting; undefined where a quote stays open. */
function shellWords(text: string): string[] | undefined {
	const PART = /\s+|'([^']*)'|"((?:\\.|[^"\\])*)"|\\(.)|([^\s'"\\]+)/gsuy;
	const words: string[] = [];
	let word: string | undefined;
	for (let at = 0; at < text.length; at = PART.lastIndex) {
		PART.lastIndex = at;
		const match = PART.exec(text);
		if (match === null) return undefined;
		const [, single, double, escaped, plain] = match;
		const part = single ?? double?.replace(/\\(["\\$`])/g, "$1") ?? escaped ?? plain;
		if (part !== undefined) word = (word ?? "") + part;
		else if (word !== undefined) {
			words.push(word);
			word = undefined;
		}
	}
	return word === undefined ? words : [...words, word];
}

function pathOf(word: string): string | undefined {
	if (!word.startsWith("file://")) return word.startsWith("~/") ? join(homedir(), word.slice(2)) : word;
	try {
		return fileURLToPath(word);
	} catch {
		// No URL, or one of another computer.
		return undefined;
	}
}

function statOf(path: string): Stats | undefined {
	if (!isAbsolute(path)) return undefined;
	try {
		return statSync(path);
	} catch {
		return undefined;
	}
}
