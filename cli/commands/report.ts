/** Telling the operator of somebody (rule REPORT-1). */
import { type Command, Option } from "commander";
import { contextOf } from "../context.ts";
import { printable, type Terminal } from "../terminal.ts";

interface ReportOptions {
	message?: string[];
	reason: string;
	block?: boolean;
}

export function addReport(program: Command, terminal: Terminal): void {
	program
		.command("report")
		.description("Tell the operator of somebody; they don't learn it")
		.argument("<with>", "a username, or an account id")
		.addOption(
			new Option("--message <id...>", "attach messages of theirs, in plain text: all that the operator can read"),
		)
		.option("--reason <text>", "what you want to say", "")
		.option("--block", "let nothing come from them any more, too")
		.addHelpText(
			"after",
			`
The operator learns who you are, whom you report, what you say and attach, and when. It is kept for 30 days. Nothing else
leaves this device: without --message no text does.

Examples:
  $ parley report mallory --reason "sells things"
  $ parley report mallory --message 9abcdef0 5f0e1d2c --block`,
		)
		.action(async (name: string, options: ReportOptions, command: Command) => {
			const context = contextOf(command, terminal);
			const blocked = options.block === true;
			const messages = options.message ?? [];
			await context.withParley(async (parley) => {
				await parley.reports.report(name, { messages, reason: options.reason });
				if (!blocked) return;
				await parley.settings.setBlocked(name, true);
				await context.flush(parley);
			});
			context.print(
				{ type: "reported", with: name, messages: messages.length, blocked },
				`${printable(name)} is reported${blocked ? ", and blocked" : ""}; ${messages.length === 1 ? "1 message is" : `${messages.length} messages are`} attached.`,
			);
		});
}
