/**
 * The network between a device and an object: connections, each in order both ways, as TCP is. Frames are lost only
 * with their connection; two connections overtake each other freely.
 */
import type { Random } from "./random.ts";
import type { Schedule } from "./schedule.ts";

/** One side of a connection. */
export interface LinkEnd {
	frame(bytes: Uint8Array): void | Promise<void>;
	/** Called once: the connection is gone. */
	closed(code: number): void | Promise<void>;
}

/** How the network behaves in a world. */
export interface Weather {
	delayMs: number;
	/** How long a side may take to notice that the connection broke. */
	noticeMs: number;
}

/** Code of a connection that ended without a word. */
export const ABNORMAL_CLOSURE = 1006;

type Direction = "up" | "down";

/** One connection. The device is at its upper end ("down" frames go to it), the object at the other. */
export class Link {
	readonly id: number;
	/** The object's life that has accepted it. */
	life = 0;
	#schedule: Schedule;
	#random: Random;
	#weather: Weather;
	#ends: { up: LinkEnd | undefined; down: LinkEnd | undefined } = { up: undefined, down: undefined };
	#arrival = { up: 0, down: 0 };
	#closed = { up: false, down: false };
	/** Frames that would arrive later than this are lost. */
	#cutMs = Number.POSITIVE_INFINITY;

	constructor(id: number, schedule: Schedule, random: Random, weather: Weather) {
		this.id = id;
		this.#schedule = schedule;
		this.#random = random;
		this.#weather = weather;
	}

	/** Who gets what arrives in a direction. */
	attach(direction: Direction, end: LinkEnd): void {
		this.#ends[direction] = end;
	}

	get broken(): boolean {
		return this.#cutMs !== Number.POSITIVE_INFINITY;
	}

	send(direction: Direction, bytes: Uint8Array): void {
		this.#deliver(direction, () => this.#ends[direction]?.frame(bytes));
	}

	/** One side closes: the other learns it after the frames that are under way, and then the first, too. */
	close(direction: Direction, code: number): void {
		const back = direction === "up" ? "down" : "up";
		this.#deliver(direction, () => {
			this.#deliver(back, () => this.#close(back, code));
			return this.#close(direction, code);
		});
	}

	/** The connection breaks now. What is under way is lost, or a part of it; both sides notice sooner or later. */
	cut(): void {
		if (this.broken) return;
		this.#cutMs = this.#schedule.nowMs + this.#random.between(0, this.#weather.delayMs);
		for (const direction of ["up", "down"] as const) {
			const notice = this.#cutMs + 1 + this.#random.between(0, this.#weather.noticeMs);
			this.#schedule.at(notice, () => this.#close(direction, ABNORMAL_CLOSURE));
		}
	}

	/** One side is gone (it crashed): it hears nothing more, not even the closing. */
	abandon(direction: Direction): void {
		this.#closed[direction] = true;
		this.cut();
	}

	#deliver(direction: Direction, action: () => void | Promise<void>): void {
		const delay = this.#random.between(1, this.#weather.delayMs);
		this.#arrival[direction] = Math.max(this.#arrival[direction], this.#schedule.nowMs + delay);
		const arrival = this.#arrival[direction];
		if (arrival > this.#cutMs) return;
		this.#schedule.at(arrival, () => {
			if (arrival > this.#cutMs || this.#closed[direction]) return;
			return action();
		});
	}

	#close(direction: Direction, code: number): void | Promise<void> {
		if (this.#closed[direction]) return;
		this.#closed[direction] = true;
		return this.#ends[direction]?.closed(code);
	}
}
