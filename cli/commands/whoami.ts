/** `parley whoami`. */
import type { Command } from "commander";
import { contextOf } from "../context.ts";
import { profileLines, profileObject } from "../profile_text.ts";
import type { Terminal } from "../terminal.ts";

export function addWhoami(program: Command, terminal: Terminal): void {
	program
		.command("whoami")
		.description("Show the account of this data directory (works offline)")
		.addHelpText("after", "\nExamples:\n  $ parley whoami\n  $ parley --json whoami | jq -r .account")
		.action(async (_options: unknown, command: Command) => {
			const context = contextOf(command, terminal);
			await context.withParley(async (parley) => {
				const { username, accountId, deviceId, server } = parley.whoami();
				const profile = profileObject(parley, accountId);
				const lines = profileLines(parley, accountId, "parley profile");
				context.print(
					{ type: "account", username, account: accountId, device: deviceId, server, profile },
					[`${terminal.colors.bold(username)}  account ${accountId}, device ${deviceId}, at ${server}`, ...lines].join(
						"\n",
					),
				);
			});
		});
}
