/** `parley download`, `auto-download` and `delete-file`: files that others have sent. */
import { once } from "node:events";
import type { Command } from "commander";
import { Failure } from "../../client/failure.ts";
import { contextOf } from "../context.ts";
import { ProgressLine } from "../file_progress.ts";
import { unlessInterrupted } from "../interruption.ts";
import { sizeText } from "../message_text.ts";
import { bytesArgument } from "../options.ts";
import { printable, type Terminal } from "../terminal.ts";

export function addDownload(program: Command, terminal: Terminal): void {
	program
		.command("download")
		.description("Fetch the file of a message")
		.argument("<id>", "the message's id, or the end of it that is shown")
		.option("--to <path>", "save it decrypted: a file, a folder, or - for standard output")
		.option("--unchecked", "save it also where it can't be shown safely")
		.addHelpText(
			"after",
			`
Without --to the file is kept in the data directory, encrypted. What was interrupted goes on where it was. A file gets its
name only when it is whole and verified; images and videos must pass Signal's sanitizers. With - each piece comes as soon
as it is verified, unchecked: a video plays while it arrives.

Examples:
  $ parley download 019ab3c4-5d6e-7f80-9123-456789abcdef --to ~/Downloads
  $ parley download 019ab3c4-5d6e-7f80-9123-456789abcdef --to - | mpv -`,
		)
		.action(async (part: string, options: { to?: string; unchecked?: boolean }, command: Command) => {
			const context = contextOf(command, terminal);
			const progress = new ProgressLine(context);
			// What somebody else has sent must not steer a terminal.
			if (options.to === "-" && terminal.output.isTTY === true) {
				throw new Failure("bad_argument", "a file is nothing for a terminal: pipe it, or say --to with a path");
			}
			await context.withParley(
				async (parley) => {
					const { id } = parley.messages.find(part);
					try {
						const path = await unlessInterrupted(terminal, async (signal) => {
							if (options.to !== "-") {
								// What is here already is decrypted without a transfer to be shown.
								if (options.to !== undefined && !context.json) terminal.progress?.("saving …");
								return parley.files.download(id, { ...options, signal });
							}
							for await (const piece of parley.files.read(id, signal)) await written(terminal.output, piece);
							return undefined;
						});
						if (options.to === "-") return;
						progress.end();
						const kept = "kept in the data directory, encrypted";
						const text = path === undefined ? kept : `saved as ${printable(path)}`;
						context.print({ type: "downloaded", id, path: path ?? null }, `✓ ${text}`);
					} finally {
						progress.end();
					}
				},
				(notice) => {
					if (options.to !== "-") progress.show(notice);
				},
			);
		});
}

export function addAutoDownload(program: Command, terminal: Terminal): void {
	program
		.command("auto-download")
		.description("Say up to which size files are fetched without being asked for")
		.argument("[size]", "as 500000, 10MB, 1G or off; without it the size is only told", bytesArgument)
		.addHelpText("after", "\nExamples:\n  $ parley auto-download 20MB\n  $ parley auto-download off")
		.action(async (size: number | undefined, _options: unknown, command: Command) => {
			const context = contextOf(command, terminal);
			await context.withParley(async ({ files }) => {
				if (size !== undefined) files.autoDownloadBytes = size;
				const bytes = files.autoDownloadBytes;
				const text =
					bytes === 0 ? "nothing is fetched by itself" : `files up to ${sizeText(bytes)} are fetched by themselves`;
				context.print({ type: "auto-download", bytes }, text);
			});
		});
}

export function addDeleteFile(program: Command, terminal: Terminal): void {
	program
		.command("delete-file")
		.description("Delete a message's file here, and at the server where you have sent it")
		.argument("<id>", "the message's id, or the end of it that is shown")
		.addHelpText(
			"after",
			`
At the server it goes when nobody else holds it: whoever has forwarded it does. Who has fetched it already keeps it.

Example:
  $ parley delete-file 019ab3c4-5d6e-7f80-9123-456789abcdef`,
		)
		.action(async (part: string, _options: unknown, command: Command) => {
			const context = contextOf(command, terminal);
			await context.withParley(async ({ files, messages }) => {
				const { id } = messages.find(part);
				await files.remove(id);
				context.print({ type: "file-deleted", id }, "✓ deleted");
			});
		});
}

/** Waits until a stream has taken a piece, which is not valid afterwards. */
async function written(output: NodeJS.WritableStream, piece: Uint8Array): Promise<void> {
	if (!output.write(Buffer.from(piece))) await once(output, "drain");
}
