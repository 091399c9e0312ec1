/** `parley receive`: what has come, until nothing waits or for as long as it runs. */
import type { Command } from "commander";
import { isGroup } from "../../client/groups/state.ts";
import type { StoredMessage } from "../../client/machine/interface.ts";
import type { Parley, ParleyNotice } from "../../client/parley.ts";
import { type Context, contextOf } from "../context.ts";
import { ProgressLine } from "../file_progress.ts";
import { printGroupNotice } from "../group_text.ts";
import { identityText, logWentBack, missedText, refusalText } from "../message_text.ts";
import { secondsOption, timerText } from "../options.ts";
import { printProfileNotice } from "../profile_text.ts";
import { shownLine, shownObject } from "../shown.ts";
import { printable, type Terminal } from "../terminal.ts";

/** So long the own devices may take to be told, whatever else waits in the outbox. */
const READ_SHARED_MS = 1_000;

interface ReceiveOptions {
	follow?: boolean;
	keepUnread?: boolean;
	timeout: number;
}

export function addReceive(program: Command, terminal: Terminal): void {
	program
		.command("receive")
		.description("Fetch and print all messages that wait, then end")
		.option("--follow", "stay, and print messages as they come, until interrupted")
		.option("--keep-unread", "don't tell the senders that the messages were read")
		.addOption(secondsOption("how long to go without news from the server", 30))
		.addHelpText(
			"after",
			`
Messages are decrypted and stored before the server removes them, so each is printed once, also what came while another
command ran; \`parley history\` shows them again. The outbox is sent on the way.

Examples:
  $ parley receive
  $ parley --json receive --follow | jq -r 'select(.type == "message") | .text'`,
		)
		.action(async (options: ReceiveOptions, command: Command) => {
			const context = contextOf(command, terminal);
			const newest = new Map<string, number>();
			const came = new Set<string>();
			// Uploads that were interrupted go on, and small files are fetched.
			const progress = new ProgressLine(context);
			let parley: Parley | undefined;
			// What came while another command ran, until it is shown.
			let waiting: StoredMessage[] = [];
			// Once the own devices were heard: what one of them has read may be over by now (rule TIMER-4).
			const showWaiting = (): void => {
				for (const { id, number, peer } of waiting.splice(0)) {
					const message = parley?.find(id);
					if (parley === undefined || message === undefined) continue;
					came.add(peer);
					if (number !== undefined) newest.set(peer, Math.max(number, newest.get(peer) ?? 0));
					printNotice(context, parley, { type: "message", message });
				}
			};
			const markRead = (): void => {
				showWaiting();
				parley?.messages.allShown();
				if (options.keepUnread === true || parley === undefined) return;
				for (const [peer, number] of newest) parley.markRead(peer, number);
				newest.clear();
			};
			await context.withParley(
				async (opened) => {
					waiting = opened.messages.unshown();
					parley = opened;
					const received = opened.receive({ timeoutMs: options.timeout * 1000, beforeEnd: markRead });
					// Without a connection, too.
					await received.finally(() => {
						showWaiting();
						progress.end();
					});
					// The other devices hear how far this one has read: a timer runs from there (rule TIMER-4).
					await opened.flush(READ_SHARED_MS);
					for (const stranger of opened.settings.requests()) {
						const name = opened.nameOf(stranger.account);
						const what = `${name} is a stranger to you: parley requests accept ${name}, or requests delete ${name}, or block ${name}`;
						if (came.has(stranger.account) && !context.json) terminal.note(terminal.colors.dim(printable(what)));
					}
					if (options.follow !== true) return;
					await terminal.interrupted();
				},
				(notice) => {
					progress.show(notice);
					// Other conversations than the one with oneself are heard after that.
					if (notice.type === "message" && notice.message.peer !== parley?.whoami().accountId) showWaiting();
					if (notice.type === "message") came.add(notice.message.peer);
					if (notice.type === "message" && notice.message.number !== undefined) {
						newest.set(notice.message.peer, notice.message.number);
					}
					if (parley !== undefined) printNotice(context, parley, notice);
					if (parley?.drained === true) markRead();
				},
			);
		});
}

/** Prints what somebody who receives wants to know, and nothing of the rest. */
export function printNotice(context: Context, parley: Parley, notice: ParleyNotice): void {
	const { colors } = context.terminal;
	switch (notice.type) {
		case "message": {
			printMessage(context, parley, notice.message);
			return;
		}
		case "message-changed": {
			// A placeholder was replaced, or somebody did something; how far own messages got is for `status`.
			if (notice.message.outgoing && notice.acted !== true) return;
			printMessage(context, parley, notice.message);
			return;
		}
		case "identity-changed": {
			const name = parley.nameOf(notice.peer);
			context.print(
				{ type: "identity-changed", with: name, account: notice.peer, blocked: notice.blocked },
				colors.yellow(identityText(name, notice.blocked)),
			);
			return;
		}
		case "missed": {
			const name = parley.nameOf(notice.peer);
			context.print(
				{ type: "missed", with: name, account: notice.peer, from: notice.from, to: notice.to, asked: notice.asked },
				colors.yellow(missedText(name, notice)),
			);
			return;
		}
		case "log-went-back": {
			const name = parley.nameOf(notice.peer);
			context.print(
				{ type: "log-went-back", with: name, account: notice.peer, from: notice.from, to: notice.to },
				colors.yellow(logWentBack(name)),
			);
			return;
		}
		case "refused": {
			// What concerns a message is told where that is sent.
			if (notice.peer === undefined || notice.messageId !== undefined) return;
			const name = parley.nameOf(notice.peer);
			context.print(
				{ type: "refused", with: name, account: notice.peer, code: notice.code },
				colors.yellow(refusalText(notice.code, name)),
			);
			return;
		}
		case "message-removed": {
			const name = parley.nameOf(notice.peer);
			context.print(
				{ type: "message-removed", with: name, account: notice.peer, id: notice.id },
				colors.dim(`A message with ${name} is gone.`),
			);
			return;
		}
		case "timer-changed": {
			const { peer, by, seconds } = notice;
			const name = parley.nameOf(peer);
			context.print(
				{ type: "timer-changed", with: name, ...(isGroup(peer) ? { group: peer } : { account: peer }), by, seconds },
				colors.yellow(timerText(name, seconds)),
			);
			return;
		}
		case "presence":
		case "typing":
		case "file-progress":
		case "file-fetched":
		case "caught-up":
		case "account-caught-up":
		case "prekey-counts":
		case "synced":
		case "line-opened":
		case "line-failed":
		case "line-stopped":
		case "broken":
		case "group-progress":
		case "group-change-done":
		case "group-change-failed":
		case "watermarks":
			return;
		case "profile-changed":
			printProfileNotice(context, parley, notice.account);
			return;
		case "group-changed":
		case "group-warning":
		case "group-request":
		case "group-left":
		case "left-out":
			printGroupNotice(context, parley, notice);
			return;
		default:
			notice satisfies never;
	}
}

/** One line of many conversations says of which it is, where the sender's name doesn't. */
function printMessage(context: Context, parley: Parley, message: StoredMessage): void {
	const { colors } = context.terminal;
	const where = printable(parley.nameOf(message.peer));
	const header = message.outgoing ? `to ${where}  ` : isGroup(message.peer) ? `in ${where}  ` : "";
	context.print(shownObject(parley, message), header + shownLine(parley, message, colors));
}
