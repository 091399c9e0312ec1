/** For tests of this directory: time that only they move, and lines that only they speak on. */
import { EventEmitter } from "node:events";
import type { Clock } from "./clock.ts";

/** A clock that stands until a test moves it. */
export class FakeClock implements Clock {
	#now = 0;
	#timers: { at: number; run: () => void }[] = [];
	nowMs(): number {
		return this.#now;
	}
	random(): number {
		return 0.5;
	}
	after(delayMs: number, run: () => void): () => void {
		const timer = { at: this.#now + delayMs, run };
		this.#timers.push(timer);
		return () => {
			this.#timers = this.#timers.filter((other) => other !== timer);
		};
	}
	get waits(): number[] {
		return this.#timers.map((timer) => timer.at - this.#now);
	}
	async advance(ms: number): Promise<void> {
		this.#now += ms;
		const due = this.#timers.filter((timer) => timer.at <= this.#now);
		this.#timers = this.#timers.filter((timer) => timer.at > this.#now);
		for (const timer of due) timer.run();
		await settle();
	}
}

/** Lets everything run that waits for nothing but promises. */
export async function settle(): Promise<void> {
	for (let turn = 0; turn < 10; turn++) await Promise.resolve();
}

/** In the place of a `ws` socket. */
export class FakeLine extends EventEmitter {
	readonly sent: unknown[] = [];
	readonly readyState = 1;
	closedWith: number | undefined;
	terminated = false;
	send(data: unknown): void {
		this.sent.push(data);
	}
	close(code?: number): void {
		this.closedWith = code;
	}
	terminate(): void {
		this.terminated = true;
		queueMicrotask(() => this.emit("close", 1006));
	}
}
