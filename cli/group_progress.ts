/** How far a new group is: a bar for people who look, lines for programs. */
import type { GroupProgress } from "../client/groups/people.ts";
import type { Context } from "./context.ts";

const BAR_CHARACTERS = 24;
const WORDS: Record<GroupProgress["stage"], string> = {
	names: "names looked up:",
	members: "members added:",
	keys: "devices with keys:",
};
/** Smaller groups are ready before anybody can read it. */
const WORTH_A_BAR = 20;

export class GroupProgressLine {
	readonly #context: Context;

	constructor(context: Context) {
		this.#context = context;
	}

	show({ stage, done, total }: GroupProgress): void {
		if (total < WORTH_A_BAR) return;
		const { terminal, json } = this.#context;
		if (json) {
			this.#context.print({ type: "group-progress", stage, done, total }, "");
			return;
		}
		const full = Math.round((done / total) * BAR_CHARACTERS);
		const bar = `${"█".repeat(full)}${terminal.colors.dim("░".repeat(BAR_CHARACTERS - full))}`;
		terminal.progress?.(`${bar}  ${WORDS[stage]} ${done} of ${total}`);
	}

	end(): void {
		if (!this.#context.json) this.#context.terminal.progress?.(undefined);
	}
}
