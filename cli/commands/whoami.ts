import type { Command } from "commander";
import { contextOf } from "../context.ts";
import type { Terminal } from "../terminal.ts";

export function addWhoami(program: Command, terminal: Terminal): void {
	program
		.command("whoami")
		.description("Show the account of this data directory (works offline)")
		.action(async (_options: unknown, command: Command) => {
			const context = contextOf(command, terminal);
			const { username, accountId, deviceId, server } = await context.withParley(async (parley) => parley.whoami());
			context.print(
				{ type: "account", username, account: accountId, device: deviceId, server },
				`${terminal.colors.bold(username)}  account ${accountId}, device ${deviceId}, at ${server}`,
			);
		});
}
