/** The tables of an account object, and how they came to be. */

/** The part of an object's SQL storage that the room uses. */
export type Sql = Pick<SqlStorage, "exec">;

/**
 * One entry per version, only ever added to. Keys are WITHOUT ROWID or INTEGER PRIMARY KEY, so that an insert is billed
 * as one row.
 */
const MIGRATIONS: readonly (readonly string[])[] = [
	[
		// One row, or none: that it exists says that the account was erased. It outlives everything else (ACCOUNT-4).
		`CREATE TABLE tombstone (only INTEGER PRIMARY KEY CHECK (only = 1), erased_ms INTEGER NOT NULL)`,
		// A mark is the largest id that was ever stored, -1 before the first.
		`CREATE TABLE devices (
			device INTEGER PRIMARY KEY,
			signed_id INTEGER NOT NULL,
			signed_key TEXT NOT NULL,
			signed_signature TEXT NOT NULL,
			last_resort_id INTEGER NOT NULL,
			last_resort_key TEXT NOT NULL,
			last_resort_signature TEXT NOT NULL,
			ec_mark INTEGER NOT NULL DEFAULT -1,
			kyber_mark INTEGER NOT NULL DEFAULT -1
		)`,
		`CREATE TABLE one_time_ec (
			device INTEGER NOT NULL,
			id INTEGER NOT NULL,
			key TEXT NOT NULL,
			PRIMARY KEY (device, id)
		) WITHOUT ROWID`,
		`CREATE TABLE one_time_kyber (
			device INTEGER NOT NULL,
			id INTEGER NOT NULL,
			key TEXT NOT NULL,
			signature TEXT NOT NULL,
			PRIMARY KEY (device, id)
		) WITHOUT ROWID`,
		`CREATE TABLE conversations (conversation TEXT PRIMARY KEY, peer TEXT NOT NULL) WITHOUT ROWID`,
		`CREATE TABLE news (
			device INTEGER NOT NULL,
			conversation TEXT NOT NULL,
			peer TEXT NOT NULL,
			up_to INTEGER NOT NULL,
			PRIMARY KEY (device, conversation)
		) WITHOUT ROWID`,
	],
];

/** Brings the object's tables to the newest version. Runs in the constructor; does nothing when they are. */
export function migrate(storage: DurableObjectStorage): void {
	const sql = storage.sql;
	sql.exec("CREATE TABLE IF NOT EXISTS migrations (version INTEGER PRIMARY KEY, applied_ms INTEGER NOT NULL)");
	const applied = sql.exec<{ version: number | null }>("SELECT MAX(version) AS version FROM migrations").one();
	for (const [index, statements] of MIGRATIONS.entries()) {
		const version = index + 1;
		if (version <= (applied.version ?? 0)) continue;
		storage.transactionSync(() => {
			for (const statement of statements) sql.exec(statement);
			sql.exec("INSERT INTO migrations (version, applied_ms) VALUES (?, ?)", version, Date.now());
		});
	}
}

/** Whether the account was erased: nothing may fill the object again (rule ACCOUNT-4). */
export function isErased(sql: Sql): boolean {
	return sql.exec("SELECT 1 FROM tombstone").toArray().length > 0;
}

/** Removes what is kept for one device. Repeatable. The caller runs it in one transaction. */
export function removeDevice(sql: Sql, device: number): void {
	for (const table of ["devices", "one_time_ec", "one_time_kyber", "news"]) {
		sql.exec(`DELETE FROM ${table} WHERE device = ?`, device);
	}
}

/**
 * Removes everything but the list of conversations, which a deletion still needs, and leaves the tombstone. Repeatable.
 * The caller runs it in one transaction.
 */
export function retire(sql: Sql, now_ms: number): void {
	for (const table of ["devices", "one_time_ec", "one_time_kyber", "news"]) sql.exec(`DELETE FROM ${table}`);
	sql.exec("INSERT OR IGNORE INTO tombstone (only, erased_ms) VALUES (1, ?)", now_ms);
}
