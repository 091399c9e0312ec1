import { runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { expect, test } from "vitest";
import { MemoryStore } from "./memory-store.ts";
import { SqliteStore } from "./sqlite-store.ts";
import { checkStore } from "./store.contract.ts";

test("KEPT-1 the store in memory keeps the contract of stores", () => {
	checkStore(new MemoryStore());
});

test("KEPT-1 the store in SQLite keeps the contract of stores, also when it is opened again", async () => {
	await runInDurableObject(env.CONVERSATION.getByName("store"), (_, state) => {
		const store = new SqliteStore(state.storage);
		checkStore(store);
		const again = new SqliteStore(state.storage);
		expect(again.rows(0, 10)).toEqual(store.rows(0, 10));
		expect(again.head()).toEqual(store.head());
	});
});
