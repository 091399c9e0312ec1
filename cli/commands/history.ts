import type { Command } from "commander";
import { contextOf } from "../context.ts";
import { limitOption } from "../options.ts";
import { shortId, shownLine, shownObject } from "../shown.ts";
import type { Terminal } from "../terminal.ts";

export function addHistory(program: Command, terminal: Terminal): void {
	program
		.command("history")
		.description("Print the messages with somebody, oldest first (works offline)")
		.argument("<with>", "a username, or an account id")
		.addOption(limitOption(50))
		.addHelpText("after", "\nExamples:\n  $ parley history bob\n  $ parley --json history bob --limit 1000")
		.action(async (name: string, options: { limit: number }, command: Command) => {
			const context = contextOf(command, terminal);
			await context.withParley(async (parley) => {
				for (const message of await parley.history(name, options.limit)) {
					const line = `${terminal.colors.dim(shortId(message.id))} ${shownLine(parley, message, terminal.colors)}`;
					context.print(shownObject(parley, message), line);
				}
			});
		});
}
