/** Where a command reads and writes: the process's streams, or a test's. */
import pico from "picocolors";
import type { Parley } from "../client/parley.ts";

const CLEAR_LINE = "\r\x1b[2K";
/** What is wider than the terminal is cut: a line that wraps could not be taken away. */
const NO_WRAP = "\x1b[?7l";
const WRAP = "\x1b[?7h";

/** What a command reads from and writes to, so that tests can stand in its place. */
export interface Terminal {
	/** One line for programs and people who want the result. */
	out(line: string): void;
	/** One line on what goes on. */
	note(line: string): void;
	/** A line on how far something is, in place of the one before; undefined takes it away. Absent where nobody looks. */
	progress?(line: string | undefined): void;
	/** All of standard input. */
	readAll(): Promise<string>;
	/** Resolves when a person or a system wants the command to end. */
	interrupted(): Promise<void>;
	/** For `chat`, which reads line by line. */
	input: NodeJS.ReadableStream & { isTTY?: boolean };
	output: NodeJS.WritableStream & { isTTY?: boolean; columns?: number; rows?: number };
	environment: NodeJS.ProcessEnv;
	/** A Parley that is open already, for commands that are entered in a chat. */
	opened?: Parley | undefined;
	colors: ReturnType<typeof pico.createColors>;
}

/**
 * Whether output has colours: where a terminal shows it, unless NO_COLOR says no (https://no-color.org) or FORCE_COLOR says
 * yes. That something runs in CI is no reason: what goes to a pipe is read by programs.
 */
export function showsColors(output: { isTTY?: boolean }, environment: NodeJS.ProcessEnv): boolean {
	const { NO_COLOR = "", FORCE_COLOR, TERM } = environment;
	if (NO_COLOR !== "") return false;
	if (FORCE_COLOR !== undefined) return FORCE_COLOR !== "0" && FORCE_COLOR !== "false";
	return output.isTTY === true && TERM !== "dumb";
}

/** The terminal of this process. */
export function processTerminal(): Terminal {
	// Who reads our output may stop before its end, as `head` does: that is no error.
	process.stdout.on("error", (error: NodeJS.ErrnoException) => {
		if (error.code === "EPIPE") process.exit(0);
		throw error;
	});
	let showing = false;
	const progress = (line: string | undefined): void => {
		if (line === undefined && !showing) return;
		showing = line !== undefined;
		process.stderr.write(showing ? `${CLEAR_LINE}${NO_WRAP}${line}${WRAP}` : CLEAR_LINE);
	};
	return {
		out: (line) => {
			progress(undefined);
			process.stdout.write(`${line}\n`);
		},
		note: (line) => {
			progress(undefined);
			process.stderr.write(`${line}\n`);
		},
		...(process.stderr.isTTY ? { progress } : {}),
		async readAll() {
			const chunks: Buffer[] = [];
			for await (const chunk of process.stdin) chunks.push(Buffer.from(chunk));
			return Buffer.concat(chunks).toString("utf8");
		},
		interrupted: () =>
			new Promise((resolve) => {
				for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.once(signal, () => resolve());
			}),
		input: process.stdin,
		output: process.stdout,
		environment: process.env,
		colors: pico.createColors(showsColors(process.stdout, process.env)),
	};
}

/** One line of JSON in which nothing steers a terminal either: what JSON itself leaves as it is becomes an escape. */
export function jsonLine(value: unknown): string {
	return JSON.stringify(value).replace(
		/[\u007f-\u009f\u2028-\u202e\u2066-\u2069]/g,
		(character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`,
	);
}

/** Removes what could steer a terminal: text of others must not move the cursor or forge lines. */
export function printable(text: string): string {
	return text.replace(/[\p{Cc}\u2028-\u202e\u2066-\u2069]/gu, (character) =>
		character === "\t" ? " " : /[\n\u2028\u2029]/u.test(character) ? "\n  " : "�",
	);
}

/** As `printable`, for what has a line to itself: what begins another one is a space. */
export function printableLine(text: string): string {
	return printable(text).replaceAll("\n  ", " ");
}
