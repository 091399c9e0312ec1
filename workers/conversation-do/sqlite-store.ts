/** The store in the object's SQLite. Rows written are nearly the whole cost of a message: no second index. */
import type { LogEntry, LogRow, Own, Senior, Store } from "./store.ts";

const COLUMNS = `(
	number INTEGER PRIMARY KEY, time_ms INTEGER NOT NULL, message_id TEXT NOT NULL,
	sender TEXT NOT NULL, checksum INTEGER NOT NULL, payload BLOB
)`;

/** Each runs once, in order. `PRAGMA user_version` is refused in objects, so a table counts them. */
export const MIGRATIONS: readonly string[] = [
	`CREATE TABLE log ${COLUMNS}; CREATE TABLE state (id INTEGER PRIMARY KEY, json TEXT NOT NULL);`,
	`CREATE TABLE older ${COLUMNS};`,
];

/** A table that goes as a whole is no row written; deleting its rows would be one for each. */
const RENEW = `DROP TABLE older; ALTER TABLE log RENAME TO older; CREATE TABLE log ${COLUMNS};`;

/** Both parts of the log: all of `older` is before all of `log`. */
const PARTS = ["older", "log"] as const;
const BOTH = "(SELECT * FROM older UNION ALL SELECT * FROM log)";
/** Without the ciphertexts, which SQLite would read to add up their lengths. */
const SIZED = "number, time_ms, sender, LENGTH(payload) AS bytes";
const SIZES = `(SELECT ${SIZED} FROM older UNION ALL SELECT ${SIZED} FROM log)`;

/**
 * Characters of one row of the state, ASCII all of them: a row has at most 2 MB, and the state of 1,024 members with 8
 * devices each more than that. Up to 4,000 devices, about, it is one row.
 */
const PIECE_CHARACTERS = 1_000_000;

const ENTRY = "number, time_ms, message_id, sender, checksum, payload IS NULL AS wiped";

const INSERT = "INSERT INTO log VALUES (?, ?, ?, ?, ?, ?)";

type EntryRow = {
	number: number;
	time_ms: number;
	message_id: string;
	sender: string;
	checksum: number;
	wiped: number;
};

/** Statements are cached by the runtime by their text. */
export class SqliteStore implements Store {
	readonly #storage: DurableObjectStorage;
	readonly #sql: SqlStorage;
	/** Rows written since it was set to 0, for tests of costs: to ask for them costs a sixth of an insert. */
	rowsWritten: number | undefined;
	/** The state as it is on disk, in rows: those that have not changed are not written again. */
	#pieces: string[] | undefined;
	/** The first number of `log`; undefined while it has none. */
	#newer: number | undefined;
	/** Tables are there. Before the founding there is nothing: a made-up id must not leave an object behind. */
	#founded: boolean;

	constructor(storage: DurableObjectStorage) {
		this.#storage = storage;
		this.#sql = storage.sql;
		this.#founded = this.#begin();
	}

	/** Reads what is known of the disk; says whether there are tables. */
	#begin(): boolean {
		this.#pieces = undefined;
		const tables = this.#sql.exec("SELECT name FROM sqlite_master WHERE name = 'migrations'").toArray();
		this.#founded = tables.length > 0;
		if (this.#founded) this.#migrate();
		this.#newer =
			this.#read<{ number: number | null }>("SELECT MIN(number) AS number FROM log")[0]?.number ?? undefined;
		return this.#founded;
	}

	#migrate(): void {
		const sql = this.#sql;
		sql.exec("CREATE TABLE IF NOT EXISTS migrations (number INTEGER PRIMARY KEY)");
		const done = sql.exec<{ count: number }>("SELECT COUNT(*) AS count FROM migrations").one().count;
		for (const [number, text] of MIGRATIONS.entries()) {
			if (number < done) continue;
			sql.exec(text);
			sql.exec("INSERT INTO migrations VALUES (?)", number);
		}
		this.#founded = true;
	}

	together(step: () => void): void {
		try {
			this.#storage.transactionSync(step);
		} catch (error) {
			this.#begin();
			throw error;
		}
	}

	head(): { number: number; time_ms: number } | undefined {
		return this.#read<{ number: number; time_ms: number }>(
			`SELECT number, time_ms FROM ${this.#newer === undefined ? "older" : "log"} ORDER BY number DESC LIMIT 1`,
		)[0];
	}

	append(row: LogRow): void {
		const { number, time_ms, messageId, sender, checksum, payload } = row;
		// Not by `#write`: each message comes here, and a list of values costs as much as the values.
		if (!this.#founded) this.#migrate();
		this.#count(this.#sql.exec(INSERT, number, time_ms, messageId, sender, checksum, payload));
		this.#newer ??= number;
	}

	newer(): number | undefined {
		return this.#newer;
	}

	seniors(): Senior[] {
		return this.#read<{ sender: string; message_id: string; number: number }>(
			"SELECT sender, MAX(message_id) AS message_id, MAX(number) AS number FROM older GROUP BY sender",
		).map(({ sender, message_id, number }) => ({ sender, messageId: message_id, number }));
	}

	renew(): void {
		this.#write(RENEW);
		this.#newer = undefined;
	}

	wipe(after: number, upTo: number, own?: Own): void {
		for (const part of this.#partsOf(after, own?.upTo ?? upTo)) {
			const range = `UPDATE ${part} SET payload = NULL WHERE number > ? AND number <= ? AND payload IS NOT NULL`;
			if (own === undefined) this.#write(range, after, upTo);
			else this.#write(`${range} AND (number <= ? OR sender = ?)`, after, own.upTo, upTo, own.sender);
		}
	}

	withdraw(number: number): void {
		for (const part of this.#partsOf(number - 1, number)) {
			this.#write(`UPDATE ${part} SET payload = x'' WHERE number = ? AND length(payload) > 0`, number);
		}
	}

	expire(before_ms: number): number {
		for (const part of PARTS) {
			this.#write(`UPDATE ${part} SET payload = NULL WHERE time_ms <= ? AND payload IS NOT NULL`, before_ms);
		}
		const query = `SELECT MAX(number) AS number FROM ${SIZES} WHERE time_ms <= ?`;
		return this.#read<{ number: number | null }>(query, before_ms)[0]?.number ?? 0;
	}

	waiting(after: number): number {
		const query = `SELECT SUM(bytes) AS bytes FROM ${SIZES} WHERE number > ?`;
		return this.#read<{ bytes: number | null }>(query, after)[0]?.bytes ?? 0;
	}

	waitingBySender(after: number, since_ms: number): [sender: string, bytes: number][] {
		return this.#read<{ sender: string; bytes: number }>(
			`SELECT sender, SUM(bytes) AS bytes FROM ${SIZES}
			WHERE number > ? AND time_ms > ? AND bytes IS NOT NULL GROUP BY sender`,
			after,
			since_ms,
		).map(({ sender, bytes }) => [sender, bytes]);
	}

	oldestCiphertext(): number | undefined {
		return this.#read<{ time_ms: number }>(
			// With the number in the result the order is that of the parts, and the first one ends the search.
			`SELECT number, time_ms FROM ${SIZES} WHERE bytes IS NOT NULL ORDER BY number LIMIT 1`,
		)[0]?.time_ms;
	}

	rows(after: number, limit: number): LogRow[] {
		return this.#read<EntryRow & { payload: ArrayBuffer | null }>(
			`SELECT ${ENTRY}, payload FROM ${this.#from(after)} WHERE number > ? ORDER BY number LIMIT ?`,
			after,
			limit,
		).map((row) => ({ ...toEntry(row), payload: row.payload === null ? null : new Uint8Array(row.payload) }));
	}

	entries(after: number, limit: number): LogEntry[] {
		const query = `SELECT ${ENTRY} FROM ${this.#from(after)} WHERE number > ? ORDER BY number LIMIT ?`;
		return this.#read<EntryRow>(query, after, limit).map(toEntry);
	}

	find(messageId: string): LogEntry | undefined {
		const row = this.#read<EntryRow>(`SELECT ${ENTRY} FROM ${BOTH} WHERE message_id = ?`, messageId)[0];
		return row === undefined ? undefined : toEntry(row);
	}

	readState(): string | undefined {
		const rows = this.#read<{ json: string }>("SELECT json FROM state WHERE id <> 2 ORDER BY id");
		this.#pieces = rows.map(({ json }) => json);
		return rows.length === 0 ? undefined : this.#pieces.join("");
	}

	writeState(state: string): void {
		const before = this.#pieces ?? [];
		const pieces = piecesOf(state);
		for (const [index, piece] of pieces.entries()) {
			if (piece !== before[index]) this.#writeRow(idOfPiece(index), piece);
		}
		if (pieces.length < before.length) this.#write("DELETE FROM state WHERE id >= ?", idOfPiece(pieces.length));
		this.#pieces = pieces;
	}

	readGroup(): string | undefined {
		return this.#read<{ json: string }>("SELECT json FROM state WHERE id = 2")[0]?.json;
	}

	writeGroup(group: string): void {
		this.#writeRow(2, group);
	}

	/** The parts in which entries `after` < number <= `upTo` can be. */
	#partsOf(after: number, upTo: number): (typeof PARTS)[number][] {
		return PARTS.filter((part) => (part === "log" ? !this.#isOlder(upTo) : this.#isOlder(after + 1)));
	}

	/** What to read the entries after a number from. */
	#from(after: number): string {
		return this.#isOlder(after + 1) ? BOTH : "log";
	}

	#isOlder(number: number): boolean {
		return this.#newer === undefined || number < this.#newer;
	}

	#writeRow(id: number, json: string): void {
		this.#write("INSERT INTO state VALUES (?, ?) ON CONFLICT DO UPDATE SET json = excluded.json", id, json);
	}

	#read<Row extends Record<string, SqlStorageValue>>(query: string, ...bindings: (string | number)[]): Row[] {
		return this.#founded ? this.#sql.exec<Row>(query, ...bindings).toArray() : [];
	}

	#write(query: string, ...bindings: SqlStorageValue[] | (Uint8Array | string | number | null)[]): void {
		if (!this.#founded) this.#migrate();
		this.#count(this.#sql.exec(query, ...bindings));
	}

	#count(cursor: { rowsWritten: number }): void {
		if (this.rowsWritten !== undefined) this.rowsWritten += cursor.rowsWritten;
	}
}

function piecesOf(state: string): string[] {
	const pieces: string[] = [];
	for (let from = 0; from < state.length; from += PIECE_CHARACTERS) {
		pieces.push(state.slice(from, from + PIECE_CHARACTERS));
	}
	return pieces;
}

/** The row of the group is the second. */
function idOfPiece(index: number): number {
	return index === 0 ? 1 : index + 2;
}

function toEntry(row: EntryRow): LogEntry {
	return {
		number: row.number,
		time_ms: row.time_ms,
		messageId: row.message_id,
		sender: row.sender,
		checksum: row.checksum,
		wiped: row.wiped === 1,
	};
}
