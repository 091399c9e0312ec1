/** Crashes at the worst moment, and clocks that are wrong by years. */
import { abortAllDurableObjects, runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { expect, test } from "vitest";
import { nextUuidV7 } from "../../protocol/ids.ts";
import { A1, B1, Bench, message, newConversation, newId, TestSocket } from "./testing.ts";

/** A message id as a device makes it whose clock shows that time. */
function idAt(time_ms: number): Uint8Array {
	return nextUuidV7(time_ms, crypto.getRandomValues(new Uint8Array(10)), undefined);
}

/** How many entries are on disk. */
function entries(stub: Awaited<ReturnType<typeof newConversation>>["stub"]): Promise<number> {
	return runInDurableObject(stub, (_, state) => state.storage.sql.exec("SELECT number FROM log").toArray().length);
}

test("DURABLE-1 a kill after the write and before the acknowledgement: the repetition gets the first number", async () => {
	const { stub, alice, bob } = await newConversation();
	const one = await TestSocket.ready(stub, alice);
	await one.take(2);
	const bytes = message(newId(), [bob]);
	// Nobody reads the acknowledgement: for the device it never came.
	one.send(bytes);
	while ((await entries(stub)) === 0) await runInDurableObject(stub, (_, state) => state.storage.sync());
	await abortAllDurableObjects();
	const fresh = env.CONVERSATION.get(stub.id);
	const again = await TestSocket.ready(fresh, alice);
	await again.take(2);
	again.send(bytes);
	again.send(message(newId(), [bob]));
	expect(await again.take(2)).toEqual(["accepted 1", "accepted 2"]);
	expect(await entries(fresh)).toBe(2);
});

test("DURABLE-1 a kill before the write: nothing was acknowledged, nothing is there, and the repetition is the first", async () => {
	const { stub, alice, bob } = await newConversation();
	const one = await TestSocket.ready(stub, alice);
	const other = await TestSocket.ready(stub, bob);
	await one.take(2);
	await other.take(2);
	const bytes = message(newId(), [bob]);
	let written = 0;
	await runInDurableObject(stub, (object, state) => {
		const [socket] = state.getWebSockets(`${alice.account}.${alice.device}`);
		if (socket === undefined) throw new Error("no socket");
		// One turn: what it wrote and what it sent wait for the disk together, and the plug is pulled first.
		object.webSocketMessage(socket, Uint8Array.from(bytes).buffer);
		// In the very turn in which the acknowledgement was sent, since the output gate waits for no later write.
		written = state.storage.sql.exec("SELECT number FROM log").toArray().length;
		state.abort("killed");
	}).catch(() => undefined);
	expect(written).toBe(1);
	// Neither end has heard of an entry that is not there: the connections end, and nothing came before that.
	for (const socket of [one, other]) {
		await socket.closed;
		expect(socket.unread).toEqual([]);
	}
	const fresh = env.CONVERSATION.get(stub.id);
	const again = await TestSocket.ready(fresh, alice);
	expect(await again.take(2)).toEqual(["welcome 0 v1 0/0 0/0", "caught up 0"]);
	expect(await entries(fresh)).toBe(0);
	again.send(bytes);
	expect(await again.next()).toBe("accepted 1");
	const late = await TestSocket.ready(fresh, bob);
	expect(await late.take(3)).toEqual(["welcome 1 v1 0/0 0/0", "entry 1", "caught up 1"]);
});

test("ORDER-2 ids of clocks that are wrong by years change neither the order nor the server's time", () => {
	const bench = new Bench();
	const [one, other] = [bench.ready(A1), bench.ready(B1)];
	bench.effects = [];
	const years_ms = 50 * 365 * 86_400_000;
	const clocks = [bench.now_ms + years_ms, 0, bench.now_ms - years_ms, 2 ** 48 - 1, bench.now_ms];
	for (const time_ms of clocks) bench.raw(one, message(idAt(time_ms), [B1]));
	expect(bench.take(one)).toEqual(clocks.map((_, index) => `accepted ${index + 1}`));
	expect(bench.take(other)).toEqual(clocks.map((_, index) => `entry ${index + 1}`));
	expect(new Set(bench.store.entries(0, 9).map(({ time_ms }) => time_ms))).toEqual(new Set([bench.now_ms]));
});

test("ONCE-3 an id that another device used long ago, under another clock, is still a conflict", () => {
	const bench = new Bench();
	const [one, other] = [bench.ready(A1), bench.ready(B1)];
	const id = idAt(0);
	bench.raw(one, message(id, [B1]));
	bench.restart(true);
	bench.effects = [];
	bench.raw(other, message(id, [A1]));
	bench.raw(one, message(id, [B1], 1, "other"));
	expect(bench.take(other)).toEqual(["refused MESSAGE_ID_CONFLICT 1"]);
	expect(bench.take(one)).toEqual(["refused MESSAGE_ID_CONFLICT 1"]);
});
