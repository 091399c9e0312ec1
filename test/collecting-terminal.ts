/** The terminal of a test: it keeps what a command prints, says nothing, and has no colours whatever the environment asks for. */
import pico from "picocolors";
import { processTerminal, type Terminal } from "../cli/terminal.ts";

/** A terminal whose lines for programs and people go to `lines`; what `others` gives takes the place of the process's. */
export function collectingTerminal(lines: string[], others: Partial<Terminal> = {}): Terminal {
	const out = (line: string) => void lines.push(line);
	return { ...processTerminal(), colors: pico.createColors(false), out, note: () => {}, ...others };
}
