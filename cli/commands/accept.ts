/** `parley accept`: somebody's new identity key, or the account to which a name leads now. */
import type { Command } from "commander";
import { contextOf } from "../context.ts";
import { printable, type Terminal } from "../terminal.ts";

export function addAccept(program: Command, terminal: Terminal): void {
	program
		.command("accept")
		.description("Accept that somebody has a new identity key")
		.argument("<with>", "a username, or an account id")
		.addHelpText(
			"after",
			`
A key changes when somebody registers anew, or when somebody else pretends to be them. Ask them over another way before
you accept, and compare the safety number afterwards.

Example:
  $ parley accept bob`,
		)
		.action(async (name: string, _options: unknown, command: Command) => {
			const context = contextOf(command, terminal);
			const changed = await context.withParley(async (parley) => {
				const accepted = await parley.accept(name);
				// The other devices hear of it, and what waited for this leaves.
				await parley.flush();
				return accepted;
			});
			context.print(
				{ type: "accepted", with: name, changed },
				changed
					? `The new identity of ${printable(name)} is accepted; it is not verified.`
					: `${printable(name)} has shown no new identity that waits: nothing has changed.`,
			);
		});
}
