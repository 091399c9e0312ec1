/** Ctrl-C in a transfer: nothing half done stays behind, and a person is told that it goes on. */
import { Failure } from "../client/failure.ts";
import type { Terminal } from "./terminal.ts";

/**
 * Runs `work` until it is done or the command is interrupted; throws `Failure` `interrupted` then. The signal tells `work`,
 * which may end in its own time, so that it can tidy up.
 */
export async function unlessInterrupted<T>(terminal: Terminal, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
	const stopping = new AbortController();
	// What is entered in a chat lasts as long as that.
	if (terminal.opened === undefined) {
		const failure = new Failure("interrupted", "stopped; the same command goes on where it was");
		void terminal.interrupted().then(() => stopping.abort(failure));
	}
	return work(stopping.signal);
}

/** Rejects with a signal's reason, as soon as there is one. */
export function aborted(signal: AbortSignal): Promise<never> {
	return new Promise((_, reject) => {
		if (signal.aborted) reject(signal.reason);
		signal.addEventListener("abort", () => reject(signal.reason));
	});
}
