/** What a backend's storage holds, as table names and row counts: read from the SQLite files that it has written. */
import { existsSync, readdirSync } from "node:fs";
import { basename, join } from "node:path";
import { DatabaseSync } from "node:sqlite";

/** One table of one kind of store, counted over all its databases. */
export interface StoredTable {
	/** `directory` for D1, else the class of the objects. */
	store: string;
	table: string;
	databases: number;
	rows: number;
	/** Rows that hold a payload, where the table has such a column. */
	payloads: number | undefined;
}

/** The runtime's own tables and the lists of applied migrations. */
const INTERNAL = /^(?:_cf_|__miniflare|sqlite_|d1_migrations$|migrations$)/;

/** Counts all tables below a backend's state directory. The backend should have been stopped. */
export function storedTables(stateDir: string): StoredTable[] {
	const found = new Map<string, StoredTable>();
	for (const { store, path } of databasesOf(stateDir)) {
		const database = new DatabaseSync(path, { readOnly: true });
		try {
			for (const table of tablesOf(database)) {
				const known = found.get(`${store} ${table.table}`);
				found.set(`${store} ${table.table}`, {
					store,
					table: table.table,
					databases: (known?.databases ?? 0) + 1,
					rows: (known?.rows ?? 0) + table.rows,
					payloads: table.payloads === undefined ? undefined : (known?.payloads ?? 0) + table.payloads,
				});
			}
		} finally {
			database.close();
		}
	}
	return [...found.values()];
}

function databasesOf(stateDir: string): { store: string; path: string }[] {
	const below = (folder: string) => (existsSync(folder) ? readdirSync(folder).map((name) => join(folder, name)) : []);
	const files = (folder: string) =>
		below(folder).filter((path) => path.endsWith(".sqlite") && basename(path) !== "metadata.sqlite");
	const directory = below(join(stateDir, "v3", "d1")).flatMap(files);
	const objects = below(join(stateDir, "v3", "do")).flatMap((folder) =>
		files(folder).map((path) => ({ store: basename(folder).split("-").at(-1) ?? "", path })),
	);
	return [...directory.map((path) => ({ store: "directory", path })), ...objects];
}

function tablesOf(database: DatabaseSync): { table: string; rows: number; payloads: number | undefined }[] {
	const names = database.prepare("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name").all();
	return names
		.map((row) => String(row.name))
		.filter((table) => !INTERNAL.test(table))
		.map((table) => {
			const columns = database.prepare("SELECT name FROM pragma_table_info(?)").all(table);
			const hasPayload = columns.some((column) => column.name === "payload");
			const count = (of: string) => {
				const row = database.prepare(`SELECT COUNT(${of}) AS count FROM "${table}"`).get();
				return Number(row?.count ?? 0);
			};
			return { table, rows: count("*"), payloads: hasPayload ? count("payload") : undefined };
		});
}
