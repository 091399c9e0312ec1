/** The simulated clock: events in order of their time, and of their making where times are equal. */

/** What happens at a moment. A promise is awaited before the next event: nothing runs side by side. */
export type Action = () => void | Promise<void>;

interface Planned {
	at: number;
	order: number;
	action: Action;
}

/** An event queue (binary heap) with its clock. */
export class Schedule {
	nowMs: number;
	#heap: Planned[] = [];
	#order = 0;

	constructor(startMs: number) {
		this.nowMs = startMs;
	}

	/** Runs the action after a delay. */
	after(delayMs: number, action: Action): void {
		this.at(this.nowMs + delayMs, action);
	}

	/** Runs the action at a moment, or at once if that has passed. */
	at(timeMs: number, action: Action): void {
		const planned = { at: Math.max(timeMs, this.nowMs), order: this.#order++, action };
		const heap = this.#heap;
		let index = heap.length;
		heap.push(planned);
		while (index > 0) {
			const parent = (index - 1) >> 1;
			const above = heap[parent];
			if (above === undefined || before(above, planned)) break;
			heap[index] = above;
			index = parent;
		}
		heap[index] = planned;
	}

	/** Runs everything that is due up to a moment, and sets the clock to it. */
	async runUntil(timeMs: number): Promise<void> {
		for (let next = this.#heap[0]; next !== undefined && next.at <= timeMs; next = this.#heap[0]) {
			this.#removeFirst();
			this.nowMs = next.at;
			const done = next.action();
			// Thousands of worlds run without a single await.
			if (done instanceof Promise) await done;
		}
		this.nowMs = timeMs;
	}

	#removeFirst(): void {
		const heap = this.#heap;
		const last = heap.pop();
		if (last === undefined || heap.length === 0) return;
		let index = 0;
		for (;;) {
			let child = index * 2 + 1;
			let smaller = heap[child];
			const right = heap[child + 1];
			if (smaller === undefined) break;
			if (right !== undefined && before(right, smaller)) {
				child++;
				smaller = right;
			}
			if (before(last, smaller)) break;
			heap[index] = smaller;
			index = child;
		}
		heap[index] = last;
	}
}

function before(one: Planned, other: Planned): boolean {
	return one.at < other.at || (one.at === other.at && one.order < other.order);
}
