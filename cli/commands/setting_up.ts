/** How a person sets up a conversation: muted, archived, pinned, on all own devices. */
import type { Command } from "commander";
import type { FlagName } from "../../client/settings.ts";
import { type Context, contextOf } from "../context.ts";
import { durationArgument, durationWords, WITH } from "../options.ts";
import { printable, type Terminal } from "../terminal.ts";

/** For ever, as a time: the largest that JavaScript knows as a date. */
export const FOR_EVER_MS = 8.64e15;

export function addMute(program: Command, terminal: Terminal): void {
	program
		.command("mute")
		.description("Mute a conversation, for a time or for good")
		.argument("<with>", WITH)
		.argument("[time]", "8h, 1d, 4w, off; left out, until you unmute it", durationArgument)
		.addHelpText("after", "\nExamples:\n  $ parley mute bob 8h\n  $ parley mute bob off")
		.action(async (name: string, seconds: number | undefined, _options: unknown, command: Command) => {
			const untilMs = seconds === undefined ? FOR_EVER_MS : seconds === 0 ? 0 : Date.now() + seconds * 1_000;
			const how = seconds === undefined ? "until you unmute it" : `for ${durationWords(seconds)}`;
			const context = contextOf(command, terminal);
			await set(context, name, "muted", untilMs);
			context.print(
				{ type: "muted", with: name, untilMs: untilMs === FOR_EVER_MS ? null : untilMs },
				`The conversation with ${printable(name)} is ${untilMs === 0 ? "not muted any more" : `muted ${how}`}.`,
			);
		});
}

export function addArchive(program: Command, terminal: Terminal): void {
	addSwitch(program, terminal, "archive", "archived", "Put a conversation away");
}

export function addPin(program: Command, terminal: Terminal): void {
	addSwitch(program, terminal, "pin", "pinned", "Keep a conversation on top");
}

function addSwitch(program: Command, terminal: Terminal, verb: string, flag: FlagName, description: string): void {
	program
		.command(verb)
		.description(description)
		.argument("<with>", WITH)
		.option("--undo", "not any more")
		.addHelpText("after", `\nExamples:\n  $ parley ${verb} bob\n  $ parley ${verb} bob --undo`)
		.action(async (name: string, options: { undo?: boolean }, command: Command) => {
			const on = options.undo !== true;
			const context = contextOf(command, terminal);
			await set(context, name, flag, on ? 1 : 0);
			context.print(
				{ type: flag, with: name, on },
				`The conversation with ${printable(name)} is ${on ? flag : `not ${flag} any more`}.`,
			);
		});
}

/** On disk, and told to the own devices that can be reached. */
async function set(context: Context, name: string, flag: FlagName, value: number): Promise<void> {
	await context.withParley(async (parley) => {
		await parley.settings.setFlag(name, flag, value);
		await context.flush(parley);
	});
}
