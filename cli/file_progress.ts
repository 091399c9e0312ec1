/** How far files are: a bar for people who look, lines for programs. */
import type { ParleyNotice } from "../client/parley.ts";
import type { Context } from "./context.ts";
import { sizeText } from "./message_text.ts";

const BAR_CHARACTERS = 24;
/** A bar that changes more often is no easier to read. */
const PAUSE_MS = 100;

/** Tells of the progress of one command's files; `end` takes the bar away. */
export class ProgressLine {
	readonly #context: Context;
	#startedMs = 0;
	#startedAt = 0;
	#toldMs = 0;
	#toldPercent = -1;

	constructor(context: Context) {
		this.#context = context;
	}

	show(notice: ParleyNotice): void {
		if (notice.type !== "file-progress") return;
		const { terminal, json } = this.#context;
		const { id, direction, done, total } = notice;
		const now = performance.now();
		const percent = Math.floor((done / total) * 100);
		if (this.#toldPercent === -1) [this.#startedMs, this.#startedAt] = [now, done];
		if (json) {
			if (percent !== this.#toldPercent) this.#context.print({ type: "progress", id, direction, done, total }, "");
		} else if (terminal.progress !== undefined && (now - this.#toldMs >= PAUSE_MS || done === total)) {
			this.#toldMs = now;
			const full = Math.round((done / total) * BAR_CHARACTERS);
			const bar = `${"█".repeat(full)}${terminal.colors.dim("░".repeat(BAR_CHARACTERS - full))}`;
			const seconds = (now - this.#startedMs) / 1000;
			const rate = seconds < 0.5 ? "" : `  ${sizeText(Math.round((done - this.#startedAt) / seconds))}/s`;
			const arrow = direction === "up" ? "↑" : "↓";
			terminal.progress(
				`${arrow} ${bar} ${String(percent).padStart(3)} %  ${sizeText(done)} of ${sizeText(total)}${rate}`,
			);
		}
		this.#toldPercent = percent;
	}

	end(): void {
		if (!this.#context.json) this.#context.terminal.progress?.(undefined);
	}
}
