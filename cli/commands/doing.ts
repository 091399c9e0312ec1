/** What people do with messages that are there: answer, react, edit, delete. */
import type { Command } from "commander";
import type { Done } from "../../client/messages/people.ts";
import type { Parley } from "../../client/parley.ts";
import { type Context, contextOf } from "../context.ts";
import { durationArgument, secondsOption, timerText, WITH } from "../options.ts";
import { shortId } from "../shown.ts";
import type { Terminal } from "../terminal.ts";

const MESSAGE = "the beginning or the end of its id, as `history` shows it";

export function addReply(program: Command, terminal: Terminal): void {
	program
		.command("reply")
		.description("Answer a message, in the conversation where it stands")
		.argument("<message>", MESSAGE)
		.argument("<text>", "the text")
		.option("--format", "read *bold*, _italic_, `mono`, ~strike~, ||spoiler|| and @name in it")
		.addOption(timeout())
		.addHelpText("after", '\nExample:\n  $ parley reply 9abcdef0 "yes, at eight"')
		.action(async (message: string, text: string, options: { format?: boolean; timeout: number }, command: Command) => {
			await perform(command, terminal, "sent", options.timeout, (parley) =>
				parley.messages.reply(message, text, options.format === true),
			);
		});
}

export function addReact(program: Command, terminal: Terminal): void {
	program
		.command("react")
		.description("React to a message with an emoji; the last one counts")
		.argument("<message>", MESSAGE)
		.argument("[emoji]", "one emoji; left out, the reaction is taken back")
		.addOption(timeout())
		.addHelpText("after", "\nExamples:\n  $ parley react 9abcdef0 👍\n  $ parley react 9abcdef0")
		.action(async (message: string, emoji: string | undefined, options: { timeout: number }, command: Command) => {
			await perform(command, terminal, "reacted", options.timeout, (parley) =>
				parley.messages.react(message, emoji ?? ""),
			);
		});
}

export function addEdit(program: Command, terminal: Terminal): void {
	program
		.command("edit")
		.description("Replace the text of a message of yours, for 24 hours after sending")
		.argument("<message>", MESSAGE)
		.argument("<text>", "the new text; the others can still see the earlier ones")
		.option("--format", "as in `reply`")
		.addOption(timeout())
		.addHelpText("after", '\nExample:\n  $ parley edit 9abcdef0 "see you at nine"')
		.action(async (message: string, text: string, options: { format?: boolean; timeout: number }, command: Command) => {
			await perform(command, terminal, "edited", options.timeout, (parley) =>
				parley.messages.edit(message, text, options.format === true),
			);
		});
}

export function addDelete(program: Command, terminal: Terminal): void {
	program
		.command("delete")
		.description("Delete a message here, or for everyone")
		.argument("<message>", MESSAGE)
		.option("--everyone", "for 24 hours after sending: a message of yours, or any in a group where you are an admin")
		.addOption(timeout())
		.addHelpText(
			"after",
			`
Who has read the message may remember it, and a client that is not this one may have kept it.

Examples:
  $ parley delete 9abcdef0
  $ parley delete 9abcdef0 --everyone`,
		)
		.action(async (message: string, options: { everyone?: boolean; timeout: number }, command: Command) => {
			if (options.everyone === true) {
				await perform(command, terminal, "deleted-for-everyone", options.timeout, (parley) =>
					parley.messages.deleteForEveryone(message),
				);
				return;
			}
			const context = contextOf(command, terminal);
			await context.withParley(async (parley) => {
				const { id } = await parley.messages.deleteHere(message);
				// The other devices hear of it.
				await parley.flush();
				context.print({ type: "deleted-here", id }, `The message ${shortId(id)} is gone from your devices.`);
			});
		});
}

export function addTimer(program: Command, terminal: Terminal): void {
	program
		.command("timer")
		.description("Let messages with somebody disappear some time after they were read")
		.argument("<with>", WITH)
		.argument("[time]", "30s, 5m, 8h, 1d, 4w, off; left out, the timer is shown", durationArgument)
		.addOption(timeout())
		.addHelpText("after", "\nExamples:\n  $ parley timer bob 1d\n  $ parley timer bob off")
		.action(async (name: string, to: number | undefined, options: { timeout: number }, command: Command) => {
			if (to !== undefined) {
				await perform(
					command,
					terminal,
					"timer",
					options.timeout,
					(parley) => parley.messages.setTimer(name, to),
					`  ${timerText(name, to)}`,
				);
				return;
			}
			const context = contextOf(command, terminal);
			await context.withParley(async (parley) => {
				const seconds = await parley.messages.timer(name);
				context.print({ type: "timer", with: name, seconds }, timerText(name, seconds));
			});
		});
}

/** Does something and waits until the server has it. */
export async function perform(
	command: Command,
	terminal: Terminal,
	type: string,
	seconds: number,
	work: (parley: Parley) => Promise<Done>,
	words = "",
): Promise<void> {
	const context = contextOf(command, terminal);
	await context.withParley(async (parley) => {
		const done = await work(parley);
		await parley.messages.arrived(done, seconds * 1_000);
		printDone(context, parley, type, done, words);
	});
}

function printDone(context: Context, parley: Parley, type: string, { id, peer }: Done, words: string): void {
	const name = parley.nameOf(peer);
	context.print({ type, id, with: name, account: peer }, `✓ ${context.terminal.colors.dim(shortId(id))}${words}`);
}

/** As every command that waits for the server has it. */
export function timeout(): ReturnType<typeof secondsOption> {
	return secondsOption("how long to go without news from the server", 15);
}
