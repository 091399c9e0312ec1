/** `parley register`. */
import { hostname } from "node:os";
import type { Command } from "commander";
import { contextOf } from "../context.ts";
import type { Terminal } from "../terminal.ts";

export function addRegister(program: Command, terminal: Terminal): void {
	program
		.command("register")
		.description("Make an account and keep its keys in the data directory")
		.argument("<name>", "your username: 3 to 32 of a-z, 0-9 and _, beginning with a letter")
		.option("--device-name <name>", "what this device is called (default: this computer's name)")
		.addHelpText(
			"after",
			`
The server gets a hash of the name and your public keys, nothing else. If this is interrupted, run it again: it goes
on with the same keys.

Examples:
  $ parley register alice
  $ parley --server https://parley-api.example.workers.dev register alice`,
		)
		.action(async (name: string, options: { deviceName?: string }, command: Command) => {
			const context = contextOf(command, terminal);
			const account = await context.withParley((parley) => parley.register(name, options.deviceName ?? hostname()));
			const { username, accountId, deviceId, server } = account;
			context.print(
				{ type: "registered", username, account: accountId, device: deviceId, server },
				`Registered as ${terminal.colors.bold(username)} at ${server}.`,
			);
		});
}
