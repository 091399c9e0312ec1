/** What every command shares: the global options, the terminal, and a Parley that is closed whatever happens. */
import type { Command } from "commander";
import { Parley, type ParleyNotice } from "../client/parley.ts";
import { jsonLine, type Terminal } from "./terminal.ts";

/** Options before the command's name. */
export interface GlobalOptions {
	data?: string;
	server?: string;
	json?: boolean;
}

/** What a command works with. */
export interface Context {
	terminal: Terminal;
	/** One JSON object a line instead of text for people. */
	json: boolean;
	/** Prints a result: the object with --json, else the text. */
	print(result: { type: string } & Record<string, unknown>, text: string): void;
	/** Opens the data directory, does something with it, and closes it. */
	withParley<T>(work: (parley: Parley) => Promise<T>, onNotice?: (notice: ParleyNotice) => void): Promise<T>;
	/** Waits a while until a change is out, to the own devices too. A chat stays connected, and is not held up. */
	flush(parley: Parley): Promise<void>;
}

/** The context of a command that commander has parsed. */
export function contextOf(command: Command, terminal: Terminal): Context {
	const options = command.optsWithGlobals<GlobalOptions>();
	const json = options.json === true;
	return {
		terminal,
		json,
		print(result, text) {
			terminal.out(json ? jsonLine(result) : text);
		},
		async withParley(work, onNotice) {
			if (terminal.opened !== undefined) return work(terminal.opened);
			const parley = await Parley.open({
				environment: terminal.environment,
				...(options.data === undefined ? {} : { dataDir: options.data }),
				...(options.server === undefined ? {} : { server: options.server }),
				...(onNotice === undefined ? {} : { onNotice }),
			});
			try {
				return await work(parley);
			} finally {
				await parley.close();
			}
		},
		async flush(parley) {
			if (terminal.opened === undefined) await parley.flush();
		},
	};
}
