/** A load generator's side of `slices.ts`: it sends and rests as its parent says. */
import { on } from "node:events";
import { type SliceAnswer, type SliceOrder, SliceOrderSchema } from "./orders.ts";

/** From the beginning of a slice until as much is on the way as may be. */
const RAMP_MS = 100;
/** From the end of a slice until what is acknowledged late has been acknowledged. */
const REST_MS = 200;
const DRAINED_LOOK_MS = 5;

/** A load that can be stopped and goes on where it was. */
export interface SlicedLoad {
	resume(): void;
	/** Nothing new is sent. */
	pause(): void;
	/** Nothing is on the way any more. */
	drained(): boolean;
	/** Begins to measure; the returned function ends that. */
	begin(): () => void;
}

/** Until the parent wants the report. */
export async function obey(load: SlicedLoad): Promise<void> {
	const say = (answer: SliceAnswer) => process.send?.(answer);
	let end = () => {};
	for await (const told of orders(() => say("ready"))) {
		switch (told) {
			case "warm":
			case "measure":
				load.resume();
				await wait(RAMP_MS);
				if (told === "measure") end = load.begin();
				break;
			case "rest":
				end();
				end = () => {};
				load.pause();
				while (!load.drained()) await wait(DRAINED_LOOK_MS);
				await wait(REST_MS);
				say("rested");
				break;
			case "report":
				return;
			default:
				told satisfies never;
		}
	}
}

/** What the parent says. */
async function* orders(listening: () => void): AsyncGenerator<SliceOrder> {
	const messages = on(process, "message");
	listening();
	for await (const [message] of messages) yield SliceOrderSchema.parse(message);
}

/** So many milliseconds later. */
export const wait = (ms: number): Promise<void> => new Promise((over) => setTimeout(over, ms));

/** The report is out: the parent's line is closed, so that the process can end. */
export function leave(): void {
	if (process.connected) process.disconnect();
}
