/** `parley group picture`. */
import type { Command } from "commander";
import { Failure } from "../../client/failure.ts";
import { contextOf } from "../context.ts";
import { changing, showChanged } from "../group_text.ts";
import { printable, type Terminal } from "../terminal.ts";

interface Options {
	remove?: boolean;
	to?: string;
}

export function addGroupPicture(group: Command, terminal: Terminal): void {
	group
		.command("picture")
		.description("Give the group another picture, take it away, or save it")
		.argument("<group>", "a title, or the beginning of an id")
		.argument("[path]", "an image; it is made small, and nothing else of the file is sent")
		.option("--remove", "the group has no picture any more")
		.option("--to <path>", "save the picture: a file, or a folder")
		.addHelpText(
			"after",
			`
Examples:
  $ parley group picture "Climbing on Sunday" rock.jpg
  $ parley group picture "Climbing on Sunday" --to ~/Downloads`,
		)
		.action(async (name: string, path: string | undefined, { remove, to }: Options, command: Command) => {
			if ([path, remove, to].filter((each) => each !== undefined).length !== 1) {
				throw new Failure("bad_argument", "say one of a path, --remove, and --to");
			}
			const context = contextOf(command, terminal);
			await changing(context, async (parley) => {
				const peer = parley.groups.find(name);
				if (to === undefined) {
					await parley.groups.setPicture(peer, path);
					showChanged(context, parley, peer);
					return;
				}
				const saved = await parley.groups.savePicture(name, to);
				context.print({ type: "picture-saved", group: peer, path: saved }, `✓ saved as ${printable(saved)}`);
			});
		});
}
