import { evictDurableObject, runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { expect, test, vi } from "vitest";
import { fromHex } from "../../protocol/ids.ts";
import { joinConversation, newAccount, newConversation, prekeys, TestSocket, upgrade } from "./testing.ts";

test("NUDGE-1 a nudge arrives at the socket; unknown devices are ignored", async () => {
	const { id, stub } = await newAccount();
	const socket = await TestSocket.ready(id);
	expect(await socket.take(2)).toEqual(["end", "counts 30 30"]);
	await stub.nudge(await joinConversation(stub), [2], 9);
	await stub.nudge(await joinConversation(stub), [1], 7);
	expect(await socket.next()).toBe("news 7");
});

test("NUDGE-2 one news is outstanding for each conversation, and what came meanwhile follows NewsSeen", async () => {
	const { id, stub } = await newAccount();
	const [one, other] = [await joinConversation(stub), await joinConversation(stub)];
	const socket = await TestSocket.ready(id);
	await socket.take(2);
	await stub.nudge(one, [1], 1);
	await stub.nudge(one, [1], 5);
	await stub.nudge(one, [1], 3);
	await stub.nudge(other, [1], 8);
	expect(await socket.take(2)).toEqual(["news 1", "news 8"]);
	socket.send({ case: "seen", value: { conversation: fromHex(one.conversation), upTo: 1 } });
	expect(await socket.next()).toBe("news 5");
	// Seen beyond what is stored, and for a conversation that has no news: nothing is left and nothing is refused.
	socket.send({ case: "seen", value: { conversation: fromHex(one.conversation), upTo: 99 } });
	socket.send({ case: "seen", value: { conversation: fromHex(newConversation().conversation), upTo: 1 } });
	await stub.nudge(one, [1], 100);
	expect(await socket.next()).toBe("news 100");
});

test("NUDGE-2 news waits for a socket, and is sent again on each until it was seen", async () => {
	const { id, stub } = await newAccount();
	const conversation = await joinConversation(stub);
	await stub.nudge(conversation, [1], 2);
	await stub.nudge(conversation, [1], 4);
	const first = await TestSocket.ready(id);
	expect(await first.take(3)).toEqual(["news 4", "end", "counts 30 30"]);
	const second = await TestSocket.open(id);
	await stub.nudge(conversation, [1], 6);
	second.send({ case: "hello", value: { protocolVersion: 1 } });
	expect(await second.take(3)).toEqual(["news 6", "end", "counts 30 30"]);
	second.send({ case: "seen", value: { conversation: fromHex(conversation.conversation), upTo: 6 } });
	second.sendRaw("x");
	expect(await second.next()).toBe("refused MALFORMED 0");
	const third = await TestSocket.ready(id);
	expect(await third.take(2)).toEqual(["end", "counts 30 30"]);
});

test("PREKEY-1 100 concurrent takes get no one-time key twice, then the last resort", async () => {
	const { stub } = await newAccount(60);
	const taken = (await Promise.all(Array.from({ length: 100 }, () => stub.takePreKeys()))).flat();
	expect(taken).toHaveLength(100);
	const ec = taken.flatMap((keys) => (keys.oneTimePreKey === undefined ? [] : [keys.oneTimePreKey.id]));
	const kyber = taken.map((keys) => keys.kyberPreKey.key).filter((key) => key !== "last-resort");
	expect([ec.length, new Set(ec).size, kyber.length, new Set(kyber).size]).toEqual([60, 60, 60, 60]);
	expect(await stub.takePreKeys()).toEqual([
		{
			deviceId: 1,
			signedPreKey: { id: 1, key: "signed", signature: "s" },
			kyberPreKey: { id: 1, key: "last-resort", signature: "s" },
		},
	]);
});

test("PREKEY-1 a device that runs low is told its counts", async () => {
	const { id, stub } = await newAccount(21);
	const socket = await TestSocket.ready(id);
	expect(await socket.take(2)).toEqual(["end", "counts 21 21"]);
	await stub.takePreKeys();
	await stub.takePreKeys();
	expect(await socket.next()).toBe("counts 19 19");
});

test("PREKEY-2 the same upload changes nothing, a handed-out key stays away, and too many store nothing", async () => {
	const { stub } = await newAccount(10);
	const first = (await stub.takePreKeys())[0];
	expect(first?.oneTimePreKey?.id).toBe(1);
	const nine = { oneTimePreKeys: 9, oneTimeKyberPreKeys: 9 };
	expect(await stub.uploadPreKeys(1, prekeys(1, 10))).toEqual(nine);
	await stub.addDevice(1, prekeys(1, 10));
	expect((await stub.takePreKeys())[0]?.oneTimePreKey?.id).toBe(2);
	expect(await stub.uploadPreKeys(1, prekeys(11, 193))).toBe("too_many_prekeys");
	expect(await stub.preKeyCounts(1)).toEqual({ oneTimePreKeys: 8, oneTimeKyberPreKeys: 8 });
	expect(await stub.uploadPreKeys(1, prekeys(11, 192))).toEqual({ oneTimePreKeys: 200, oneTimeKyberPreKeys: 200 });
	expect(await stub.uploadPreKeys(2, prekeys(1, 1))).toBe("unknown_device");
	expect(await stub.preKeyCounts(2)).toBe("unknown_device");
});

test("PREKEY-2 a rotated signed prekey is not brought back by an old upload", async () => {
	const { stub } = await newAccount(1);
	const rotated = { ...prekeys(2, 0), signedPreKey: { id: 2, key: "newer", signature: "s" } };
	await stub.uploadPreKeys(1, rotated);
	await stub.uploadPreKeys(1, prekeys(1, 1));
	expect((await stub.takePreKeys())[0]?.signedPreKey).toEqual(rotated.signedPreKey);
});

test("SOCKET-1 the newer socket wins, the older is told and closed; others of the account stay", async () => {
	const { id, stub } = await newAccount();
	await stub.addDevice(2, prekeys(1, 30));
	const other = await TestSocket.ready(id, 2);
	await other.take(2);
	const older = await TestSocket.ready(id);
	await older.take(2);
	const newer = await TestSocket.ready(id);
	expect(await older.next()).toBe("refused SUPERSEDED 0");
	expect(await older.closed).toBe(4001);
	await newer.take(2);
	await stub.nudge(await joinConversation(stub), [1], 3);
	expect(await newer.next()).toBe("news 3");
	await stub.nudge(await joinConversation(stub), [2], 4);
	expect(await other.next()).toBe("news 4");
});

test("SOCKET-1 only an upgrade by a device of this account is accepted, and a close is answered", async () => {
	const { id } = await newAccount();
	expect((await upgrade(id, 1, {})).status).toBe(426);
	expect((await upgrade(id, 2)).status).toBe(403);
	expect((await upgrade(id, 1, { upgrade: "websocket", "x-parley-account": crypto.randomUUID() })).status).toBe(403);
	const socket = await TestSocket.ready(id);
	await socket.take(2);
	socket.close(4000);
	expect(await socket.closed).toBe(4000);
	const silent = await TestSocket.ready(id);
	await silent.take(2);
	silent.close();
	expect(await silent.closed).toBe(1005);
});

test("REFUSED-1 each refusal is one code, and the connection survives", async () => {
	const { id } = await newAccount();
	const socket = await TestSocket.open(id);
	const seen = { conversation: new Uint8Array(32), upTo: 1 };
	socket.send({ case: "seen", value: seen });
	socket.send({ case: "hello", value: { protocolVersion: 2 } });
	socket.send({ case: "seen", value: { ...seen, conversation: new Uint8Array(31) } });
	socket.sendRaw(new Uint8Array());
	socket.sendRaw("text");
	socket.sendRaw(new Uint8Array(128 * 1024 + 1));
	expect(await socket.take(6)).toEqual([
		"refused HELLO_EXPECTED 0",
		"refused UNSUPPORTED_VERSION 1",
		"refused MALFORMED 0",
		"refused MALFORMED 0",
		"refused MALFORMED 0",
		"refused FRAME_TOO_LARGE 131072",
	]);
	socket.send({ case: "hello", value: { protocolVersion: 1 } });
	expect(await socket.take(2)).toEqual(["end", "counts 30 30"]);
	socket.send({ case: "hello", value: { protocolVersion: 1 } });
	expect(await socket.next()).toBe("refused MALFORMED 0");
});

test("REFUSED-2 16 malformed frames close the socket with 4400, and the account goes on", async () => {
	const { id, stub } = await newAccount();
	const socket = await TestSocket.ready(id);
	await socket.take(2);
	for (let count = 0; count < 16; count++) socket.sendRaw(new Uint8Array([0xff]));
	expect(await socket.closed).toBe(4400);
	await stub.nudge(await joinConversation(stub), [1], 5);
	const next = await TestSocket.ready(id);
	expect(await next.next()).toBe("news 5");
});

test("REFUSED-2 REFUSED-1 a frame beyond the rate is told when to try again, and the 1,000th closes the socket with 4429", async () => {
	const { id, stub } = await newAccount();
	const socket = await TestSocket.ready(id);
	await socket.take(2);
	await runInDurableObject(stub, (_account, state) => {
		for (const ours of state.getWebSockets()) {
			// No tokens, and a clock that is ahead, so that none is earned however slow this test runs.
			const pace = { tokens: 0, at_ms: Date.now() + 3_600_000, malformed: 0, beyond: 998, refused_at_ms: 0 };
			ours.serializeAttachment({ ...ours.deserializeAttachment(), pace });
		}
	});
	const seen = { conversation: new Uint8Array(32), upTo: 1 };
	for (let count = 0; count < 2; count++) socket.send({ case: "seen", value: seen });
	const refused = "refused RATE_LIMITED 0, again after 500";
	expect(await socket.take(2)).toEqual([refused, refused]);
	expect(await socket.closed).toBe(4429);
	expect(await stub.preKeyCounts(1)).toEqual({ oneTimePreKeys: 30, oneTimeKyberPreKeys: 30 });
});

test("REFUSED-1 a fault of ours is told as INTERNAL, logged by name, and closes the socket with 4500", async () => {
	const log = vi.spyOn(console, "error").mockImplementation(() => undefined);
	const { id, stub } = await newAccount();
	const socket = await TestSocket.ready(id);
	await socket.take(2);
	await runInDurableObject(stub, (_account, state) => {
		state.storage.sql.exec("DROP TABLE news");
	});
	socket.send({ case: "seen", value: { conversation: new Uint8Array(32), upTo: 1 } });
	expect(await socket.next()).toBe("refused INTERNAL 0");
	expect(await socket.closed).toBe(4500);
	expect(log.mock.calls).toEqual([["account, frame: Error"]]);
	log.mockRestore();
});

test("NUDGE-1 the device is told the peer of its account's list, though the conversation has forgotten it", async () => {
	const { id, stub } = await newAccount();
	const { conversation, peer } = await joinConversation(stub);
	await stub.nudge({ conversation, peer: "" }, [1], 3);
	const waiting = await runInDurableObject(stub, (_account, { storage }) =>
		storage.sql.exec("SELECT conversation, peer FROM news").toArray(),
	);
	expect(waiting).toEqual([{ conversation, peer }]);
	expect(await (await TestSocket.ready(id)).next()).toBe("news 3");
});

test("NUDGE-2 a nudge costs one row, and a repeated one none", async () => {
	const { stub } = await newAccount();
	await runInDurableObject(stub, async (account, state) => {
		const conversation = newConversation();
		await account.joined(conversation);
		const written = async (upTo: number) => {
			const before = state.storage.sql.exec("SELECT total_changes() AS n").one().n;
			await account.nudge(conversation, [1], upTo);
			return Number(state.storage.sql.exec("SELECT total_changes() AS n").one().n) - Number(before);
		};
		expect([await written(4), await written(4), await written(3), await written(5)]).toEqual([1, 0, 0, 1]);
		for (const [table, columns] of [
			["one_time_ec (device, id, key)", "2, 1, 'k'"],
			["one_time_kyber (device, id, key, signature)", "2, 1, 'k', 's'"],
			["conversations (conversation, peer)", "'c', 'p'"],
			["news (device, conversation, peer, up_to)", "2, 'c', 'p', 1"],
		]) {
			expect(state.storage.sql.exec(`INSERT INTO ${table} VALUES (${columns})`).rowsWritten).toBe(1);
		}
	});
});

test("PREKEY-2 a first upload that is not complete or too large registers nothing", async () => {
	const stub = env.ACCOUNT.getByName(crypto.randomUUID());
	await runInDurableObject(stub, async (account) => {
		const { oneTimePreKeys, oneTimeKyberPreKeys } = prekeys(1, 1);
		await expect(account.addDevice(1, { oneTimePreKeys, oneTimeKyberPreKeys })).rejects.toThrow(RangeError);
		await expect(account.addDevice(1, prekeys(1, 201))).rejects.toThrow(RangeError);
		await expect(account.addDevice(0, prekeys(1, 1))).rejects.toThrow(RangeError);
		expect(await account.takePreKeys()).toEqual([]);
	});
});

test("IDLE-1 an evicted object keeps its socket, and a nudge still arrives", async () => {
	const { id, stub } = await newAccount();
	const conversation = await joinConversation(stub);
	const socket = await TestSocket.ready(id);
	await socket.take(2);
	socket.sendRaw("ping");
	expect(await socket.next()).toBe("pong");
	await evictDurableObject(stub, { webSockets: "hibernate" });
	await stub.nudge(conversation, [1], 1);
	expect(await socket.next()).toBe("news 1");
	await evictDurableObject(stub, { webSockets: "hibernate" });
	await stub.nudge(conversation, [1], 2);
	await evictDurableObject(stub, { webSockets: "hibernate" });
	socket.send({ case: "seen", value: { conversation: fromHex(conversation.conversation), upTo: 1 } });
	expect(await socket.next()).toBe("news 2");
});

test("ACCOUNT-4 conversations, whose rosters a deletion has to leave, are listed by id in pages of 500", async () => {
	const { stub } = await newAccount();
	const references = Array.from({ length: 501 }, newConversation);
	await Promise.all(references.map((reference) => stub.joined(reference)));
	await stub.joined(references[0] ?? newConversation());
	const ids = references.map((reference) => reference.conversation).sort();
	const page = (await stub.conversations("")).map((reference) => reference.conversation);
	expect(page).toEqual(ids.slice(0, 500));
	expect((await stub.conversations(page.at(-1) ?? "")).map(({ conversation }) => conversation)).toEqual(ids.slice(500));
});

test("ACCOUNT-4 erase removes everything, closes sockets, and nothing fills the object again", async () => {
	const { id, stub } = await newAccount();
	const conversation = await joinConversation(stub);
	await stub.nudge(conversation, [1], 1);
	const socket = await TestSocket.ready(id);
	await socket.take(3);
	await stub.erase();
	await stub.erase();
	expect(await socket.next()).toBe("refused NOT_ON_ROSTER 0");
	expect(await socket.closed).toBe(4403);
	await evictDurableObject(stub);
	await stub.joined(conversation);
	await stub.nudge(conversation, [1], 1);
	expect(await stub.uploadPreKeys(1, prekeys(1, 1))).toBe("unknown_device");
	expect(await stub.takePreKeys()).toEqual([]);
	expect(await stub.conversations("")).toEqual([]);
	expect((await upgrade(id, 1)).status).toBe(403);
	await runInDurableObject(env.ACCOUNT.getByName(id), async (account, state) => {
		await expect(account.addDevice(1, prekeys(1, 1))).rejects.toThrow("account erased");
		for (const table of ["devices", "one_time_ec", "one_time_kyber", "conversations", "news"]) {
			expect(state.storage.sql.exec(`SELECT * FROM ${table}`).toArray()).toEqual([]);
		}
	});
});

test("DEVICE-3 removed devices lose keys, news and sockets; others keep theirs", async () => {
	const { id, stub } = await newAccount();
	await stub.addDevice(2, prekeys(1, 30));
	const conversation = newConversation();
	await stub.joined(conversation);
	const [other, removed] = [await TestSocket.ready(id), await TestSocket.ready(id, 2)];
	await other.take(2);
	await removed.take(2);
	await stub.nudge(conversation, [2], 1);
	expect(await removed.next()).toBe("news 1");
	await stub.removeDevices([2, 9]);
	await stub.removeDevices([2]);
	expect(await removed.next()).toBe("refused DEVICE_UNLINKED 0");
	expect(await removed.closed).toBe(4403);
	expect((await upgrade(id, 2)).status).toBe(403);
	expect(await stub.uploadPreKeys(2, prekeys(31, 1))).toBe("unknown_device");
	expect((await stub.takePreKeys()).map(({ deviceId }) => deviceId)).toEqual([1]);
	await stub.nudge(conversation, [2], 2);
	await stub.nudge(conversation, [1], 2);
	expect(await other.next()).toBe("news 2");
	await runInDurableObject(stub, (_account, state) => {
		for (const table of ["devices", "one_time_ec", "one_time_kyber", "news"]) {
			expect(state.storage.sql.exec(`SELECT * FROM ${table} WHERE device = 2`).toArray()).toEqual([]);
		}
	});
});
