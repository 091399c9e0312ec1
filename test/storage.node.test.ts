/** The page of what the server stores names every table and column that the code makes, and no other. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { expect, test } from "vitest";
import { MIGRATIONS } from "../workers/conversation-do/sqlite-store.ts";

const page = readFileSync("specs/storage.md", "utf8");

type Tables = Record<string, string[]>;

/** The tables that some statements make, each with its columns. */
function made(statements: readonly string[]): Tables {
	const database = new DatabaseSync(":memory:");
	for (const statement of statements) database.exec(statement);
	const tables = database.prepare("SELECT name FROM sqlite_master WHERE type = 'table'").all();
	const columnsOf = database.prepare("SELECT name FROM pragma_table_info(?)");
	const found = tables.map(({ name }) => {
		const columns = columnsOf.all(String(name)).map((column) => String(column.name));
		return [String(name), columns.toSorted()] as const;
	});
	database.close();
	return Object.fromEntries(found);
}

/** The statements in a source file that make tables. */
function creations(path: string): string[] {
	const source = readFileSync(path, "utf8");
	return [...source.matchAll(/CREATE TABLE /g)].map(({ index }) => {
		let [at, depth] = [source.indexOf("(", index), 0];
		do {
			if (source[at] === "(") depth++;
			if (source[at] === ")") depth--;
			at++;
		} while (depth > 0);
		return source.slice(index, at);
	});
}

/** The tables of one part of the page: a table's name stands in its first row only. */
function listed(from: string, to: string): Tables {
	const part = page.slice(page.indexOf(from), page.indexOf(to, page.indexOf(from) + from.length));
	const tables: Tables = {};
	let columns: string[] = [];
	for (const line of part.split("\n").filter((each) => each.startsWith("| "))) {
		const [, table = "", names = ""] = line.split("|");
		const name = /`(\w+)`/.exec(table)?.[1];
		if (name !== undefined) {
			columns = [];
			tables[name] = columns;
		}
		columns.push(...[...names.matchAll(/`(\w+)`/g)].map(([, column = ""]) => column));
	}
	for (const all of Object.values(tables)) all.sort();
	return tables;
}

test("the directory's tables stand on the page, column by column", () => {
	const migrations = readdirSync("migrations").filter((name) => name.endsWith(".sql"));
	const statements = migrations
		.toSorted()
		.flatMap((name) => readFileSync(join("migrations", name), "utf8").split("--> statement-breakpoint"));
	const tables = made(statements);
	expect(Object.keys(tables).length).toBeGreaterThan(8);
	expect(listed("## D1 `parley-directory`", "\n## ")).toEqual(tables);
});

test("the objects' tables stand on the page, column by column", () => {
	const stores = [
		["## Account object", "\n## ", "workers/account-do/schema.ts"],
		["**Blob object**", "**Quota object**", "workers/media/records.ts"],
		["**Quota object**", "\n## ", "workers/media/quota.ts"],
	] as const;
	// Its two parts of the log are of one text.
	const conversation = [...MIGRATIONS, "CREATE TABLE migrations (number INTEGER PRIMARY KEY)"];
	expect(listed("## Conversation object", "\n## ")).toEqual(made(conversation));
	for (const [from, to, path] of stores) {
		const tables = made(creations(path));
		expect(Object.keys(tables).length, path).toBeGreaterThan(2);
		expect(listed(from, to), path).toEqual(tables);
	}
});

test("every kind of queue message stands on the page", () => {
	const kinds = [...readFileSync("workers/api/changes.ts", "utf8").matchAll(/type: z\.literal\("([a-z-]+)"\)/g)];
	expect(kinds.length).toBeGreaterThan(2);
	for (const [, kind] of kinds) expect(page).toContain(`{type: "${kind}"`);
});
