/** `parley verify`: a person has compared the safety number. */
import type { Command } from "commander";
import { contextOf } from "../context.ts";
import { printable, type Terminal } from "../terminal.ts";

export function addVerify(program: Command, terminal: Terminal): void {
	program
		.command("verify")
		.description("Say that you have compared the safety number with somebody")
		.argument("<with>", "a username, or an account id")
		.argument("[number...]", "their safety number; it is compared for you, and must be the same")
		.addHelpText("after", "\nExamples:\n  $ parley verify bob\n  $ parley verify bob 12345 67890 …")
		.action(async (name: string, number: string[], _options: unknown, command: Command) => {
			const context = contextOf(command, terminal);
			await context.withParley(async (parley) => {
				await parley.verify(name, number.length === 0 ? undefined : number.join(""));
				// The other devices hear of it.
				await parley.flush();
			});
			context.print({ type: "verified", with: name }, `${printable(name)} is verified.`);
		});
}
