/** Messages with all that belongs to them: quotes, formatting, reactions, edits, polls, the time they have left. */
import type { StoredMessage } from "../client/machine/interface.ts";
import type { MessageView } from "../client/messages/view.ts";
import type { TextRange, TextStyle } from "../client/messages/wishes.ts";
import type { Parley } from "../client/parley.ts";
import { messageLine, messageObject, timeText } from "./message_text.ts";
import { durationWords } from "./options.ts";
import { printable, printableLine, type Terminal } from "./terminal.ts";

type Colors = Terminal["colors"];

/** The end of a message's id, by which people can name it. */
export function shortId(id: string): string {
	return `#${id.slice(-8)}`;
}

/** One line for people; a poll has more. */
export function shownLine(parley: Parley, message: StoredMessage, colors: Colors): string {
	const name = parley.nameOf(message.outgoing ? message.peer : message.sender);
	const view = parley.messages.view(message);
	if (view === undefined) return messageLine(message, name, colors);
	if (view.deleted) return messageLine({ ...message, file: undefined }, name, colors, colors.dim("(deleted)"));
	const text = styled(message.body ?? "", view.ranges, colors);
	const before = [
		...(view.forwards > 0 ? [colors.dim("(forwarded)")] : []),
		...(view.replyTo === undefined ? [] : [colors.dim(`↪ ${quote(parley, message, view)} —`)]),
		...(view.poll === undefined ? [] : [colors.cyan(view.poll.closed ? "[poll, ended]" : "[poll]")]),
	];
	const line = messageLine(message, name, colors, [...before, text].join(" "));
	return [line + marks(parley, view, colors), ...pollLines(parley, view, colors)].join("\n");
}

/** The texts before edits, the first first, one line each. */
export function earlierLines(parley: Parley, message: StoredMessage, colors: Colors): string[] {
	const earlier = parley.messages.view(message)?.earlier ?? [];
	return earlier.map(({ body, ranges, timeMs }) => {
		return `          ${colors.dim(`${timeText(timeMs)} was:`)} ${styled(body, ranges, colors)}`;
	});
}

/** The object for programs. */
export function shownObject(parley: Parley, message: StoredMessage): { type: "message" } & Record<string, unknown> {
	const view = parley.messages.view(message);
	const object = messageObject(message, parley.nameOf(message.peer), parley.nameOf(message.sender));
	const shown = message.outgoing ? "" : parley.profiles.of(message.sender).name;
	const named = shown === "" ? object : { ...object, profileName: shown };
	return view === undefined ? named : { ...named, ...viewObject(view) };
}

/** Only what there is, so that a plain message stays a short line. */
function viewObject(view: MessageView): Record<string, unknown> {
	const { replyTo, forwards, ranges, links, reactions, earlier, poll } = view;
	return {
		...(replyTo === undefined ? {} : { replyTo }),
		...(forwards === 0 ? {} : { forwards }),
		...(ranges.length === 0 ? {} : { ranges }),
		...(links.length === 0 ? {} : { links: links.map(({ url }) => url) }),
		...(reactions.length === 0 ? {} : { reactions }),
		...(earlier.length === 0 ? {} : { earlier: earlier.map(({ body, timeMs }) => ({ text: body, timeMs })) }),
		...(view.deleted ? { deleted: true } : {}),
		...(poll === undefined ? {} : { poll }),
		...(view.expireAfterSeconds === 0 ? {} : { expireAfterSeconds: view.expireAfterSeconds }),
		...(view.expiresAtMs === undefined ? {} : { expiresAtMs: view.expiresAtMs }),
	};
}

function quote(parley: Parley, message: StoredMessage, view: MessageView): string {
	const quoted = parley.messages.quoted(message, view);
	if (quoted?.body === undefined) return "a message that is not here";
	// A spoiler stays one where somebody answers it.
	const ranges = (parley.messages.view(quoted)?.ranges ?? []).filter(
		(range) => "style" in range && range.style === "spoiler",
	);
	const line = printable(hidden(quoted.body, ranges)).split("\n")[0] ?? "";
	return line.length > 40 ? `${line.slice(0, 39)}…` : line;
}

/** The text with a block in the place of each character that the ranges cover. */
function hidden(body: string, ranges: readonly TextRange[]): string {
	let text = body;
	for (const { start, length } of ranges) {
		text = text.slice(0, start) + "▒".repeat(length) + text.slice(start + length);
	}
	return text;
}

/** Behind the text: who reacted, that it was edited, when it goes. */
function marks(parley: Parley, view: MessageView, colors: Colors): string {
	const reactions = view.reactions.map(
		({ account, emoji }) => `${printable(emoji)} ${printable(parley.nameOf(account))}`,
	);
	const facts = [
		...(view.earlier.length > 0 ? ["edited"] : []),
		...(view.expireAfterSeconds > 0 ? [`⏱ ${durationWords(view.expireAfterSeconds)}`] : []),
		...reactions,
	];
	return facts.length === 0 ? "" : ` ${colors.dim(`(${facts.join(", ")})`)}`;
}

function pollLines(parley: Parley, view: MessageView, colors: Colors): string[] {
	return (view.poll?.options ?? []).map(({ text, voters }, index) => {
		const names = voters.map((account) => printable(parley.nameOf(account))).join(", ");
		return `      ${index + 1}. ${printableLine(text)} ${colors.dim(`${voters.length} ${names}`.trimEnd())}`;
	});
}

/** A text with its formatting, as far as a terminal can show it. A spoiler is hidden. */
export function styled(body: string, ranges: readonly TextRange[], colors: Colors): string {
	const edges = [...new Set([0, body.length, ...ranges.flatMap(({ start, length }) => [start, start + length])])];
	edges.sort((one, other) => one - other);
	let text = "";
	for (const [index, start] of edges.entries()) {
		const end = edges[index + 1];
		if (end === undefined) break;
		const here = ranges.filter((range) => range.start <= start && range.start + range.length >= end);
		const styles = new Set(here.map((range) => ("style" in range ? range.style : "mention")));
		text += painted(printable(body.slice(start, end)), styles, colors);
	}
	return text;
}

function painted(text: string, styles: ReadonlySet<TextStyle | "mention">, colors: Colors): string {
	if (styles.has("spoiler")) return "▒".repeat([...text].length);
	let shown = text;
	if (styles.has("bold")) shown = colors.bold(shown);
	if (styles.has("italic")) shown = colors.italic(shown);
	if (styles.has("strikethrough")) shown = colors.strikethrough(shown);
	if (styles.has("monospace")) shown = colors.yellow(shown);
	return styles.has("mention") ? colors.magenta(shown) : shown;
}
