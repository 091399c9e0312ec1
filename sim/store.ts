/** The object's disk in the simulation: rows are never changed in place, so that a crash can undo a turn. */
import { bytesBySender, isWithin, seniorsOf } from "../workers/conversation-do/memory-store.ts";
import type { LogEntry, LogRow, Own, Senior, Store } from "../workers/conversation-do/store.ts";

/** Everything on the disk at one moment. */
export interface DiskImage {
	rows: readonly LogRow[];
	/** The number before the log's newer part. */
	before: number;
	state: string | undefined;
	group: string | undefined;
}

/** A store that can be looked at and put back as a whole. */
export class SimulatedStore implements Store {
	/** Ascending by number. */
	#rows: readonly LogRow[] = [];
	#before = 0;
	#state: string | undefined;
	/** What came last under each number, also where it was wiped or undone: what an eavesdropper would have. */
	readonly payloads = new Map<number, Uint8Array>();
	/** Who sent them. */
	readonly senders = new Map<number, string>();
	/** Direct conversations have none. */
	#group: string | undefined;

	image(): DiskImage {
		return { rows: this.#rows, before: this.#before, state: this.#state, group: this.#group };
	}

	/** What was not committed is lost. */
	restore(image: DiskImage): void {
		this.#rows = image.rows;
		this.#before = image.before;
		this.#state = image.state;
		this.#group = image.group;
	}

	readGroup(): string | undefined {
		return this.#group;
	}

	writeGroup(group: string): void {
		this.#group = group;
	}

	together(step: () => void): void {
		const image = this.image();
		try {
			step();
		} catch (error) {
			this.restore(image);
			throw error;
		}
	}

	head(): { number: number; time_ms: number } | undefined {
		const last = this.#rows.at(-1);
		return last === undefined ? undefined : { number: last.number, time_ms: last.time_ms };
	}

	append(row: LogRow): void {
		if (this.#rows.some(({ number }) => number === row.number)) throw new Error("number taken");
		if (row.payload !== null) this.payloads.set(row.number, row.payload);
		this.senders.set(row.number, row.sender);
		this.#rows = [...this.#rows, { ...row }];
	}

	newer(): number | undefined {
		return this.#rows.find(({ number }) => number > this.#before)?.number;
	}

	seniors(): Senior[] {
		return seniorsOf(this.#rows.filter(({ number }) => number <= this.#before));
	}

	renew(): void {
		this.#rows = this.#rows.filter(({ number }) => number > this.#before);
		this.#before = this.#rows.at(-1)?.number ?? this.#before;
	}

	wipe(after: number, upTo: number, own?: Own): void {
		this.#wipe((row) => row.number > after && isWithin(row, upTo, own));
	}

	withdraw(number: number): void {
		this.#rows = this.#rows.map((row) =>
			row.number === number && row.payload !== null ? { ...row, payload: new Uint8Array() } : row,
		);
	}

	expire(before_ms: number): number {
		this.#wipe((row) => row.time_ms <= before_ms);
		return this.#rows.findLast((row) => row.time_ms <= before_ms)?.number ?? 0;
	}

	waiting(after: number): number {
		return this.#rows.reduce((sum, { number, payload }) => sum + (number > after ? (payload?.length ?? 0) : 0), 0);
	}

	waitingBySender(after: number, since_ms: number): [sender: string, bytes: number][] {
		return bytesBySender(this.#rows.filter((row) => row.number > after && row.time_ms > since_ms));
	}

	oldestCiphertext(): number | undefined {
		return this.#rows.find((row) => row.payload !== null)?.time_ms;
	}

	rows(after: number, limit: number): LogRow[] {
		return this.#rows
			.filter((row) => row.number > after)
			.slice(0, limit)
			.map((row) => ({ ...row }));
	}

	entries(after: number, limit: number): LogEntry[] {
		return this.rows(after, limit).map(({ payload, ...entry }) => ({ ...entry, wiped: payload === null }));
	}

	find(messageId: string): LogEntry | undefined {
		const row = this.#rows.find((row) => row.messageId === messageId);
		return row === undefined ? undefined : { ...row };
	}

	readState(): string | undefined {
		return this.#state;
	}

	writeState(state: string): void {
		this.#state = state;
	}

	#wipe(gone: (row: LogRow) => boolean): void {
		this.#rows = this.#rows.map((row) => (gone(row) ? { ...row, payload: null, wiped: true } : row));
	}
}
