import { abortAllDurableObjects, evictDurableObject, runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { expect, test, vi } from "vitest";
import { LIMITS } from "../../protocol/limits.ts";
import { SqliteStore } from "./sqlite-store.ts";
import { A1, B1, Bench, message, newConversation, newId, TestSocket, up, upgrade } from "./testing.ts";

test("DELIVERED-1 two devices, there and back in the runtime", async () => {
	const { stub, alice, bob } = await newConversation();
	const one = await TestSocket.ready(stub, alice);
	const other = await TestSocket.ready(stub, bob);
	expect(await one.take(2)).toEqual(["welcome 0 v1 0/0 0/0", "caught up 0"]);
	expect(await other.take(2)).toEqual(["welcome 0 v1 0/0 0/0", "caught up 0"]);
	one.send(message(newId(), [bob]));
	expect(await one.next()).toBe("accepted 1");
	expect(await other.next()).toBe("entry 1");
	other.send(up({ case: "acknowledge", value: { cursor: 1 } }));
	expect(await one.next()).toBe("watermark 1/0");
	const payloads = await runInDurableObject(stub, (_, state) =>
		state.storage.sql.exec("SELECT payload FROM log").toArray(),
	);
	expect(payloads).toEqual([{ payload: null }]);
});

test("REFUSED-1 an upgrade answers 426, 428 and 403 without a half-open socket", async () => {
	const { stub, alice } = await newConversation();
	expect((await upgrade(stub, alice.account, 1, {})).status).toBe(426);
	expect((await upgrade(stub, alice.account, 2)).status).toBe(403);
	await runInDurableObject(stub, (_, state) => expect(state.getWebSockets()).toHaveLength(0));
});

test("DURABLE-1 what was accepted survives a crash, and ONCE-1 the same send returns the same number", async () => {
	const { stub, alice, bob } = await newConversation();
	const one = await TestSocket.ready(stub, alice);
	await one.take(2);
	const bytes = message(newId(), [bob]);
	one.send(bytes);
	expect(await one.next()).toBe("accepted 1");
	await abortAllDurableObjects();
	// A stub of an object that broke stays broken.
	const fresh = env.CONVERSATION.get(stub.id);
	const again = await TestSocket.ready(fresh, alice);
	expect(await again.take(2)).toEqual(["welcome 1 v1 0/0 0/0", "caught up 1"]);
	again.send(bytes);
	expect(await again.next()).toBe("accepted 1");
	const other = await TestSocket.ready(fresh, bob);
	expect(await other.take(3)).toEqual(["welcome 1 v1 0/0 0/0", "entry 1", "caught up 1"]);
});

/** Marks the instance that is in memory now. */
const marks = new WeakMap<object, string>();

test("IDLE-1 the object hibernates with its sockets open and goes on; a warm control keeps its instance", async () => {
	const [cold, warm] = [await newConversation(), await newConversation()];
	const instance = ({ stub }: typeof cold) =>
		runInDurableObject(stub, (object) => {
			const mark = marks.get(object) ?? crypto.randomUUID();
			marks.set(object, mark);
			return mark;
		});
	const one = await TestSocket.ready(cold.stub, cold.alice);
	const other = await TestSocket.ready(cold.stub, cold.bob);
	await one.take(2);
	await other.take(2);
	const before = [await instance(cold), await instance(warm)];
	await evictDurableObject(cold.stub, { webSockets: "hibernate" });
	one.send(message(newId(), [cold.bob]));
	expect(await one.next()).toBe("accepted 1");
	expect(await other.next()).toBe("entry 1");
	other.send("ping");
	expect(await other.next()).toBe("pong");
	const after = [await instance(cold), await instance(warm)];
	expect(after[0]).not.toBe(before[0]);
	expect(after[1]).toBe(before[1]);
});

test("SOCKET-1 the newer socket wins, also after hibernation", async () => {
	const { stub, alice } = await newConversation();
	const one = await TestSocket.ready(stub, alice);
	await one.take(2);
	await evictDurableObject(stub, { webSockets: "hibernate" });
	const two = await TestSocket.ready(stub, alice);
	expect(await one.next()).toBe("refused SUPERSEDED 0");
	expect(await one.closed).toBe(4001);
	expect(await two.next()).toBe("welcome 0 v1 0/0 0/0");
});

test("REFUSED-2 a megabyte of garbage and a storm of text close only their sender's socket", async () => {
	const { stub, alice, bob } = await newConversation();
	const one = await TestSocket.ready(stub, alice);
	const other = await TestSocket.ready(stub, bob);
	await one.take(2);
	await other.take(2);
	one.send(new Uint8Array(1024 * 1024));
	expect(await one.next()).toBe("refused FRAME_TOO_LARGE 131072");
	for (let count = 0; count < 100; count++) one.send("x");
	expect(await one.closed).toBe(4400);
	other.send(message(newId(), [alice]));
	expect(await other.next()).toBe("accepted 1");
});

test("EXPIRY-1 the alarm runs and sets itself for what is left", async () => {
	const { stub, alice, bob } = await newConversation();
	// An account that doesn't list the conversation would be called again and again.
	await env.ACCOUNT.getByName(bob.account).joined({ conversation: stub.name ?? "", peer: alice.account });
	const one = await TestSocket.ready(stub, alice);
	await one.take(2);
	one.send(message(newId(), [bob]));
	await one.next();
	// The first deadline is the nudge's; once that has been called, retention is what is left.
	await vi.waitFor(async () => {
		expect(await runDurableObjectAlarm(stub)).toBe(true);
		const alarm = await runInDurableObject(stub, (_, state) => state.storage.getAlarm());
		expect(alarm).toBeGreaterThan(Date.now() + 44 * 86_400_000);
	});
});

test("KEPT-1 a message costs at most 2.1 rows over its life, wipe and end included", async () => {
	const { stub } = await newConversation();
	await runInDurableObject(stub, (_, state) => {
		state.storage.sql.exec("DELETE FROM state");
		const store = new SqliteStore(state.storage);
		store.rowsWritten = 0;
		const bench = new Bench(undefined, store);
		const [one, other] = [bench.ready(A1), bench.ready(B1)];
		const count = 5_000;
		for (let number = 1; number <= count; number++) {
			bench.now_ms += 10;
			bench.raw(one, message(newId(), [B1]));
			bench.up(other, { case: "acknowledge", value: { cursor: number } });
			bench.up(one, { case: "acknowledge", value: { cursor: number } });
			bench.effects = [];
		}
		expect(bench.core.head).toBe(count);
		expect(store.entries(0, count).length).toBeLessThanOrEqual(2 * LIMITS.remembered_entries + 1);
		expect(store.rowsWritten / count).toBeLessThanOrEqual(2.1);
	});
});

test("REFUSED-1 a fault of the server is told as INTERNAL, logged by name, closed with 4500, and the next connection works", async () => {
	const log = vi.spyOn(console, "error").mockImplementation(() => undefined);
	const { stub, alice, bob } = await newConversation();
	const one = await TestSocket.ready(stub, alice);
	await one.take(2);
	const sql = (text: string) => runInDurableObject(stub, (_, state) => void state.storage.sql.exec(text));
	await sql("CREATE TRIGGER fault BEFORE INSERT ON log BEGIN SELECT RAISE(ABORT, 'fault'); END");
	one.send(message(newId(), [bob]));
	expect(await one.next()).toBe("refused INTERNAL 0");
	expect(await one.closed).toBe(4500);
	expect(log.mock.calls).toEqual([["conversation, frame: Error"]]);
	log.mockRestore();
	await sql("DROP TRIGGER fault");
	const again = await TestSocket.ready(stub, alice);
	expect(await again.take(2)).toEqual(["welcome 0 v1 0/0 0/0", "caught up 0"]);
	again.send(message(newId(), [bob]));
	expect(await again.next()).toBe("accepted 1");
});

test("REFUSED-1 of a step that fails half-way nothing stays: no entry that the other device would pass over", async () => {
	const { stub, alice, bob } = await newConversation();
	const one = await TestSocket.ready(stub, alice);
	const other = await TestSocket.ready(stub, bob);
	await one.take(2);
	await other.take(2);
	const sql = (text: string) => runInDurableObject(stub, (_, state) => void state.storage.sql.exec(text));
	// The state is written after the row of the same append.
	await sql("CREATE TRIGGER fault BEFORE INSERT ON state BEGIN SELECT RAISE(ABORT, 'fault'); END");
	let accepted = 0;
	let bytes = message(newId(), [bob]);
	for (; accepted < 100; accepted++) {
		one.send(bytes);
		if (!(await one.next()).startsWith("accepted")) break;
		expect(await other.next()).toBe(`entry ${accepted + 1}`);
		bytes = message(newId(), [bob]);
	}
	expect(accepted).toBeLessThan(100);
	await sql("DROP TRIGGER fault");
	const again = await TestSocket.ready(stub, alice);
	expect((await again.take(2)).at(-1)).toBe(`caught up ${accepted}`);
	again.send(bytes);
	expect(await again.next()).toBe(`accepted ${accepted + 1}`);
	// After a fault everything that was not acknowledged is sent again, then what is new.
	const repeated = Array.from({ length: accepted }, (_, index) => `entry ${index + 1}`);
	expect(await other.take(accepted + 2)).toEqual([...repeated, `caught up ${accepted}`, `entry ${accepted + 1}`]);
});
