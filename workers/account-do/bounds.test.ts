/** What an account keeps is bounded, and goes when its reason goes. */
import { runInDurableObject } from "cloudflare:test";
import type { env } from "cloudflare:workers";
import { create, toBinary } from "@bufbuild/protobuf";
import { expect, test } from "vitest";
import { AccountUpSchema } from "../../protocol/gen/account_pb.js";
import { fromHex } from "../../protocol/ids.ts";
import { LIMITS } from "../../protocol/limits.ts";
import { ACCOUNT_HEADER, DEVICE_HEADER } from "../conversation-do/interface.ts";
import { joinConversation, newAccount, newConversation, prekeys, TestSocket, upgrade } from "./testing.ts";

/** The rows of a table of the account's object. */
function rows(stub: ReturnType<typeof env.ACCOUNT.getByName>, table: string): Promise<number> {
	return runInDurableObject(stub, (_, state) => state.storage.sql.exec(`SELECT * FROM ${table}`).toArray().length);
}

test("ACCOUNT-7 one conversation more than the limit is refused and not kept; those that are there go on", async () => {
	const { stub } = await newAccount();
	const first = await joinConversation(stub);
	await runInDurableObject(stub, (_, state) => {
		state.storage.sql.exec(
			`WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?)
			INSERT INTO conversations (conversation, peer) SELECT printf('%064d', i), 'p' FROM n`,
			LIMITS.conversations_per_account - 2,
		);
	});
	expect(await stub.joined(newConversation())).toBe("joined");
	const refused = newConversation();
	expect(await stub.joined(refused)).toBe("too_many_conversations");
	expect(await stub.membership(1, refused.conversation)).toBe("stranger");
	expect(await rows(stub, "conversations")).toBe(LIMITS.conversations_per_account);
	expect(await stub.joined(first)).toBe("joined");
	await stub.nudge(first, [1], 1);
	expect(await rows(stub, "news")).toBe(1);
	await stub.left([first.conversation]);
	expect(await stub.joined(refused)).toBe("joined");
});

test("ACCOUNT-7 news is kept for conversations of the account only, and goes with them", async () => {
	const { id, stub } = await newAccount();
	await stub.nudge(newConversation(), [1], 1);
	expect(await rows(stub, "news")).toBe(0);
	const [one, other] = [await joinConversation(stub), await joinConversation(stub)];
	await stub.addDevice(2, prekeys(1, 1));
	for (const reference of [one, other]) for (const device of [1, 2]) await stub.nudge(reference, [device], 3);
	expect(await rows(stub, "news")).toBe(4);
	await stub.left([one.conversation]);
	await stub.left([one.conversation]);
	expect(await rows(stub, "news")).toBe(2);
	const socket = await TestSocket.ready(id);
	expect(await socket.take(3)).toEqual(["news 3", "end", "counts 30 30"]);
});

test("ACCOUNT-6 a retired account has no devices, closes its sockets and keeps only what a deletion needs", async () => {
	const { id, stub } = await newAccount();
	const { conversation } = await joinConversation(stub);
	const socket = await TestSocket.ready(id);
	await socket.take(2);
	expect([await stub.has(1), await stub.has(2)]).toEqual([true, false]);
	expect(await stub.membership(1, conversation)).toBe("member");
	expect(await stub.membership(2, conversation)).toBe("removed");
	await stub.retire();
	await stub.retire();
	expect(await socket.next()).toBe("refused NOT_ON_ROSTER 0");
	expect(await socket.closed).toBe(4403);
	expect(await stub.has(1)).toBe(false);
	expect(await stub.membership(1, conversation)).toBe("removed");
	expect((await upgrade(id, 1)).status).toBe(403);
	await stub.joined(newConversation());
	expect((await stub.conversations("")).map((reference) => reference.conversation)).toEqual([conversation]);
	for (const table of ["devices", "one_time_ec", "one_time_kyber", "news"]) expect(await rows(stub, table)).toBe(0);
	await stub.erase();
	expect(await stub.conversations("")).toEqual([]);
});

test("REFUSED-2 a mebibyte of garbage and a storm of tiny frames close their sender's socket, and the account goes on", async () => {
	const { id, stub } = await newAccount();
	const garbage = await TestSocket.ready(id);
	await garbage.take(2);
	for (let left = 1024 * 1024; left > 0; left -= 65_536) {
		const piece = crypto.getRandomValues(new Uint8Array(65_536));
		// An unknown wire type first, so that no piece is a frame by chance.
		piece[0] = 0xff;
		garbage.sendRaw(piece);
	}
	expect(await garbage.closed).toBe(4400);
	const storm = await TestSocket.ready(id);
	await storm.take(2);
	const tiny = { case: "seen", value: { conversation: new Uint8Array(32), upTo: 1 } } as const;
	let code: number | undefined;
	void storm.closed.then((closed) => {
		code = closed;
	});
	await stub.nudge(await joinConversation(stub), [1], 1);
	// As many as it takes: tokens come back while frames are read, however fast that is.
	for (let count = 1; code === undefined; count++) {
		storm.send(tiny);
		if (count % (LIMITS.frame_burst + LIMITS.refused_frames) === 0) await scheduler.wait(1);
	}
	expect(code).toBe(4429);
	const next = await TestSocket.ready(id);
	expect(await next.take(3)).toEqual(["news 1", "end", "counts 30 30"]);
});

test("PREKEY-1 a device that runs low of either kind is told", async () => {
	const { id, stub } = await newAccount();
	const keys = prekeys(1, 25);
	await stub.addDevice(2, { ...keys, oneTimeKyberPreKeys: keys.oneTimeKyberPreKeys.slice(0, 3) });
	const socket = await TestSocket.ready(id, 2);
	expect(await socket.take(2)).toEqual(["end", "counts 25 3"]);
	await stub.takePreKeys();
	expect(await socket.next()).toBe("counts 24 2");
	await stub.addDevice(3, { ...keys, oneTimePreKeys: keys.oneTimePreKeys.slice(0, 3) });
	const third = await TestSocket.ready(id, 3);
	expect(await third.take(2)).toEqual(["end", "counts 3 25"]);
	await stub.takePreKeys();
	expect(await third.next()).toBe("counts 2 24");
});

test("SOCKET-1 what a superseded socket still sends does nothing, and is not answered", async () => {
	const { id, stub } = await newAccount();
	const older = await TestSocket.ready(id);
	await older.take(2);
	const reference = await joinConversation(stub);
	await stub.nudge(reference, [1], 5);
	expect(await older.next()).toBe("news 5");
	const seen = toBinary(
		AccountUpSchema,
		create(AccountUpSchema, {
			frame: { case: "seen", value: { conversation: fromHex(reference.conversation), upTo: 5 } },
		}),
	);
	const newer = await runInDurableObject(stub, async (account, state) => {
		const [ours] = state.getWebSockets();
		const headers = { upgrade: "websocket", [ACCOUNT_HEADER]: id, [DEVICE_HEADER]: "1" };
		const response = await account.fetch(new Request("https://account/socket", { headers }));
		// It was on the way when the newer one came.
		if (ours !== undefined) for (const frame of [seen.buffer, "text"]) account.webSocketMessage(ours, frame);
		return response.status;
	});
	expect(newer).toBe(101);
	expect(await rows(stub, "news")).toBe(1);
	expect(await older.next()).toBe("refused SUPERSEDED 0");
	expect(await older.closed).toBe(4001);
	const next = await TestSocket.ready(id);
	expect(await next.take(3)).toEqual(["news 5", "end", "counts 30 30"]);
});

test("SOCKET-1 a second hello is refused, repeats nothing, and the socket stays", async () => {
	const { id, stub } = await newAccount();
	const reference = await joinConversation(stub);
	await stub.nudge(reference, [1], 5);
	const socket = await TestSocket.ready(id);
	expect(await socket.take(3)).toEqual(["news 5", "end", "counts 30 30"]);
	for (const protocolVersion of [1, 2]) socket.send({ case: "hello", value: { protocolVersion } });
	expect(await socket.take(2)).toEqual(["refused MALFORMED 0", "refused MALFORMED 0"]);
	socket.send({ case: "seen", value: { conversation: fromHex(reference.conversation), upTo: 5 } });
	await stub.nudge(reference, [1], 6);
	expect(await socket.next()).toBe("news 6");
});
