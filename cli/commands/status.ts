/** `parley status`: what became of a message. */
import type { Command } from "commander";
import { isGroup } from "../../client/groups/state.ts";
import { contextOf } from "../context.ts";
import { showMemberStatus } from "../group_text.ts";
import { shownLine, shownObject } from "../shown.ts";
import type { Terminal } from "../terminal.ts";

export function addStatus(program: Command, terminal: Terminal): void {
	program
		.command("status")
		.description("Show how far a message got: queued, sent, delivered, read")
		.argument("<id>", "the id that `send` printed, or its beginning or end")
		.option("--offline", "say what is known here, without asking the server")
		.addHelpText("after", "\nExample:\n  $ parley status 019ab3c4-5d6e-7f80-9123-456789abcdef")
		.action(async (id: string, options: { offline?: boolean }, command: Command) => {
			const context = contextOf(command, terminal);
			await context.withParley(async (parley) => {
				const message = await parley.status(parley.messages.find(id).id, { refresh: options.offline !== true });
				context.print(
					shownObject(parley, message),
					`${message.status}  ${shownLine(parley, message, terminal.colors)}`,
				);
				if (message.outgoing && isGroup(message.peer)) {
					await showMemberStatus(context, parley, message, options.offline !== true);
				}
			});
		});
}
