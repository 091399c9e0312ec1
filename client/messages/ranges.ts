/** Formatting and mentions as ranges of a text, and the links in it (rule MESSAGE-3). */
import { create } from "@bufbuild/protobuf";
import { type Range, RangeSchema, Style } from "../../protocol/gen/message_pb.js";
import { uuidFromBytes, uuidToBytes } from "../../protocol/ids.ts";
import { LIMITS } from "../../protocol/limits.ts";
import type { TextRange, TextStyle } from "./wishes.ts";

const STYLES = {
	bold: Style.BOLD,
	italic: Style.ITALIC,
	monospace: Style.MONOSPACE,
	strikethrough: Style.STRIKETHROUGH,
	spoiler: Style.SPOILER,
} as const satisfies Record<TextStyle, Style>;

const NAMES = new Map<Style, TextStyle>([
	[Style.BOLD, "bold"],
	[Style.ITALIC, "italic"],
	[Style.MONOSPACE, "monospace"],
	[Style.STRIKETHROUGH, "strikethrough"],
	[Style.SPOILER, "spoiler"],
]);

/** As they go onto the wire; what is beyond the text or the limits is cut off or left out. */
export function toWire(ranges: readonly TextRange[], body: string): Range[] {
	return cut(ranges, body).map((range) => {
		const { start, length } = range;
		const what =
			"style" in range
				? { case: "style" as const, value: STYLES[range.style] }
				: { case: "mention" as const, value: uuidToBytes(range.mention) };
		return create(RangeSchema, { start, length, what });
	});
}

/** Those of somebody else's text that can be shown: others are cut off or left out, as by every reader. */
export function fromWire(ranges: readonly Range[], body: string): TextRange[] {
	const known: TextRange[] = [];
	for (const { start, length, what } of ranges.slice(0, LIMITS.ranges_per_text)) {
		const style = what.case === "style" ? NAMES.get(what.value) : undefined;
		if (style !== undefined) known.push({ start, length, style });
		else if (what.case === "mention" && what.value.length === 16) {
			known.push({ start, length, mention: uuidFromBytes(what.value) });
		}
	}
	return cut(known, body);
}

function cut(ranges: readonly TextRange[], body: string): TextRange[] {
	return ranges.slice(0, LIMITS.ranges_per_text).flatMap((range) => {
		const end = Math.min(range.start + range.length, body.length);
		if (range.start >= end || splitsCharacter(body, range.start) || splitsCharacter(body, end)) return [];
		return [{ ...range, length: end - range.start }];
	});
}

/** Whether a character outside the first plane, which takes two units, is cut in two here. */
function splitsCharacter(body: string, at: number): boolean {
	return at > 0 && at < body.length && (body.codePointAt(at - 1) ?? 0) > 0xffff;
}

/** A link in a text: where it stands is where it leads, so that no text can hide another address. */
export interface Link {
	start: number;
	length: number;
	url: string;
}

const LINK = /https?:\/\/[^\s<>"'`\p{Cc}\p{Cf}]+/giu;

/** The web addresses in a text; without punctuation that belongs to the sentence. */
export function linksOf(body: string): Link[] {
	const links: Link[] = [];
	for (const { 0: found, index } of body.matchAll(LINK)) {
		const url = found.replace(/[.,:;!?)\]}]+$/u, "");
		if (URL.canParse(url)) links.push({ start: index, length: url.length, url });
	}
	return links;
}

/** The marks with which a person can write formatting: `*bold*`, `_italic_`, `` `mono` ``, `~strike~`, `||spoiler||`. */
const MARKS: readonly { mark: string; style: TextStyle }[] = [
	{ mark: "||", style: "spoiler" },
	{ mark: "*", style: "bold" },
	{ mark: "_", style: "italic" },
	{ mark: "`", style: "monospace" },
	{ mark: "~", style: "strikethrough" },
];

/** Text with marks as plain text with ranges. A mark counts at the edge of a word, with its partner in the same line. */
export function parseMarks(marked: string): { body: string; ranges: TextRange[] } {
	let body = "";
	const ranges: TextRange[] = [];
	const open = new Map<string, number>();
	for (let at = 0; at < marked.length; ) {
		if (marked[at] === "\n") open.clear();
		const found = MARKS.find(({ mark }) => marked.startsWith(mark, at));
		const closing = found === undefined ? undefined : open.get(found.mark);
		if (found !== undefined && closing !== undefined && closing < body.length && endsWord(marked, at, found.mark)) {
			ranges.push({ start: closing, length: body.length - closing, style: found.style });
			open.delete(found.mark);
			at += found.mark.length;
		} else if (found !== undefined && closing === undefined && opensWord(marked, at, found.mark)) {
			open.set(found.mark, body.length);
			at += found.mark.length;
		} else {
			body += marked.charAt(at);
			at += 1;
		}
	}
	return { body, ranges };
}

function opensWord(text: string, at: number, mark: string): boolean {
	const before = text.charAt(at - 1);
	const after = text.charAt(at + mark.length);
	return !/[\p{L}\p{N}]/u.test(before) && /\S/u.test(after) && hasEnd(text, at, mark);
}

/** Whether a partner follows in the same line that ends a word. */
function hasEnd(text: string, at: number, mark: string): boolean {
	const line = text.slice(at + mark.length).split("\n")[0] ?? "";
	for (let end = line.indexOf(mark); end !== -1; end = line.indexOf(mark, end + 1)) {
		if (end > 0 && endsWord(line, end, mark)) return true;
	}
	return false;
}

function endsWord(text: string, at: number, mark: string): boolean {
	return /\S/u.test(text.charAt(at - 1)) && !/[\p{L}\p{N}]/u.test(text.charAt(at + mark.length));
}
