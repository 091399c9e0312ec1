/** What a terminal types when a file is dropped on it: a path, quoted or escaped, or a file URL. */
import { statSync } from "node:fs";
import { homedir } from "node:os";
import { isAbsolute, join } from "node:path";
import { fileURLToPath } from "node:url";

/** The path of the file that a line names, where the line is nothing else and the file is there. */
export function droppedPath(line: string): string | undefined {
	const path = plainPath(line.trim());
	if (path === undefined || !isAbsolute(path)) return undefined;
	try {
		return statSync(path).isFile() ? path : undefined;
	} catch {
		return undefined;
	}
}

function plainPath(text: string): string | undefined {
	if (text.startsWith("file://")) return URL.canParse(text) ? fileUrlPath(text) : undefined;
	const quoted = /^'([^']*)'$/.exec(text) ?? /^"([^"]*)"$/.exec(text);
	const path = quoted?.[1] ?? text.replace(/\\(.)/g, "$1");
	return path.startsWith("~/") ? join(homedir(), path.slice(2)) : path;
}

function fileUrlPath(url: string): string | undefined {
	try {
		return fileURLToPath(url);
	} catch {
		// Of another computer.
		return undefined;
	}
}
