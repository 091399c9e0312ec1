/** `parley profile`: name, words and picture, the own ones and others'. */
import { type Command, Option } from "commander";
import { Failure } from "../../client/failure.ts";
import { contextOf } from "../context.ts";
import { showPicture } from "../picture.ts";
import { profileLines, profileObject } from "../profile_text.ts";
import { printable, type Terminal } from "../terminal.ts";

interface Options {
	name?: string;
	about?: string;
	picture?: string;
	removePicture?: boolean;
	to?: string;
}

export function addProfile(program: Command, terminal: Terminal): void {
	program
		.command("profile")
		.description("Show what you, or somebody, shows of themselves; or change what you show")
		.argument("[with]", "a username, or an account id; left out, it is you")
		.option("--name <name>", "the name that you show, beside the username; empty: none")
		.option("--about <text>", "a few words; empty: none")
		.option("--picture <path>", "an image; it is made small, and nothing else of the file is sent")
		.addOption(new Option("--remove-picture", "show no picture").conflicts("picture"))
		.option("--to <path>", "save the picture: a file, or a folder")
		.addHelpText(
			"after",
			`
The server never sees any of it. People get it with your next message to them; strangers who write to you get it when you
accept them or answer, blocked ones never. Whoever has it keeps it.

Examples:
  $ parley profile --name "Alice Liddell" --about "down the rabbit hole" --picture alice.jpg
  $ parley profile bob --to ~/Downloads`,
		)
		.action(async (who: string | undefined, options: Options, command: Command) => {
			const { name, about, picture, removePicture, to } = options;
			const changes = [name, about, picture, removePicture].some((each) => each !== undefined);
			if (changes && who !== undefined) throw new Failure("bad_argument", "you can change only what you show yourself");
			const context = contextOf(command, terminal);
			await context.withParley(async (parley) => {
				const account = who === undefined ? parley.whoami().accountId : await parley.profiles.accountOf(who);
				const texts = { ...(name === undefined ? {} : { name }), ...(about === undefined ? {} : { about }) };
				if ((name ?? about) !== undefined) await parley.profiles.set(texts);
				if (picture !== undefined || removePicture === true) await parley.profiles.setPicture(picture);
				// Own devices hear of it now.
				if (changes) await context.flush(parley);
				if (to !== undefined) {
					const saved = await parley.profiles.savePicture(account, to);
					context.print({ type: "picture-saved", account, path: saved }, `✓ saved as ${printable(saved)}`);
					return;
				}
				const called = parley.nameOf(account);
				const shown = profileLines(parley, account, `parley profile ${printable(called)}`);
				const lines = shown.length === 0 ? ["Shows nothing of themselves"] : shown;
				const object = { type: "profile", with: called, account, ...profileObject(parley, account) };
				context.print(object, [terminal.colors.bold(printable(called)), ...lines].join("\n"));
				const image = parley.profiles.of(account).picture;
				if (image !== undefined) await showPicture(context, (side) => parley.profiles.picturePreview(account, side));
			});
		});
}
