/** The store in memory: for the simulation and for tests of the core. */
import type { LogEntry, LogRow, Oldest, Own, Store } from "./store.ts";

/** Behaves as `SqliteStore`; one contract suite runs over both. */
export class MemoryStore implements Store {
	readonly #rows: Map<number, LogRow> = new Map();
	#state: string | undefined;
	#group: string | undefined;

	together(step: () => void): void {
		// Nothing here can fail half-way.
		step();
	}

	head(): { number: number; time_ms: number } | undefined {
		let head: LogRow | undefined;
		for (const row of this.#rows.values()) if (head === undefined || row.number > head.number) head = row;
		return head === undefined ? undefined : { number: head.number, time_ms: head.time_ms };
	}

	append(row: LogRow, recycled: number | undefined): void {
		if (this.#rows.has(row.number)) throw new Error("number taken");
		// In SQLite the entry would be lost without a word.
		if (recycled !== undefined && !this.#rows.delete(recycled)) throw new Error("no row to recycle");
		this.#rows.set(row.number, { ...row });
	}

	wipe(after: number, upTo: number, own?: Own): void {
		for (const row of this.#rows.values()) {
			if (row.number > after && isWithin(row, upTo, own)) remove(row);
		}
	}

	withdraw(number: number): void {
		const row = this.#rows.get(number);
		if (row !== undefined && row.payload !== null) row.payload = new Uint8Array();
	}

	expire(before_ms: number): void {
		for (const row of this.#rows.values()) if (row.time_ms <= before_ms) remove(row);
	}

	waiting(after: number): number {
		return this.#after(after).reduce((sum, { payload }) => sum + (payload?.length ?? 0), 0);
	}

	waitingBySender(after: number, since_ms: number): [sender: string, bytes: number][] {
		return bytesBySender(this.#after(after).filter(({ time_ms }) => time_ms > since_ms));
	}

	oldestCiphertext(): number | undefined {
		return this.#after(0).find((row) => row.payload !== null)?.time_ms;
	}

	rows(after: number, limit: number): LogRow[] {
		return this.#after(after)
			.slice(0, limit)
			.map((row) => ({ ...row }));
	}

	entries(after: number, limit: number): LogEntry[] {
		return this.rows(after, limit).map(({ payload, ...entry }) => ({ ...entry, wiped: payload === null }));
	}

	oldest(upTo: number, limit: number): Oldest {
		return oldestOf(this.rows(0, limit).filter(({ number }) => number <= upTo));
	}

	find(messageId: string): LogEntry | undefined {
		for (const row of this.#rows.values()) {
			if (row.messageId === messageId) return { ...row };
		}
		return undefined;
	}

	readState(): string | undefined {
		return this.#state;
	}

	writeState(state: string): void {
		this.#state = state;
	}

	readGroup(): string | undefined {
		return this.#group;
	}

	writeGroup(group: string): void {
		this.#group = group;
	}

	#after(after: number): LogRow[] {
		return [...this.#rows.values()].filter((row) => row.number > after).sort((one, other) => one.number - other.number);
	}
}

function remove(row: LogRow): void {
	row.payload = null;
	row.wiped = true;
}

/** Whether a row that follows `after` is one that `Store.wipe` is about. */
export function isWithin({ number, sender }: LogRow, upTo: number, own?: Own): boolean {
	return number <= upTo || (own !== undefined && number <= own.upTo && sender === own.sender);
}

/** `Store.waitingBySender` of these rows. */
export function bytesBySender(rows: readonly LogRow[]): [sender: string, bytes: number][] {
	const bytes = new Map<string, number>();
	for (const { sender, payload } of rows) {
		if (payload !== null) bytes.set(sender, (bytes.get(sender) ?? 0) + payload.length);
	}
	return [...bytes];
}

/** `Store.oldest` of these rows. */
export function oldestOf(rows: readonly LogRow[]): Oldest {
	const ids = new Map<string, string>();
	for (const { sender, messageId } of rows) {
		const known = ids.get(sender);
		if (known === undefined || known < messageId) ids.set(sender, messageId);
	}
	return {
		numbers: rows.map(({ number }) => number),
		ids: [...ids].map(([sender, messageId]) => ({ sender, messageId })),
	};
}
