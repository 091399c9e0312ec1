/** Time and chance, handed in so that tests decide them. */

export interface Clock {
	nowMs(): number;
	/** Runs something later; what it returns cancels that. */
	after(delayMs: number, run: () => void): () => void;
	/** From 0 up to, but not including, 1. */
	random(): number;
}

/** The clock of a running program. Its chance only spreads load; nothing secret depends on it. */
export const systemClock: Clock = {
	nowMs: () => Date.now(),
	after(delayMs, run) {
		const timer = setTimeout(run, delayMs);
		return () => clearTimeout(timer);
	},
	random: () => Math.random(),
};

/** Resolves after a while. */
export function pause(clock: Clock, delayMs: number): Promise<void> {
	return new Promise((resolve) => {
		clock.after(delayMs, resolve);
	});
}
