/** `parley delete-account`. */
import type { Command } from "commander";
import { Failure } from "../../client/failure.ts";
import { contextOf } from "../context.ts";
import type { Terminal } from "../terminal.ts";

export function addDeleteAccount(program: Command, terminal: Terminal): void {
	program
		.command("delete-account")
		.description("Delete the account at the server and everything in the data directory")
		.option("--yes", "yes, for ever")
		.addHelpText("after", "\nExample:\n  $ parley delete-account --yes")
		.action(async (options: { yes?: boolean }, command: Command) => {
			const context = contextOf(command, terminal);
			if (options.yes !== true) {
				throw new Failure("bad_argument", "this removes the account and all its messages for ever: add --yes");
			}
			const username = await context.withParley(async (parley) => {
				const { username } = parley.whoami();
				await parley.deleteAccount();
				return username;
			});
			context.print({ type: "deleted", username }, `The account ${username} is deleted.`);
		});
}
