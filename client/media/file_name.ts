/** Names of files that others chose: they must stay names (rule ATTACH-4). */
import { LIMITS } from "../../protocol/limits.ts";

/** Control and format characters, among them those that turn the direction of writing, and what ends a line. */
const UNSEEN = /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu;
/** What some file system refuses or gives a meaning to. */
const SPECIAL = /[<>:"|?*]/g;
/** Devices, on Windows, whatever their extension. */
const RESERVED = /^(?:con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³])(?:\.|$)/i;

/** The name without folders, tricks and hidden characters; `file` where nothing is left. */
export function safeFileName(name: string): string {
	const last = name.normalize("NFC").split(/[/\\]/).at(-1) ?? "";
	const plain = last.replace(UNSEEN, "").replace(SPECIAL, "_").replace(/\s+/g, " ");
	// No hidden file, and none that a shell takes for an option.
	const visible = plain.replace(/^[\s.~-]+/, "").replace(/[\s.]+$/, "");
	if (visible === "") return "file";
	return shortened(RESERVED.test(visible) ? `_${visible}` : visible);
}

/**
 * The name as it is called where others of the same name are there already: `photo (2).jpg`. No longer than a name may
 * be.
 */
export function numberedName(name: string, number: number): string {
	return number === 1 ? name : shortened(name, ` (${number})`);
}

/** Cut to the limit, with its extension and what goes before that. */
function shortened(name: string, suffix = ""): string {
	const extension = /\.[A-Za-z0-9]{1,10}$/.exec(name)?.[0] ?? "";
	const whole = name.slice(0, name.length - extension.length);
	let room = LIMITS.file_name_bytes - Buffer.byteLength(extension + suffix);
	let stem = "";
	for (const character of whole) {
		room -= Buffer.byteLength(character);
		if (room < 0) break;
		stem += character;
	}
	return stem + suffix + extension;
}
