/** Looks for secrets in files: everything that a backend has written is searched for what it must never have seen. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

/** A text or key that must not be found anywhere, and the name under which a report calls it. */
export interface Canary {
	name: string;
	secret: string | Uint8Array;
}

export interface SearchResult {
	files: number;
	bytes: number;
	hits: { path: string; canary: string }[];
}

/** Below this, a form would be found by chance. */
const FORM_BYTES_MIN = 6;

/** Searches every file below some folders for every canary, in every form in which it could have been written. */
export function searchFolders(folders: readonly string[], canaries: readonly Canary[]): SearchResult {
	const forms = canaries.map(({ name, secret }) => ({ name, forms: formsOf(secret) }));
	const result: SearchResult = { files: 0, bytes: 0, hits: [] };
	for (const path of folders.flatMap(filesBelow)) {
		const content = readFileSync(path);
		result.files++;
		result.bytes += content.length;
		for (const { name, forms: each } of forms) {
			if (each.some((form) => content.includes(form))) result.hits.push({ path, canary: name });
		}
	}
	return result;
}

/** The bytes of a secret: as they are, as UTF-16, as hex, and as base64 at each of its three alignments. */
export function formsOf(secret: string | Uint8Array): Buffer[] {
	const bytes = Buffer.from(secret);
	const hex = bytes.toString("hex");
	const texts = [hex, hex.toUpperCase(), ...[0, 1, 2].flatMap((offset) => base64At(bytes, offset))];
	const wide = typeof secret === "string" ? [Buffer.from(secret, "utf16le")] : [];
	return [bytes, ...wide, ...texts.map((text) => Buffer.from(text))].filter((form) => form.length >= FORM_BYTES_MIN);
}

/** What base64 makes of bytes that follow `offset` others, less the characters that depend on what stands around. */
function base64At(bytes: Buffer, offset: number): string[] {
	const text = Buffer.concat([Buffer.alloc(offset), bytes])
		.toString("base64")
		.replaceAll("=", "");
	const whole = Math.floor(((offset + bytes.length) * 8) / 6);
	const inner = text.slice(Math.ceil((offset * 8) / 6), whole);
	return [inner, inner.replaceAll("+", "-").replaceAll("/", "_")];
}

function filesBelow(folder: string): string[] {
	return readdirSync(folder, { recursive: true, withFileTypes: true })
		.filter((entry) => entry.isFile())
		.map((entry) => join(entry.parentPath, entry.name));
}
