/** `parley safety-number`. */
import type { Command } from "commander";
import { contextOf } from "../context.ts";
import type { Terminal } from "../terminal.ts";

export function addSafetyNumber(program: Command, terminal: Terminal): void {
	program
		.command("safety-number")
		.description("Show the number that both of you must see alike")
		.argument("<with>", "a username, or an account id")
		.addHelpText(
			"after",
			`
Compare it over another way: in person, or on the phone. If it differs, somebody is between you. If it is alike, say so
with \`parley verify\`; from then on nothing is sent to a changed key before you have accepted it.

Example:
  $ parley safety-number bob`,
		)
		.action(async (name: string, _options: unknown, command: Command) => {
			const context = contextOf(command, terminal);
			const { safetyNumber, verified } = await context.withParley((parley) => parley.safetyNumber(name));
			const groups = safetyNumber.match(/.{1,5}/g) ?? [];
			const lines = [0, 4, 8].map((start) => groups.slice(start, start + 4).join(" "));
			context.print(
				{ type: "safety-number", with: name, safetyNumber, verified },
				[...lines, verified ? "verified" : "not verified"].join("\n"),
			);
		});
}
