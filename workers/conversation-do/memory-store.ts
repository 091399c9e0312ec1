/** The store in memory: for the simulation and for tests of the core. */
import type { LogEntry, LogRow, Own, Senior, Store } from "./store.ts";

/** Behaves as `SqliteStore`; one contract suite runs over both. */
export class MemoryStore implements Store {
	readonly #rows: Map<number, LogRow> = new Map();
	/** The number before the newer part. */
	#before = 0;
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

	append(row: LogRow): void {
		if (this.#rows.has(row.number)) throw new Error("number taken");
		this.#rows.set(row.number, { ...row });
	}

	newer(): number | undefined {
		return this.#after(this.#before)[0]?.number;
	}

	seniors(): Senior[] {
		return seniorsOf(this.#after(0).filter(({ number }) => number <= this.#before));
	}

	renew(): void {
		for (const number of this.#rows.keys()) if (number <= this.#before) this.#rows.delete(number);
		this.#before = this.head()?.number ?? 0;
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

	expire(before_ms: number): number {
		const old = this.#after(0).filter(({ time_ms }) => time_ms <= before_ms);
		for (const row of old) remove(row);
		return old.at(-1)?.number ?? 0;
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

/** `Store.seniors` of these rows, which are ascending. */
export function seniorsOf(rows: readonly LogRow[]): Senior[] {
	const seniors = new Map<string, Senior>();
	for (const { sender, messageId, number } of rows) {
		const known = seniors.get(sender);
		const older = known === undefined || known.messageId < messageId;
		seniors.set(sender, { sender, messageId: older ? messageId : known.messageId, number });
	}
	return [...seniors.values()];
}
