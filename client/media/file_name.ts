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

/** Cut to the limit, with its extension. */
function shortened(name: string): string {
	if (Buffer.byteLength(name) <= LIMITS.file_name_bytes) return name;
	const extension = /\.[A-Za-z0-9]{1,10}$/.exec(name)?.[0] ?? "";
	let stem = "";
	let room = LIMITS.file_name_bytes - extension.length;
	for (const character of name.slice(0, name.length - extension.length)) {
		room -= Buffer.byteLength(character);
		if (room < 0) break;
		stem += character;
	}
	return stem + extension;
}
