/** `parley send`: a text, a file, or a message that is sent on. */
import { type Command, Option } from "commander";
import type { StoredMessage } from "../../client/machine/interface.ts";
import type { Parley } from "../../client/parley.ts";
import { type Context, contextOf } from "../context.ts";
import { ProgressLine } from "../file_progress.ts";
import { aborted, unlessInterrupted } from "../interruption.ts";
import { secondsOption, WITH } from "../options.ts";
import type { Terminal } from "../terminal.ts";

interface SendOptions {
	timeout: number;
	file?: string;
	forward?: string;
	format?: boolean;
	voice?: boolean;
	document?: boolean;
	caption?: string;
	alt?: string;
}

export function addSend(program: Command, terminal: Terminal): void {
	program
		.command("send")
		.description("Send a text or a file and wait until the server has it on disk")
		.argument("<to>", WITH)
		.argument("[text]", "the text; - reads it from standard input")
		.option("--file <path>", "send a file instead of a text")
		.addOption(new Option("--forward <id>", "send another message on, a file without an upload").conflicts("file"))
		.addOption(new Option("--document", "as a file, whatever is in it").conflicts("voice"))
		.option("--format", "read *bold*, _italic_, `mono`, ~strike~, ||spoiler|| and @name in the text")
		.option("--voice", "as a voice message")
		.option("--caption <text>", "a text that goes with the file")
		.option("--alt <text>", "what the file shows, for those who can't see it")
		.addOption(secondsOption("how long to go without news from the server", 15))
		.addHelpText(
			"after",
			`
The message is on this disk before anything leaves. When the server does not answer in time, it stays in the outbox and
goes out with the next command that connects (exit code 6): don't send it again. A file's upload goes on where it was,
also with the same command again, which makes no second message of it; the file itself has to stay only until it is
encrypted. One that is at the server already is not uploaded again.

Examples:
  $ parley send bob "see you at eight"
  $ git log -1 | parley send bob -
  $ parley send bob --file holiday.mp4 --caption "look at this"
  $ parley send bob --file memo.wav --voice
  $ id=$(parley --json send bob hi | jq -r .id); parley status $id`,
		)
		.action(async (to: string, text: string | undefined, options: SendOptions, command: Command) => {
			const context = contextOf(command, terminal);
			const withFile = options.file !== undefined || options.forward !== undefined;
			if (text === undefined && !withFile) command.error("error: missing argument 'text', or --file");
			if (text !== undefined && withFile) command.error("error: a text that goes with a file is its --caption");
			const progress = new ProgressLine(context);
			await context.withParley(
				async (parley) => {
					const sent = async (): Promise<StoredMessage> => {
						const { id } =
							text === undefined
								? await sendOther(parley, to, options)
								: await sendText(
										parley,
										to,
										text === "-" ? (await terminal.readAll()).replace(/\r?\n$/, "") : text,
										options,
									);
						await parley.files.uploaded(id).finally(() => progress.end());
						return parley.sent(id, options.timeout * 1000);
					};
					const message = await (text === undefined
						? unlessInterrupted(terminal, (signal) => Promise.race([sent(), aborted(signal)]))
						: sent()
					).finally(() => progress.end());
					printSent(context, to, message);
				},
				(notice) => progress.show(notice),
			);
		});
}

function sendText(parley: Parley, to: string, text: string, options: SendOptions): Promise<{ id: string }> {
	return options.format === true ? parley.messages.send(to, text, true) : parley.send(to, text);
}

function sendOther({ files, messages }: Parley, to: string, options: SendOptions): Promise<{ id: string }> {
	if (options.forward !== undefined) {
		const { id, file } = messages.find(options.forward);
		return file === undefined ? messages.forward(id, to) : files.forward(id, to, options.caption);
	}
	return files.send(to, options.file ?? "", {
		presentation: options.voice === true ? "voice" : options.document === true ? "document" : "shown",
		...(options.caption === undefined ? {} : { caption: options.caption }),
		...(options.alt === undefined ? {} : { altText: options.alt }),
	});
}

function printSent(context: Context, to: string, message: StoredMessage): void {
	const { id, peer, number, status } = message;
	context.print(
		{ type: "sent", id, with: to, account: peer, number: number ?? null, status },
		`✓ sent as entry ${number ?? "?"}  ${context.terminal.colors.dim(id)}`,
	);
}
