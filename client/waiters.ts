/** Promises that wait for something the client will learn, and fail when they can't learn it any more. */
import type { Clock } from "./transport/clock.ts";

/** What somebody waits for, and for how long. */
export interface Wish {
	/** Whether what is waited for is the case. */
	check(): boolean;
	patienceMs: number;
	/** Whether patience starts anew whenever there is news. */
	renewable: boolean;
	/** The accounts, messages or lines whose failure makes waiting vain. */
	concerns: readonly string[];
	/** What to throw when patience is over. */
	late(): Error;
}

interface Waiter extends Wish {
	resolve(): void;
	reject(error: Error): void;
	restart(): void;
}

export class Waiters {
	readonly #clock: Clock;
	readonly #waiting = new Set<Waiter>();

	constructor(clock: Clock) {
		this.#clock = clock;
	}

	/** Resolves when the wish has come true. */
	until(wish: Wish): Promise<void> {
		if (wish.check()) return Promise.resolve();
		return new Promise((resolve, reject) => {
			let cancel = (): void => {};
			const waiter: Waiter = {
				...wish,
				check: () => wish.check(),
				late: () => wish.late(),
				resolve: () => {
					cancel();
					this.#waiting.delete(waiter);
					resolve();
				},
				reject: (error) => {
					cancel();
					this.#waiting.delete(waiter);
					reject(error);
				},
				restart: () => {
					cancel();
					cancel = this.#clock.after(wish.patienceMs, () => waiter.reject(wish.late()));
				},
			};
			this.#waiting.add(waiter);
			waiter.restart();
		});
	}

	/** Something may have changed: looks whose wish has come true. */
	changed(): void {
		for (const waiter of [...this.#waiting]) if (waiter.check()) waiter.resolve();
	}

	/** News came in: whoever waits for more of it goes on waiting. */
	renew(): void {
		for (const waiter of this.#waiting) if (waiter.renewable) waiter.restart();
	}

	/** Something failed: whoever it concerns stops waiting. Everybody, where no concern is named. */
	fail(concern: string | undefined, error: Error): void {
		for (const waiter of [...this.#waiting]) {
			if (concern === undefined || waiter.concerns.includes(concern)) waiter.reject(error);
		}
	}
}
