import { runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { expect, test } from "vitest";
import { MemoryStore } from "./memory-store.ts";
import { SqliteStore } from "./sqlite-store.ts";
import { checkStore } from "./store.contract.ts";

const ROW = { time_ms: 90, messageId: "b1", sender: "b", checksum: 1, wiped: false, payload: new Uint8Array([6]) };

test("KEPT-1 the store in memory keeps the contract of stores", () => {
	checkStore(new MemoryStore());
});

test("KEPT-1 the store in SQLite keeps the contract of stores, also when it is opened again", async () => {
	await runInDurableObject(env.CONVERSATION.getByName("store"), (_, state) => {
		const store = new SqliteStore(state.storage);
		checkStore(store);
		for (const number of [9, 10, 11]) {
			store.append({ ...ROW, number });
			const again = new SqliteStore(state.storage);
			expect([again.rows(0, 10), again.head(), again.newer()]).toEqual([
				store.rows(0, 10),
				store.head(),
				store.newer(),
			]);
			if (number === 10) store.renew();
		}
	});
});

test("KEPT-1 a log from before it had two parts is the newer one, and goes on", async () => {
	await runInDurableObject(env.CONVERSATION.getByName("store of old"), (_, { storage }) => {
		storage.sql.exec(`
			CREATE TABLE migrations (number INTEGER PRIMARY KEY);
			INSERT INTO migrations VALUES (0);
			CREATE TABLE log (
				number INTEGER PRIMARY KEY, time_ms INTEGER NOT NULL, message_id TEXT NOT NULL,
				sender TEXT NOT NULL, checksum INTEGER NOT NULL, payload BLOB
			);
			CREATE TABLE state (id INTEGER PRIMARY KEY, json TEXT NOT NULL);
			INSERT INTO log VALUES (7, 70, 'a1', 'a', 1, NULL), (8, 80, 'a2', 'a', 1, x'05');
			INSERT INTO state VALUES (1, 'state');
		`);
		const store = new SqliteStore(storage);
		expect([store.head(), store.newer(), store.seniors(), store.readState()]).toEqual([
			{ number: 8, time_ms: 80 },
			7,
			[],
			"state",
		]);
		store.renew();
		store.append({ ...ROW, number: 9 });
		expect(store.entries(0, 10).map(({ number }) => number)).toEqual([7, 8, 9]);
		expect(store.seniors()).toEqual([{ sender: "a", messageId: "a2", number: 8 }]);
		expect(new SqliteStore(storage).entries(0, 10)).toEqual(store.entries(0, 10));
	});
});

test("KEPT-1 the end of old entries costs no rows: their table goes as a whole", async () => {
	await runInDurableObject(env.CONVERSATION.getByName("cheap"), (_, { storage }) => {
		const store = new SqliteStore(storage);
		for (let number = 1; number <= 2_000; number++) {
			store.append({ ...ROW, number });
			if (number === 1_000) store.renew();
		}
		store.rowsWritten = 0;
		store.renew();
		expect(store.rowsWritten).toBeLessThan(10);
		expect(store.entries(0, 1)[0]?.number).toBe(1_001);
	});
});
