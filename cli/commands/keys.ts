/** `parley keys`: one-time prekeys that are left at the server. */
import type { Command } from "commander";
import { contextOf } from "../context.ts";
import type { Terminal } from "../terminal.ts";

export function addKeys(program: Command, terminal: Terminal): void {
	program
		.command("keys")
		.description("Show how many one-time prekeys the server still has of yours")
		.addHelpText(
			"after",
			`
With one of them somebody begins to write to you. The next connection makes new ones below 20; where none is left, one of
each kind that stays is used.

Example:
  $ parley keys`,
		)
		.action(async (_options: unknown, command: Command) => {
			const context = contextOf(command, terminal);
			const { oneTimePreKeys, oneTimeKyberPreKeys } = await context.withParley((parley) => parley.keys());
			context.print(
				{ type: "keys", oneTimePreKeys, oneTimeKyberPreKeys },
				`${oneTimePreKeys} elliptic-curve and ${oneTimeKyberPreKeys} Kyber one-time prekeys are left at the server.`,
			);
		});
}
