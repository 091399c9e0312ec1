/** `parley history`: what is kept here of a conversation. */
import type { Command } from "commander";
import type { TimelineItem } from "../../client/messages/timeline.ts";
import type { Parley } from "../../client/parley.ts";
import { changeLine, changeObject } from "../change_text.ts";
import { type Context, contextOf } from "../context.ts";
import { limitOption, WITH } from "../options.ts";
import { earlierLines, shortId, shownLine, shownObject } from "../shown.ts";
import { printable, type Terminal } from "../terminal.ts";

export function addHistory(program: Command, terminal: Terminal): void {
	program
		.command("history")
		.description("Print the messages with somebody and what changed between them, oldest first (works offline)")
		.argument("<with>", WITH)
		.addOption(limitOption(50))
		.option("--edits", "show the texts before edits, too")
		.addHelpText("after", "\nExamples:\n  $ parley history bob\n  $ parley --json history bob --limit 1000")
		.action(async (name: string, options: { limit: number; edits?: boolean }, command: Command) => {
			const context = contextOf(command, terminal);
			await context.withParley(async (parley) => {
				const account = await parley.profiles.accountOf(name);
				const { name: shown } = parley.profiles.of(account);
				const header = `${printable(name)} shows the name “${printable(shown)}”`;
				if (shown !== "" && !context.json) terminal.note(terminal.colors.dim(header));
				for (const item of await parley.messages.timeline(name, options.limit))
					printItem(context, parley, item, options.edits === true);
				// Who was removed is not sent the change that says so.
				const left = parley.groups.list().some(({ group, member }) => group === account && !member);
				if (left && !context.json) terminal.note(terminal.colors.dim(`you are not in ${printable(name)} any more`));
			});
		});
}

function printItem(context: Context, parley: Parley, item: TimelineItem, edits: boolean): void {
	const { colors } = context.terminal;
	switch (item.type) {
		case "message": {
			const { message } = item;
			const line = `${colors.dim(shortId(message.id))} ${shownLine(parley, message, colors)}`;
			const earlier = edits ? earlierLines(parley, message, colors) : [];
			context.print(shownObject(parley, message), [line, ...earlier].join("\n"));
			return;
		}
		case "group-changed":
		case "timer-changed":
			// Where messages have their id.
			context.print(changeObject(parley, item), `${" ".repeat(9)} ${changeLine(parley, item, colors)}`);
			return;
		default:
			item satisfies never;
	}
}
