/**
 * Peers that mean harm: they lose their socket, and the conversation goes on for others, in memory and in the runtime.
 */
import { evictDurableObject, runInDurableObject } from "cloudflare:test";
import { expect, test } from "vitest";
import { LIMITS } from "../../protocol/limits.ts";
import { A1, B1, Bench, member, message, newConversation, newId, TestSocket, up, upgrade } from "./testing.ts";

/** Two bytes that nobody but the sender is told of. */
const TINY = up({ case: "acknowledge", value: { cursor: 0 } });
/** The burst, and as many beyond it as close the socket. */
const ENOUGH = LIMITS.frame_burst + LIMITS.refused_frames;

test("REFUSED-2 a million tiny frames over many sockets: what is answered and kept is bounded, others talk on", () => {
	const bench = new Bench();
	const other = bench.ready(B1);
	const frames = 1_000_000;
	let sockets = 0;
	for (let sent = 0; sent < frames; sent += ENOUGH) {
		const one = bench.ready(A1);
		sockets += 1;
		bench.effects = [];
		for (let count = 0; count < ENOUGH; count++) bench.raw(one, TINY);
		// Two refusals, what stays with the socket, and its end. One that does not stop is not answered any more.
		expect(bench.effects.length).toBeLessThanOrEqual(4);
		expect(bench.take(one).at(-1)).toBe("closed 4429");
		bench.raw(one, TINY);
		expect(bench.take(one)).toEqual([]);
		bench.now_ms += 1;
		bench.raw(other, message(newId(), [A1]));
		expect(bench.take(other)).toEqual([`accepted ${sockets}`]);
	}
	expect(bench.core.head).toBe(sockets);
	expect(bench.sockets.size).toBe(1);
});

test("REFUSED-2 a storm of tiny frames in the runtime closes its sender's socket only", async () => {
	const { stub, alice, bob } = await newConversation();
	const one = await TestSocket.ready(stub, alice);
	const other = await TestSocket.ready(stub, bob);
	await one.take(2);
	await other.take(2);
	let code: number | undefined;
	let count = 0;
	void one.closed.then((closed) => {
		code = closed;
	});
	while (count++ < ENOUGH) one.send(TINY);
	other.send(message(newId(), [alice]));
	// As many as it takes: tokens come back while frames are read, however fast that is.
	while (code === undefined) {
		one.send(TINY);
		if (++count % ENOUGH === 0) await scheduler.wait(1);
	}
	expect(await other.next()).toBe("accepted 1");
	expect(code).toBe(4429);
	const tables = await runInDurableObject(stub, (_, state) =>
		["log", "state"].map((table) => state.storage.sql.exec(`SELECT * FROM ${table}`).toArray().length),
	);
	expect(tables).toEqual([1, 1]);
	const again = await TestSocket.ready(stub, alice);
	expect(await again.take(3)).toEqual(["welcome 1 v1 0/0 0/0", "entry 1", "caught up 1"]);
});

test("REFUSED-2 a mebibyte of random bytes, in pieces of every size, is refused and closed; nothing of it is kept", async () => {
	const { stub, alice, bob } = await newConversation();
	const one = await TestSocket.ready(stub, alice);
	const other = await TestSocket.ready(stub, bob);
	await one.take(2);
	await other.take(2);
	let left = 1024 * 1024;
	for (let size = 1; left > 0; size = Math.min(size * 2, 65_536)) {
		// An unknown wire type first, so that no piece is a frame by chance.
		const piece = crypto.getRandomValues(new Uint8Array(size));
		piece[0] = 0xff;
		one.send(piece);
		left -= size;
	}
	expect(new Set(await one.take(LIMITS.malformed_frames))).toEqual(new Set(["refused MALFORMED 0"]));
	expect(await one.closed).toBe(4400);
	other.send(message(newId(), [alice]));
	expect(await other.next()).toBe("accepted 1");
});

test("ROSTER-3 a device that leaves the roster while it is connected is told and closed with 4403; others stay", async () => {
	const { stub, alice, bob } = await newConversation();
	const one = await TestSocket.ready(stub, alice);
	const other = await TestSocket.ready(stub, bob);
	await one.take(2);
	await other.take(2);
	await stub.setDevices(member(bob.account, 22));
	expect(await other.next()).toBe("refused NOT_ON_ROSTER 0");
	expect(await other.closed).toBe(4403);
	expect(await one.next()).toBe("roster v2");
	const anew = await TestSocket.ready(stub, { ...bob, registrationId: 22 });
	expect(await anew.take(2)).toEqual(["welcome 0 v2 0/0 0/0", "caught up 0"]);
	// Also when the object has slept in between: who is connected is read from the sockets.
	await evictDurableObject(stub, { webSockets: "hibernate" });
	await stub.removeMember(bob.account);
	expect(await anew.next()).toBe("refused NOT_ON_ROSTER 0");
	expect(await anew.closed).toBe(4403);
	expect((await upgrade(stub, bob.account, 1)).status).toBe(403);
	expect(await one.next()).toBe("roster v3");
	one.send(message(newId(), [], 3));
	expect(await one.next()).toBe("refused MEMBER_GONE 0");
});
