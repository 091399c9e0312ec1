/**
 * Errors of the disk at each statement: memory agrees with it afterwards, nothing acknowledged is lost, no number used
 * twice.
 */
import { evictDurableObject, runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { expect, test, vi } from "vitest";
import { groupId } from "../../protocol/ids.ts";
import { LIMITS } from "../../protocol/limits.ts";
import { SqliteStore } from "./sqlite-store.ts";
import type { Store } from "./store.ts";
import { A1, B1, Bench, member, message, newConversation, newId, TestSocket, up } from "./testing.ts";
import { OPEN, request } from "./testing-groups.ts";

/** Entries until the first ones have gone, and some more. */
const COUNT = 2 * LIMITS.remembered_entries + 50;

/** A new group in the runtime. */
async function newGroup(...accounts: string[]) {
	const stub = env.CONVERSATION.getByName(await groupId(crypto.getRandomValues(new Uint8Array(32))));
	const [first = ""] = accounts;
	const added = accounts.map((account) => ({
		...member(account, 11),
		version: 1,
		role: account === first ? ("admin" as const) : ("member" as const),
	}));
	await stub.changeGroup(request({ ...A1, account: first }, 1, { added, rules: OPEN }));
	return { stub, devices: accounts.map((account) => ({ account, device: 1, registrationId: 11 })) };
}

test("ORDER-1 ONCE-1 DURABLE-1 the disk fails at every statement in turn: one log, nothing lost, no number twice", {
	timeout: 60_000,
}, async () => {
	const { stub } = await newConversation();
	await runInDurableObject(stub, (_, { storage }) => {
		storage.sql.exec("DELETE FROM state");
		const disk = new SqliteStore(storage);
		let statements = 0;
		let failAt = Number.POSITIVE_INFINITY;
		// Each statement may be the one that fails, before it has done anything.
		const store: Store = new Proxy(disk, {
			get(target, name) {
				const method: unknown = Reflect.get(target, name);
				if (typeof method !== "function") return method;
				return (...values: unknown[]) => {
					if (name !== "together" && name !== "rowsWritten" && ++statements === failAt) throw new Error("disk");
					return Reflect.apply(method, target, values);
				};
			},
		});
		const bench = new Bench(undefined, store);
		let [one, other] = [bench.ready(A1), bench.ready(B1)];
		const accepted = new Map<string, string>();
		let faults = 0;
		/** As the shell does: after a fault everything begins again from the disk. */
		const attempt = (action: () => void): boolean => {
			try {
				action();
				return true;
			} catch {
				faults += 1;
				failAt = Number.POSITIVE_INFINITY;
				bench.restart(false);
				[one, other] = [bench.ready(A1), bench.ready(B1)];
				return false;
			}
		};
		for (let count = 0; count < COUNT; count++) {
			bench.now_ms += 1;
			const bytes = message(newId(), [B1], 1, `text ${count}`);
			if (count % 8 === 0) failAt = statements + 1 + ((count / 8) % 7);
			for (let again = true; again; ) {
				bench.effects = [];
				again = !attempt(() => bench.raw(one, bytes));
				const [answer = ""] = bench.take(one).slice(-1);
				if (!again) accepted.set(`text ${count}`, answer);
			}
			attempt(() => bench.up(other, { case: "acknowledge", value: { cursor: bench.core.head } }));
			attempt(() => bench.up(one, { case: "acknowledge", value: { cursor: bench.core.head } }));
		}
		expect(faults).toBeGreaterThan(100);
		expect([...accepted.values()]).toEqual(Array.from({ length: COUNT }, (_, index) => `accepted ${index + 1}`));
		expect(bench.core.head).toBe(COUNT);
	});
});

test("GROUP-6 a fault after a removal is on disk: the removed device hears nothing of what follows", async () => {
	const accounts = [crypto.randomUUID(), crypto.randomUUID()];
	const { stub, devices } = await newGroup(...accounts);
	const [alice, bob] = devices;
	if (alice === undefined || bob === undefined) throw new Error("nobody");
	const one = await TestSocket.ready(stub, alice);
	const two = await TestSocket.ready(stub, bob);
	await one.take(3);
	await two.take(3);
	const sql = (text: string) => runInDurableObject(stub, (_, state) => void state.storage.sql.exec(text));
	// The wipe, which comes after the commit: Bob had not read the first entry.
	await sql("CREATE TRIGGER fault BEFORE UPDATE ON log BEGIN SELECT RAISE(ABORT, 'fault'); END");
	one.send(up({ case: "acknowledge", value: { cursor: 1 } }));
	expect(await two.next()).toBe("watermark 1/0");
	const removal = request(alice, 2, { removed: [bob.account] });
	await runInDurableObject(stub, async (object) => {
		await expect(object.changeGroup(removal)).rejects.toThrow("fault");
	});
	expect(await two.next()).toBe("refused INTERNAL 0");
	expect(await two.closed).toBe(4500);
	await sql("DROP TRIGGER fault");
	// The change is there, once, and its repetition says so.
	expect(await stub.changeGroup(removal)).toEqual({ number: 2, version: 2 });
	const again = await TestSocket.ready(stub, alice, 1);
	expect(await again.take(3)).toEqual(["welcome 2 v2 1/0", "entry 2", "caught up 2"]);
	again.send(up({ case: "send", value: { messageId: newId(), rosterVersion: 2, shared: new Uint8Array([1]) } }));
	expect(await again.next()).toBe("accepted 3");
	await runInDurableObject(stub, (_, state) => {
		const open = state.getWebSockets().filter((socket) => socket.deserializeAttachment().closed === false);
		expect(open).toHaveLength(1);
	});
});

test("GROUP-2 a fault between a change and its entry leaves neither, and the same change again makes both", async () => {
	const accounts = [crypto.randomUUID(), crypto.randomUUID()];
	const { stub, devices } = await newGroup(...accounts);
	const [alice] = devices;
	if (alice === undefined) throw new Error("nobody");
	const removal = request(alice, 2, { removed: accounts.slice(1) });
	const sql = (text: string) => runInDurableObject(stub, (_, state) => void state.storage.sql.exec(text));
	await sql("CREATE TRIGGER fault BEFORE INSERT ON log BEGIN SELECT RAISE(ABORT, 'fault'); END");
	await runInDurableObject(stub, async (object) => {
		await expect(object.changeGroup(removal)).rejects.toThrow("fault");
	});
	await sql("DROP TRIGGER fault");
	for (const evicted of [false, true]) {
		if (evicted) await evictDurableObject(stub);
		expect(await stub.viewGroup(alice.account, undefined)).toMatchObject({ version: 1 });
		expect(await stub.membersAmong(accounts)).toEqual(accounts);
	}
	expect(await stub.changeGroup(removal)).toEqual({ number: 2, version: 2 });
	expect(await stub.membersAmong(accounts)).toEqual(accounts.slice(0, 1));
});

test("GROUP-9 an account is called once for its devices, and for a burst", async () => {
	const accounts = [crypto.randomUUID(), crypto.randomUUID()];
	const { stub, devices } = await newGroup(...accounts);
	const [alice] = devices;
	const [, bob = ""] = accounts;
	if (alice === undefined) throw new Error("nobody");
	const called: number[][] = [];
	const account = env.ACCOUNT.getByName(bob);
	await runInDurableObject(account, (object) => {
		const prototype: typeof object = Object.getPrototypeOf(object);
		vi.spyOn(prototype, "nudge").mockImplementation(async (_, nudged) => {
			called.push(nudged);
			return "kept";
		});
	});
	const three = [1, 2, 3].map((device) => ({ device, registrationId: 10 + device }));
	await stub.setDevices({ account: bob, devices: three, version: 2 });
	const one = await TestSocket.ready(stub, alice);
	await one.take(3);
	for (let count = 0; count < 5; count++) {
		one.send(up({ case: "send", value: { messageId: newId(), rosterVersion: 2, shared: new Uint8Array([1]) } }));
		await one.next();
	}
	await vi.waitFor(() => expect(called).not.toEqual([]));
	vi.restoreAllMocks();
	// The first device was nudged when the group was founded.
	expect(called).toEqual([[2, 3]]);
});

test("EXPIRY-1 a fault does not put off what the alarm was set for", async () => {
	const { stub, alice, bob } = await newConversation();
	await env.ACCOUNT.getByName(bob.account).joined({ conversation: stub.name ?? "", peer: alice.account });
	const one = await TestSocket.ready(stub, alice);
	await one.take(2);
	one.send(message(newId(), [bob]));
	await one.next();
	const day = 86_400_000;
	const soon = Date.now() + day;
	const alarm = () => runInDurableObject(stub, (_, state) => state.storage.getAlarm());
	// Time passes until the retention of the first message ends tomorrow.
	await runInDurableObject(stub, (_, state) => state.storage.setAlarm(soon));
	await evictDurableObject(stub, { webSockets: "hibernate" });
	const sql = (text: string) => runInDurableObject(stub, (_, state) => void state.storage.sql.exec(text));
	await sql("CREATE TRIGGER fault BEFORE INSERT ON log BEGIN SELECT RAISE(ABORT, 'fault'); END");
	one.send(message(newId(), [bob]));
	expect(await one.next()).toBe("refused INTERNAL 0");
	await sql("DROP TRIGGER fault");
	const again = await TestSocket.ready(stub, alice);
	await again.take(2);
	again.send(message(newId(), [bob]));
	expect(await again.next()).toBe("accepted 2");
	expect(await alarm()).toBeLessThanOrEqual(soon);
});

test("KEPT-4 with its last member everything goes, and the object is as one that was never founded", async () => {
	const [account = ""] = [crypto.randomUUID()];
	const { stub, devices } = await newGroup(account);
	const [alice] = devices;
	if (alice === undefined) throw new Error("nobody");
	const one = await TestSocket.ready(stub, alice);
	await one.take(3);
	one.send(up({ case: "send", value: { messageId: newId(), rosterVersion: 1, shared: new Uint8Array([1]) } }));
	await one.next();
	expect(await stub.changeGroup(request(alice, 2, { removed: [account] }))).toEqual({ number: 3, version: 2 });
	expect(await one.closed).toBe(4403);
	const left = () =>
		runInDurableObject(stub, async (_, state) => [
			state.storage.sql
				.exec("SELECT name FROM sqlite_master WHERE name IN ('log', 'older', 'state', 'migrations')")
				.toArray(),
			await state.storage.getAlarm(),
		]);
	expect(await left()).toEqual([[], null]);
	// Whoever comes late changes nothing.
	await stub.removeMember(account);
	await stub.setDevices(member(account, 11));
	expect(await stub.viewGroup(account, undefined)).toBe(undefined);
	expect(await stub.membersAmong([account])).toEqual([]);
	expect(await left()).toEqual([[], null]);
	// A conversation of two goes with the second account; it can be founded again, and begins at 1.
	const direct = await newConversation();
	await direct.stub.removeMember(direct.alice.account);
	await direct.stub.removeMember(direct.bob.account);
	await direct.stub.found([member(direct.alice.account, 11), member(direct.bob.account, 21)]);
	const anew = await TestSocket.ready(direct.stub, direct.alice);
	await anew.take(2);
	anew.send(message(newId(), [direct.bob]));
	expect(await anew.next()).toBe("accepted 1");
});

test("KEPT-4 a made-up id leaves no tables behind", async () => {
	const stub = env.CONVERSATION.getByName("f".repeat(64));
	expect(await stub.viewGroup(A1.account, "ab")).toBe(undefined);
	await runInDurableObject(stub, (_, state) => {
		expect(state.storage.sql.exec("SELECT name FROM sqlite_master WHERE name = 'log'").toArray()).toEqual([]);
	});
});

test("NUDGE-1 an account that doesn't list the conversation yet is called again when it does", async () => {
	const { stub, alice, bob } = await newConversation();
	const one = await TestSocket.ready(stub, alice);
	await one.take(2);
	one.send(message(newId(), [bob]));
	await one.next();
	const nudged = () =>
		runInDurableObject(stub, (_, state) => {
			const { json } = state.storage.sql.exec<{ json: string }>("SELECT json FROM state WHERE id = 1").one();
			return json.includes('"nudged":true');
		});
	await vi.waitFor(async () => {
		const alarm = await runInDurableObject(stub, (_, state) => state.storage.getAlarm());
		expect(alarm).toBeLessThan(Date.now() + 60_000);
	});
	expect(await nudged()).toBe(false);
});
