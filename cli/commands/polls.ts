/** Polls: a question, votes, an end. */
import type { Command } from "commander";
import { WITH } from "../options.ts";
import type { Terminal } from "../terminal.ts";
import { perform, timeout } from "./doing.ts";

export function addPoll(program: Command, terminal: Terminal): void {
	program
		.command("poll")
		.description("Ask a question with 2 to 32 answers to choose from")
		.argument("<to>", WITH)
		.argument("<question>", "the question")
		.argument("<options...>", "the answers")
		.option("--multiple", "more than one answer may be chosen")
		.addOption(timeout())
		.addHelpText("after", '\nExample:\n  $ parley poll bob "When?" today tomorrow never')
		.action(
			async (
				to: string,
				question: string,
				answers: string[],
				options: { multiple?: boolean; timeout: number },
				command: Command,
			) => {
				const poll = { question, options: answers, multiple: options.multiple === true };
				await perform(command, terminal, "sent", options.timeout, (parley) => parley.messages.poll(to, poll));
			},
		);
}

export function addVote(program: Command, terminal: Terminal): void {
	program
		.command("vote")
		.description("Choose in a poll; the last vote counts and says all that you choose")
		.argument("<poll>", "the beginning or the end of its id, as `history` shows it")
		.argument("[options...]", "answers, or their places from 1; left out, the vote is taken back")
		.option("--end", "end a poll of yours")
		.addOption(timeout())
		.addHelpText(
			"after",
			"\nExamples:\n  $ parley vote 9abcdef0 2\n  $ parley vote 9abcdef0 tomorrow\n  $ parley vote 9abcdef0 --end",
		)
		.action(async (poll: string, answers: string[], options: { end?: boolean; timeout: number }, command: Command) => {
			if (options.end === true && answers.length > 0) command.error("error: --end ends the poll, it votes for nothing");
			await perform(command, terminal, options.end === true ? "poll-ended" : "voted", options.timeout, (parley) =>
				options.end === true ? parley.messages.closePoll(poll) : parley.messages.vote(poll, answers),
			);
		});
}
