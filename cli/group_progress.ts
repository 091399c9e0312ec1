/** How many devices of a new group have its keys: a bar for people who look, lines for programs. */
import type { GroupProgress } from "../client/groups/people.ts";
import type { Context } from "./context.ts";

const BAR_CHARACTERS = 24;
/** Smaller groups are ready before anybody can read it. */
const WORTH_A_BAR = 20;

export class GroupProgressLine {
	readonly #context: Context;

	constructor(context: Context) {
		this.#context = context;
	}

	show({ done, total }: GroupProgress): void {
		if (total < WORTH_A_BAR) return;
		const { terminal, json } = this.#context;
		if (json) {
			this.#context.print({ type: "group-progress", done, total }, "");
			return;
		}
		const full = Math.round((done / total) * BAR_CHARACTERS);
		const bar = `${"█".repeat(full)}${terminal.colors.dim("░".repeat(BAR_CHARACTERS - full))}`;
		terminal.progress?.(`${bar}  keys for ${done} of ${total} devices`);
	}

	end(): void {
		if (!this.#context.json) this.#context.terminal.progress?.(undefined);
	}
}
