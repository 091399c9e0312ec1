/** Large groups in the runtime: many who are away, and many who come back at once. */
import { abortAllDurableObjects, runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { expect, test } from "vitest";
import { LIMITS } from "../../protocol/limits.ts";
import type { Conversation } from "./conversation.ts";
import { A1, type Address, describe, newId, TestSocket, up } from "./testing.ts";
import { GroupBench, joining, OPEN, request } from "./testing-groups.ts";

const people = (count: number): Address[] =>
	Array.from({ length: count }, (_, index) => ({ account: crypto.randomUUID(), device: 1, registrationId: index + 1 }));

/** A group whose account objects are counted instead of called: they are another room's. */
async function found(members: readonly Address[]) {
	const bytes = crypto.getRandomValues(new Uint8Array(32));
	// After an abort a new stub is needed.
	const object = () => env.CONVERSATION.getByName(Buffer.from(bytes).toString("hex"));
	/** Calls by account, in the order in which they came. */
	const calls: string[] = [];
	const ACCOUNT = {
		getByName: (account: string) => ({
			nudge: async () => {
				calls.push(account);
				return "kept";
			},
		}),
	};
	const count = () =>
		runInDurableObject(object(), (instance: Conversation) => {
			Reflect.set(instance, "env", { ...env, ACCOUNT });
		});
	await count();
	const [first, ...others] = members;
	if (first === undefined) throw new Error("nobody");
	const added = [joining(first, "admin"), ...others.map((one) => joining(one))];
	expect(await object().changeGroup(request(first, 1, { added, rules: OPEN }))).toEqual({ number: 1, version: 1 });
	return { object, calls, count };
}

const shared = (size = 1, rosterVersion = 1) =>
	up({ case: "send", value: { messageId: newId(), rosterVersion, shared: new Uint8Array(size) } });

/** Sends so many and waits until they are accepted. */
async function burst(sender: TestSocket, count: number, size?: number): Promise<void> {
	for (let sent = 0; sent < count; sent++) sender.send(shared(size));
	for (let accepted = 0; accepted < count; ) if ((await sender.next()).startsWith("accepted")) accepted++;
}

/** How many calls there were when no further one comes. */
async function quiet(stub: DurableObjectStub<Conversation>, calls: readonly string[]): Promise<number> {
	for (let before = -1; before !== calls.length; ) {
		before = calls.length;
		await stub.membersAmong([]);
	}
	return calls.length;
}

test("GROUP-9 who is away costs one call of its account for each burst, also in a group of a hundred", async () => {
	const members = people(100);
	const { object, calls } = await found(members);
	const stub = object();
	const sender = await TestSocket.ready(stub, members[0] ?? unknown());
	await sender.take(2);
	// The founding is the first news.
	await quiet(stub, calls);
	calls.length = 0;
	const back = members.slice(1);
	for (let round = 1; round <= 3; round++) {
		// Everybody has been here since the last one.
		const sockets = await Promise.all(back.map((one) => TestSocket.ready(stub, one)));
		for (const socket of sockets) {
			for (let frame = ""; !frame.startsWith("caught up"); ) frame = await socket.next();
			socket.send(up({ case: "acknowledge", value: { cursor: 1 + (round - 1) * 50 } }));
			socket.close(1000);
			await socket.closed;
		}
		expect(await quiet(stub, calls), "nothing is new to who has everything").toBe(0);
		await burst(sender, 50);
		expect(await quiet(stub, calls)).toBe(back.length);
		expect(new Set(calls)).toEqual(new Set(back.map(({ account }) => account)));
		calls.length = 0;
	}
});

test("DELIVERED-1 DELIVERED-3 1,024 members come back at once after an outage: every one gets all, none waits for another", async () => {
	const members = people(LIMITS.group_members);
	const { object, calls, count } = await found(members);
	const [first, ...others] = members;
	if (first === undefined) throw new Error("nobody");
	const MESSAGES = 20;
	/** So many say hello and then nothing. */
	const SILENT = 20;
	const sender = await TestSocket.ready(object(), first);
	await burst(sender, MESSAGES, 1_000);
	await quiet(object(), calls);
	await abortAllDurableObjects();
	await count();
	const stub = object();
	const sockets = await Promise.all(others.map((one) => TestSocket.ready(stub, one)));
	const head = MESSAGES + 1;
	const entries = Array.from({ length: head }, (_, index) => `entry ${index + 1}`);
	for (const [index, socket] of sockets.entries()) {
		if (index < SILENT) continue;
		const frames: string[] = [];
		while (frames.at(-1) !== `caught up ${head}`) {
			const frame = await socket.next();
			frames.push(frame);
			const cursor = Number(/^entry (\d+)$/.exec(frame)?.[1] ?? 0);
			if (cursor > 0) socket.send(up({ case: "acknowledge", value: { cursor } }));
		}
		expect(
			frames.filter((frame) => frame.startsWith("entry")),
			`member ${index}`,
		).toEqual(entries);
	}
	const again = await TestSocket.ready(stub, first, head);
	for (let frame = ""; !frame.startsWith("caught up"); ) frame = await again.next();
	again.send(shared());
	for (const socket of sockets.slice(SILENT)) {
		let frame = await socket.next();
		while (!frame.startsWith("entry")) frame = await socket.next();
		expect(frame).toBe(`entry ${head + 1}`);
	}
}, 120_000);

test("DELIVERED-3 a hundred devices that come back share what may be on the way, and each gets all", () => {
	const bench = new GroupBench();
	const members = people(100);
	bench.change(request(A1, 2, { added: members.map((one) => joining(one)) }));
	const COUNT = 24;
	for (let sent = 0; sent < COUNT; sent++) bench.raw(bench.alice, shared(90_000, 2));
	bench.effects = [];
	const sockets = members.map((one) => bench.ready(one, 2));
	let most = 0;
	const got = new Map<number, number>();
	for (let round = 0; round < COUNT && bench.effects.length > 0; round++) {
		let bytes = 0;
		const upTo = new Map<number, number>();
		for (const effect of bench.effects.splice(0)) {
			if (effect.type !== "send" || effect.socket === bench.alice) continue;
			const entry = /^entry (\d+)$/.exec(describe(effect.bytes))?.[1];
			if (entry === undefined) continue;
			bytes += effect.bytes.length;
			upTo.set(effect.socket, Number(entry));
			got.set(effect.socket, (got.get(effect.socket) ?? 0) + 1);
		}
		most = Math.max(most, bytes);
		for (const [socket, cursor] of upTo) bench.up(socket, { case: "acknowledge", value: { cursor } });
	}
	expect(sockets.map((socket) => got.get(socket))).toEqual(sockets.map(() => COUNT));
	expect(most).toBeLessThan(LIMITS.windows_bytes + sockets.length * (LIMITS.window_bytes_least + 100_000));
	expect(most).toBeGreaterThan(LIMITS.windows_bytes);
});

function unknown(): never {
	throw new Error("nobody");
}
