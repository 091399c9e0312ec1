/** A chat on a terminal: lines above, the line being typed below, and ticks that change in place. */
import type { Interface } from "node:readline";
import { stripVTControlCharacters } from "node:util";
import stringWidth from "string-width";

interface Output {
	write(text: string): unknown;
	columns?: number;
	rows?: number;
}

interface Shown {
	key: string;
	text: string;
	/** How many rows it takes, where that is not to be seen from the text. */
	rows?: number;
}

export class Screen {
	readonly #output: Output;
	readonly #readline: Interface;
	readonly #lines: Shown[] = [];

	constructor(output: Output, readline: Interface) {
		this.#output = output;
		this.#readline = readline;
	}

	/** Adds a line above the one being typed; `rows` for what is no text, such as an image. */
	add(key: string, text: string, rows?: number): void {
		this.#clearInput();
		this.#output.write(`${text}\n`);
		this.#lines.push({ key, text, ...(rows === undefined ? {} : { rows }) });
		this.#readline.prompt(true);
	}

	/** Replaces a line, if it is still in sight and takes as many rows as before. */
	replace(key: string, text: string): void {
		const index = this.#lines.findIndex((line) => line.key === key);
		const line = this.#lines[index];
		if (line === undefined || line.text === text) return;
		const sameHeight = this.#rowsOf(line.text) === this.#rowsOf(text);
		line.text = text;
		let up = 0;
		for (const below of this.#lines.slice(index)) up += below.rows ?? this.#rowsOf(below.text);
		if (!sameHeight || up >= (this.#output.rows || 24) - 1) return;
		this.#clearInput();
		this.#output.write(`\x1b[${up}A`);
		for (const below of this.#lines.slice(index)) this.#output.write(`\x1b[2K${below.text}\n`);
		this.#readline.prompt(true);
	}

	/** Takes away the line that was just entered: it is shown again as a message. */
	takeEntered(text: string): void {
		const rows = this.#rowsOf(this.#readline.getPrompt() + text);
		this.#output.write(`\x1b[${rows}A\x1b[J`);
	}

	/** The words before the cursor, such as that somebody is typing. */
	prompt(text: string): void {
		this.#readline.setPrompt(text);
		this.#clearInput();
		this.#readline.prompt(true);
	}

	#clearInput(): void {
		const { rows } = this.#readline.getCursorPos();
		this.#output.write(rows > 0 ? `\x1b[${rows}A\r\x1b[J` : "\r\x1b[J");
	}

	#rowsOf(text: string): number {
		return rowsOf(text, this.#output.columns || 80);
	}
}

const LETTERS = new Intl.Segmenter();

/** How many rows a text takes on a terminal of so many columns. A wide letter that no longer fits begins a row. */
export function rowsOf(text: string, columns: number): number {
	let rows = 0;
	for (const line of stripVTControlCharacters(text).split("\n")) {
		rows++;
		let column = 0;
		for (const { segment } of LETTERS.segment(line)) {
			const width = stringWidth(segment);
			if (column + width > columns) {
				rows++;
				column = 0;
			}
			column += width;
		}
	}
	return rows;
}
