/** Messages as people see them and as programs get them. */
import { isGroup } from "../client/groups/state.ts";
import type { MessageStatus, StoredMessage } from "../client/machine/interface.ts";
import type { StoredFile } from "../client/media/pointer.ts";
import { printable, type Terminal } from "./terminal.ts";

type Colors = Terminal["colors"];

/** The ticks behind an own message; nothing behind a received one. */
export function ticks(status: MessageStatus, colors: Colors): string {
	switch (status) {
		case "queued":
			return colors.dim("…");
		case "sent":
			return "✓";
		case "delivered":
			return "✓✓";
		case "read":
			return colors.isColorSupported ? colors.cyan("✓✓") : "✓✓ read";
		case "failed":
			return colors.red("✗ not sent");
		case "received":
		case "undecryptable":
			return "";
		default:
			return status satisfies never;
	}
}

/** Hours and minutes, here. */
export function timeText(timeMs: number): string {
	const time = new Date(timeMs);
	return `${two(time.getHours())}:${two(time.getMinutes())}`;
}

/** One line: time, who, what, how far it got. `styled` is the text with its formatting, printable. */
export function messageLine(message: StoredMessage, name: string, colors: Colors, styled?: string): string {
	const clock = colors.dim(timeText(message.serverTimeMs ?? message.sentAtMs));
	// Whose it is, nobody has said yet: it must not look like the contact's own.
	const sender = message.underChangedKey ? colors.red(`${printable(name)}?! (new key, not accepted)`) : undefined;
	const who = message.outgoing ? colors.green("you") : (sender ?? colors.bold(printable(name)));
	const text =
		message.body === undefined
			? colors.yellow("(cannot be decrypted; the sender has been asked to send it again)")
			: (styled ?? printable(message.body));
	const body = message.file === undefined ? text : `${fileLine(message, message.file, colors)} ${text}`.trimEnd();
	return `${clock} ${who}: ${body} ${ticks(message.status, colors)}`.trimEnd();
}

/** The object that `--json` prints for a message. */
export function messageObject(
	message: StoredMessage,
	name: string,
	from = name,
): { type: "message" } & Record<string, unknown> {
	return {
		type: "message",
		id: message.id,
		with: name,
		account: isGroup(message.peer) ? message.sender : message.peer,
		...(isGroup(message.peer) ? { group: message.peer, from } : {}),
		direction: message.outgoing ? "out" : "in",
		number: message.number ?? null,
		text: message.body ?? null,
		...(message.file === undefined ? {} : { file: fileObject(message.file) }),
		sentAtMs: message.sentAtMs,
		serverTimeMs: message.serverTimeMs ?? null,
		status: message.status,
		underChangedKey: message.underChangedKey,
	};
}

/** Kind, name, size and dimensions of a file, and how to get it. */
function fileLine(message: StoredMessage, file: StoredFile, colors: Colors): string {
	const facts = [
		sizeText(file.size),
		...(file.width === undefined || file.height === undefined ? [] : [`${file.width} × ${file.height}`]),
		...(file.durationMs === undefined ? [] : [durationText(file.durationMs)]),
	];
	const bars = file.waveform === undefined ? "" : ` ${colors.dim(waveformText(file.waveform))}`;
	const alt = file.altText === undefined ? "" : ` ${colors.dim(`“${printable(file.altText)}”`)}`;
	const hint = message.outgoing ? "" : colors.dim(` (parley download ${message.id})`);
	return `${colors.cyan(`[${kindOf(file)} ${printable(file.name)}, ${facts.join(", ")}]`)}${bars}${alt}${hint}`;
}

function kindOf(file: StoredFile): string {
	if (file.presentation === "voice") return "voice message";
	if (file.presentation === "document") return "document";
	const kind = file.contentType.split("/")[0];
	return kind === "image" ? "photo" : kind === "video" || kind === "audio" ? kind : "document";
}

/** What programs may know of a file. */
function fileObject(file: StoredFile): Record<string, unknown> {
	return {
		name: file.name,
		size: file.size,
		contentType: file.contentType,
		presentation: file.presentation,
		width: file.width ?? null,
		height: file.height ?? null,
		durationMs: file.durationMs ?? null,
		altText: file.altText ?? null,
		thumbHash: base64Of(file.thumbHash),
		waveform: base64Of(file.waveform),
	};
}

function base64Of(bytes: Uint8Array | undefined): string | null {
	return bytes === undefined ? null : Buffer.from(bytes).toString("base64");
}

/** A size in bytes as people say it. */
export function sizeText(bytes: number): string {
	if (bytes < 1000) return `${bytes} bytes`;
	const units = ["kB", "MB", "GB"];
	const step = Math.min(units.length, Math.floor(Math.log10(bytes) / 3));
	const value = bytes / 1000 ** step;
	return `${value < 10 ? value.toFixed(1) : Math.round(value)} ${units[step - 1]}`;
}

function durationText(milliseconds: number): string {
	const seconds = Math.round(milliseconds / 1000);
	const [hours, minutes] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60];
	const rest = `${two(seconds % 60)}`;
	return hours > 0 ? `${hours}:${two(minutes)}:${rest}` : `${minutes}:${rest}`;
}

/** Sixteen bars, the loudest of each part. */
function waveformText(waveform: Uint8Array): string {
	const bars = Math.min(16, waveform.length);
	return Array.from({ length: bars }, (_, index) => {
		const part = waveform.subarray(
			Math.floor((index * waveform.length) / bars),
			Math.floor(((index + 1) * waveform.length) / bars),
		);
		return "▁▂▃▄▅▆▇█".charAt(Math.min(7, Math.floor(Math.max(0, ...part) / 32)));
	}).join("");
}

/** To be told when somebody shows another identity key; `blocked` where the old one was verified. */
export function identityText(name: string, blocked: boolean): string {
	const who = printable(name);
	const what = `The identity key of ${who} has changed: they have registered anew, or somebody pretends to be them.`;
	if (!blocked) return `${what} Compare the new number: parley safety-number ${who}`;
	return `${what} Ask them over another way; nothing is sent until you run: parley accept ${who}`;
}

/** What a refusal means for a person; `code` is the protocol's or the machine's name for it. */
export function refusalText(code: string, name: string): string {
	switch (code) {
		case "MEMBER_GONE":
			return `${printable(name)} has deleted the account: messages can't reach it.`;
		case "WRONG_CONVERSATION":
			return "The server brought a message here that was written for another conversation. It is not shown.";
		case "IMPLAUSIBLE_NUMBER":
			return "The server told of a position that can't be. It is ignored.";
		case "STRANGER_ON_ROSTER":
			return "The server named a stranger as a reader of this conversation. Nothing is encrypted for them.";
		case "BAD_PREKEYS":
			return `The server gave keys for ${printable(name)} that can't be used. What waits is sent with good ones.`;
		case "ENCRYPTION_FAILED":
			return `A message could not be encrypted for ${printable(name)}.`;
		default:
			return `The server refused it: ${printable(code)}`;
	}
}

/** Entries that the server has no more; `asked` of them were here before and are asked for again. */
export function missedText(name: string, { from, to, asked }: { from: number; to: number; asked: number }): string {
	const what = from === to ? `Entry ${from}` : `Entries ${from} to ${to}`;
	if (asked === 0) return `${what} with ${printable(name)} waited too long, unread, and went.`;
	return `${what} with ${printable(name)} came before this old copy was put back. ${asked} are asked for again.`;
}

/** To be told when the server's log ends before what was seen of it. */
export function logWentBack(name: string): string {
	const what = "The server has lost the newest messages, or was put back to an old state";
	return `${what}: ask ${printable(name)} whether your last ones arrived. What is here stays here.`;
}

function two(value: number): string {
	return String(value).padStart(2, "0");
}
