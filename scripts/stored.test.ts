import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { expect, test } from "vitest";
import { storedTables } from "./stored.ts";

test("rows are counted over all objects of a class, and payloads apart", () => {
	const folder = mkdtempSync(join(tmpdir(), "parley-stored-"));
	const write = (path: string, sql: string) => {
		mkdirSync(dirname(join(folder, path)), { recursive: true });
		const database = new DatabaseSync(join(folder, path));
		database.exec(sql);
		database.close();
	};
	const log = "CREATE TABLE log (number INTEGER PRIMARY KEY, payload BLOB); CREATE TABLE _cf_KV (x);";
	write("v3/do/parley-x-Thing/1.sqlite", `${log} INSERT INTO log VALUES (1, x'00'), (2, NULL)`);
	write("v3/do/parley-x-Thing/2.sqlite", `${log} INSERT INTO log VALUES (1, NULL)`);
	write("v3/do/parley-x-Thing/metadata.sqlite", "CREATE TABLE ignored (x)");
	write("v3/d1/any/3.sqlite", "CREATE TABLE users (x); INSERT INTO users VALUES (1)");
	expect(storedTables(folder)).toEqual([
		{ store: "directory", table: "users", databases: 1, rows: 1, payloads: undefined },
		{ store: "Thing", table: "log", databases: 2, rows: 3, payloads: 1 },
	]);
	rmSync(folder, { recursive: true });
});
