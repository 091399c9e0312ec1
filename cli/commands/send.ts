import type { Command } from "commander";
import { contextOf } from "../context.ts";
import { secondsOption } from "../options.ts";
import type { Terminal } from "../terminal.ts";

export function addSend(program: Command, terminal: Terminal): void {
	program
		.command("send")
		.description("Send a text and wait until the server has it on disk")
		.argument("<to>", "a username, or an account id")
		.argument("<text>", "the text; - reads it from standard input")
		.addOption(secondsOption("how long to wait for the server", 15))
		.addHelpText(
			"after",
			`
The message is on this disk before anything leaves. When the server does not answer in time, it stays in the outbox and
goes out with the next command that connects (exit code 6): don't send it again.

Examples:
  $ parley send bob "see you at eight"
  $ git log -1 | parley send bob -
  $ id=$(parley --json send bob hi | jq -r .id); parley status $id`,
		)
		.action(async (to: string, text: string, options: { timeout: number }, command: Command) => {
			const context = contextOf(command, terminal);
			const body = text === "-" ? (await terminal.readAll()).replace(/\r?\n$/, "") : text;
			await context.withParley(async (parley) => {
				const { id } = await parley.send(to, body);
				const message = await parley.sent(id, options.timeout * 1000);
				context.print(
					{ type: "sent", id, with: to, account: message.peer, number: message.number ?? null, status: message.status },
					`✓ sent as entry ${message.number ?? "?"}  ${terminal.colors.dim(id)}`,
				);
			});
		});
}
