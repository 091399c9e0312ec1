/** Messages as people see them and as programs get them. */
import type { MessageStatus, StoredMessage } from "../client/machine/interface.ts";
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
			return colors.cyan("✓✓");
		case "failed":
			return colors.red("✗ not sent");
		case "received":
		case "undecryptable":
			return "";
		default:
			return status satisfies never;
	}
}

/** One line: time, who, what, how far it got. */
export function messageLine(message: StoredMessage, name: string, colors: Colors): string {
	const time = new Date(message.serverTimeMs ?? message.sentAtMs);
	const clock = colors.dim(`${two(time.getHours())}:${two(time.getMinutes())}`);
	const who = message.outgoing ? colors.green("you") : colors.bold(printable(name));
	const body =
		message.body === undefined
			? colors.yellow("(cannot be decrypted; the sender has been asked to send it again)")
			: printable(message.body);
	return `${clock} ${who}: ${body} ${ticks(message.status, colors)}`.trimEnd();
}

/** The object that `--json` prints for a message. */
export function messageObject(message: StoredMessage, name: string): { type: "message" } & Record<string, unknown> {
	return {
		type: "message",
		id: message.id,
		with: name,
		account: message.peer,
		direction: message.outgoing ? "out" : "in",
		number: message.number ?? null,
		text: message.body ?? null,
		sentAtMs: message.sentAtMs,
		serverTimeMs: message.serverTimeMs ?? null,
		status: message.status,
	};
}

function two(value: number): string {
	return String(value).padStart(2, "0");
}
