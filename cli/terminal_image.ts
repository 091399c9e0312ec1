/** Images on terminals that can show them: Kitty's graphics protocol, or iTerm2's. */
import type { Preview } from "../client/media/preview.ts";

/** Characters that a terminal takes in one escape sequence of Kitty's protocol. */
const KITTY_CHUNK = 4096;
const COLUMNS_MAX = 40;
const ROWS_MAX = 12;
/** Pixels of the longest side that are worth sending for so few characters. */
export const PREVIEW_SIDE = 480;

type Protocol = "kitty" | "iterm";

/** How images are shown on the terminal of this environment; undefined where they can't be. */
export function imageProtocol(environment: NodeJS.ProcessEnv): Protocol | undefined {
	const { TERM = "", TERM_PROGRAM = "", KITTY_WINDOW_ID, TMUX } = environment;
	// A multiplexer passes neither through as it is.
	if (TMUX !== undefined || TERM.startsWith("screen")) return undefined;
	if (TERM === "xterm-kitty" || TERM === "xterm-ghostty" || KITTY_WINDOW_ID !== undefined) return "kitty";
	return TERM_PROGRAM === "iTerm.app" || TERM_PROGRAM === "WezTerm" ? "iterm" : undefined;
}

/** The escape sequences that show an image, with the lines that it takes. */
export function imageText(preview: Preview, protocol: Protocol): { text: string; rows: number } {
	const { columns, rows } = cells(preview);
	const data = Buffer.from(preview.png).toString("base64");
	const space = "\n".repeat(rows - 1);
	if (protocol === "iterm") {
		const head = `inline=1;width=${columns};height=${rows};preserveAspectRatio=1`;
		// The cursor ends in the image's last row.
		return { text: `\x1b]1337;File=${head}:${data}\x07`, rows };
	}
	let text = "";
	for (let at = 0; at < data.length; at += KITTY_CHUNK) {
		const more = at + KITTY_CHUNK < data.length ? 1 : 0;
		const control = at === 0 ? `a=T,f=100,C=1,q=2,c=${columns},r=${rows},m=${more}` : `m=${more}`;
		text += `\x1b_G${control};${data.slice(at, at + KITTY_CHUNK)}\x1b\\`;
	}
	return { text: text + space, rows };
}

/** A character is about twice as high as it is wide. */
function cells({ width, height }: Preview): { columns: number; rows: number } {
	const scale = Math.min(COLUMNS_MAX / width, (ROWS_MAX * 2) / height);
	return {
		columns: Math.max(1, Math.round(width * scale)),
		rows: Math.max(1, Math.round((height * scale) / 2)),
	};
}
