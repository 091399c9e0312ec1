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
	/** By file and direction: several may be on their way. */
	readonly #files = new Map<string, { startedMs: number; startedAt: number; percent: number }>();
	#toldMs = 0;

	constructor(context: Context) {
		this.#context = context;
	}

	show(notice: ParleyNotice): void {
		if (notice.type !== "file-progress") return;
		const { terminal, json } = this.#context;
		const { id, direction, done, total } = notice;
		const now = performance.now();
		const percent = Math.floor((done / total) * 100);
		const key = `${direction} ${id}`;
		const file = this.#files.get(key) ?? { startedMs: now, startedAt: done, percent: -1 };
		this.#files.set(key, file);
		if (json) {
			if (percent !== file.percent) this.#context.print({ type: "progress", id, direction, done, total }, "");
		} else if (terminal.progress !== undefined && (now - this.#toldMs >= PAUSE_MS || done === total)) {
			this.#toldMs = now;
			const full = Math.round((done / total) * BAR_CHARACTERS);
			const bar = `${"█".repeat(full)}${terminal.colors.dim("░".repeat(BAR_CHARACTERS - full))}`;
			const seconds = (now - file.startedMs) / 1000;
			const rate = seconds < 0.5 ? "" : `  ${sizeText(Math.round((done - file.startedAt) / seconds))}/s`;
			const arrow = direction === "up" ? "↑" : "↓";
			terminal.progress(
				`${arrow} ${bar} ${String(percent).padStart(3)} %  ${sizeText(done)} of ${sizeText(total)}${rate}`,
			);
		}
		file.percent = percent;
	}

	end(): void {
		if (!this.#context.json) this.#context.terminal.progress?.(undefined);
	}
}
