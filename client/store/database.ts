/** The device's file, and transactions in it. What stands in it is the other files' of this folder. */
import { Database } from "@signalapp/sqlcipher";
import { toHex } from "../../protocol/ids.ts";
import { DeviceInUseError, NewerStoreError, WrongKeyError } from "./errors.ts";
import { MIGRATIONS } from "./schema.ts";

export type SqlValue = string | number | null | Uint8Array<ArrayBuffer>;
export type SqlRow = Record<string, SqlValue>;
type Prepared = ReturnType<Database["prepare"]>;

/** 16 MiB: about 300 ms. */
const REWRITTEN_PAGES = 4_096;

/**
 * One device's file: SQLCipher, written with full synchronisation unless asked otherwise, open in one process at a
 * time.
 */
export class Store {
	readonly #database: Database;
	readonly #prepared = new Map<string, Prepared>();
	#synchronous: "full" | "later" = "full";
	#open = true;
	#rollbacks = 0;
	/** What was removed may still be read in the log, until that is emptied. */
	#wiping = false;
	/** Something was removed that nobody is to read any more, since the file was opened. */
	#wiped = false;

	private constructor(database: Database) {
		this.#database = database;
	}

	/**
	 * Opens the file, or creates it. `key` is 32 random bytes, not a password: no key derivation takes place.
	 * Throws `DeviceInUseError`, `WrongKeyError`, `NewerStoreError`.
	 */
	static open(path: string, key: Uint8Array): Store {
		if (key.length !== 32) throw new RangeError("the key of a device's file has 32 bytes");
		const database = new Database(path);
		const store = new Store(database);
		try {
			// A wrong key is an exception; SQLCipher would tell of it on standard error too.
			database.pragma("cipher_log_level = NONE");
			database.pragma(`key = "x'${toHex(key)}'"`);
			// Before the first read: with it the lock is taken for as long as the file is open.
			database.pragma("locking_mode = EXCLUSIVE");
			database.pragma("journal_mode = WAL");
			database.pragma("synchronous = FULL");
			database.pragma("foreign_keys = OFF");
			// 4 MiB of pages: SQLCipher's default of 16 grows a process with each message until it is full.
			database.pragma("cache_size = -4096");
			// 16 MiB of log before its pages go into the file, which waits for the disk twice: a page that many steps have
			// changed goes once.
			database.pragma("wal_autocheckpoint = 4096");
			store.#migrate();
			// A process that was killed can have left removed messages in the log.
			store.#wipe();
			return store;
		} catch (error) {
			store.close();
			throw typedError(error);
		}
	}

	#migrate(): void {
		this.#database.exec("BEGIN EXCLUSIVE");
		this.#database.exec("CREATE TABLE IF NOT EXISTS migrations (version INTEGER PRIMARY KEY)");
		const version = this.value<number>("SELECT COALESCE(MAX(version), 0) AS value FROM migrations") ?? 0;
		if (version > MIGRATIONS.length) throw new NewerStoreError();
		MIGRATIONS.slice(version).forEach((sql, index) => {
			this.#database.exec(sql);
			this.run("INSERT INTO migrations (version) VALUES (?)", [version + index + 1]);
		});
		this.#database.exec("COMMIT");
	}

	/** The first row, or undefined. */
	get<Row extends SqlRow>(sql: string, parameters: readonly SqlValue[] = []): Row | undefined {
		return this.#prepare(sql).get<Row>(parameters);
	}

	all<Row extends SqlRow>(sql: string, parameters: readonly SqlValue[] = []): Row[] {
		return this.#prepare(sql).all<Row>(parameters);
	}

	/** The column `value` of the first row, or undefined. */
	value<Value extends SqlValue>(sql: string, parameters: readonly SqlValue[] = []): Value | undefined {
		return this.get<{ value: Value }>(sql, parameters)?.value;
	}

	/** Returns the number of changed rows. */
	run(sql: string, parameters: readonly SqlValue[] = []): number {
		return this.#prepare(sql).run(parameters).changes;
	}

	#prepare(sql: string): Prepared {
		const known = this.#prepared.get(sql);
		if (known !== undefined) return known;
		const prepared = this.#database.prepare(sql, { persistent: true });
		this.#prepared.set(sql, prepared);
		return prepared;
	}

	/**
	 * `full`: the commit waits until the file is on disk. `later`: a killed process loses nothing of it either, but a
	 * power failure may take it away, whole, until the next full commit.
	 */
	begin(synchronous: "full" | "later" = "full"): void {
		if (synchronous !== this.#synchronous) {
			// Not by a prepared statement: SQLite carries this one out when it is read.
			this.#database.exec(`PRAGMA synchronous = ${synchronous === "full" ? "FULL" : "NORMAL"}`);
			this.#synchronous = synchronous;
		}
		this.run("BEGIN IMMEDIATE");
	}

	commit(): void {
		this.run("COMMIT");
		if (this.#wiping) this.#wipe();
	}

	/**
	 * Something that nobody is to read any more goes in this transaction. SQLite overwrites it in the file (the library is
	 * built with SECURE_DELETE); the pages that the log has of before go after the commit.
	 */
	wipe(): void {
		this.#wiping = true;
		this.#wiped = true;
	}

	/**
	 * A row that SQLite has moved between pages may have left a copy there, which no deletion overwrites: a new file has
	 * none.
	 */
	#rewrite(): void {
		const pages = this.value<number>("SELECT page_count AS value FROM pragma_page_count") ?? 0;
		if (pages > REWRITTEN_PAGES) return;
		try {
			this.#database.exec("VACUUM");
		} catch {
			// No room on the disk: the next end is as good.
		}
	}

	/** Empties the log. Where the disk has no room for that now, the next commit tries again. */
	#wipe(): void {
		try {
			this.#database.pragma("wal_checkpoint(TRUNCATE)");
			this.#wiping = false;
		} catch {
			// What was committed stays so, and a failed step would say that it isn't.
			this.#wiping = true;
		}
	}

	/** Ends a transaction without a trace; harmless when there is none, as after a failed COMMIT or `close()`. */
	rollback(): void {
		this.#rollbacks++;
		if (!this.#open) return;
		try {
			this.run("ROLLBACK");
		} catch {
			// SQLite has rolled back by itself already.
		}
	}

	get isOpen(): boolean {
		return this.#open;
	}

	/** Grows with each rollback: what was read before one may never have been there. */
	get rollbacks(): number {
		return this.#rollbacks;
	}

	/** Runs `work` in one transaction. */
	transaction<Result>(work: () => Result): Result {
		this.begin();
		try {
			const result = work();
			this.commit();
			return result;
		} catch (error) {
			this.rollback();
			throw error;
		}
	}

	close(): void {
		if (!this.#open) return;
		this.#open = false;
		if (this.#wiped) this.#rewrite();
		this.#prepared.clear();
		this.#database.close();
	}
}

function typedError(error: unknown): unknown {
	if (!(error instanceof Error)) return error;
	if (/locked|busy/i.test(error.message)) return new DeviceInUseError({ cause: error });
	if (/not a database|notadb|hmac|decrypt/i.test(error.message)) return new WrongKeyError({ cause: error });
	return error;
}
