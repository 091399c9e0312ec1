/** What an account object refuses or leaves out, case by case. */
import { runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { expect, test } from "vitest";
import { fromHex } from "../../protocol/ids.ts";
import { LIMITS } from "../../protocol/limits.ts";
import { joinConversation, newAccount, newConversation, prekeys, TestSocket } from "./testing.ts";
import { checkDevice, checkEntry, checkReference, readFrame } from "./validate.ts";

test("REFUSED-1 devices, entries and conversations that are none are refused", () => {
	for (const device of [1, 127]) expect(() => checkDevice(device)).not.toThrow();
	for (const device of [0, 128, 1.5]) expect(() => checkDevice(device)).toThrow(RangeError);
	for (const number of [1, 0xffff_ffff]) expect(() => checkEntry(number)).not.toThrow();
	for (const number of [0, 0x1_0000_0000, 1.5]) expect(() => checkEntry(number)).toThrow(RangeError);
	const { conversation, peer } = newConversation();
	for (const who of [peer, ""]) expect(() => checkReference({ conversation, peer: who })).not.toThrow();
	for (const reference of [
		{ conversation: `${conversation}0`, peer },
		{ conversation: `g${conversation.slice(1)}`, peer },
		{ conversation, peer: "somebody" },
	]) {
		expect(() => checkReference(reference)).toThrow(RangeError);
	}
});

test("REFUSED-1 the largest frame is not too large, a longer text is", () => {
	expect(readFrame(new Uint8Array(LIMITS.frame_bytes).buffer)).toBe("malformed");
	expect(readFrame(new Uint8Array(LIMITS.frame_bytes + 1).buffer)).toBe("too_large");
	expect(readFrame("x".repeat(LIMITS.frame_bytes + 1))).toBe("too_large");
});

test("REFUSED-1 what is out of form is kept nowhere", async () => {
	const { stub } = await newAccount();
	const reference = await joinConversation(stub);
	await runInDurableObject(stub, async (account) => {
		const bad = { conversation: "c", peer: "" };
		await expect(account.joined(bad)).rejects.toThrow(RangeError);
		await expect(account.nudge(bad, [1], 1)).rejects.toThrow(RangeError);
		await expect(account.nudge(reference, [1], 0)).rejects.toThrow(RangeError);
		await expect(account.removeDevices([1, 0])).rejects.toThrow(RangeError);
		expect(await account.has(1)).toBe(true);
	});
});

test("NUDGE-1 ACCOUNT-7 strangers are told so, each device has news of its own, and many conversations are left at once", async () => {
	const { stub } = await newAccount();
	await stub.addDevice(2, prekeys(1, 1));
	expect(await stub.nudge(newConversation(), [1], 1)).toBe("stranger");
	const [one, other] = [await joinConversation(stub), await joinConversation(stub)];
	const news = () =>
		runInDurableObject(stub, (_, { storage }) =>
			storage.sql.exec<{ news: string }>("SELECT device || ' ' || up_to AS news FROM news ORDER BY 1").toArray(),
		);
	expect(await stub.nudge(one, [1], 3)).toBe("kept");
	await stub.nudge(one, [1, 2], 3);
	expect(await news()).toEqual([{ news: "1 3" }, { news: "2 3" }]);
	await stub.nudge(one, [2], 7);
	expect(await news()).toEqual([{ news: "1 3" }, { news: "2 7" }]);
	await stub.left([one.conversation, other.conversation]);
	expect(await stub.conversations("")).toEqual([]);
});

test("NUDGE-2 what one device has seen stays for another, and a group's news has no peer", async () => {
	const { id, stub } = await newAccount();
	await stub.addDevice(2, prekeys(1, 30));
	const { conversation } = newConversation();
	await stub.joined({ conversation, peer: "" });
	await stub.nudge({ conversation, peer: "" }, [1, 2], 3);
	const first = await TestSocket.ready(id);
	expect(await first.take(3)).toEqual(["news 3", "end", "counts 30 30"]);
	first.send({ case: "seen", value: { conversation: fromHex(conversation), upTo: 3 } });
	first.sendRaw("x");
	expect(await first.next()).toBe("refused MALFORMED 0");
	expect(await (await TestSocket.ready(id, 2)).take(2)).toEqual(["news 3", "end"]);
});

test("NUDGE-2 a socket that has not said hello gets no news yet, and then once", async () => {
	const { id, stub } = await newAccount();
	const socket = await TestSocket.open(id);
	await stub.nudge(await joinConversation(stub), [1], 4);
	socket.send({ case: "hello", value: { protocolVersion: 0 } });
	socket.send({ case: "hello", value: { protocolVersion: 1 } });
	expect(await socket.take(4)).toEqual(["refused UNSUPPORTED_VERSION 1", "news 4", "end", "counts 30 30"]);
});

test("SOCKET-1 a device that went while its socket opened is shown out at its hello", async () => {
	const { id, stub } = await newAccount();
	const socket = await TestSocket.open(id);
	await runInDurableObject(stub, (_, { storage }) => {
		storage.sql.exec("DELETE FROM devices");
	});
	socket.send({ case: "hello", value: { protocolVersion: 1 } });
	expect(await socket.next()).toBe("refused NOT_ON_ROSTER 0");
	expect(await socket.closed).toBe(4403);
});

test("PREKEY-1 who has no one-time keys is not told so with every take, who lacks one kind is", async () => {
	const { id, stub } = await newAccount(0);
	await stub.addDevice(3, { ...prekeys(1, 1), oneTimePreKeys: [] });
	await stub.addDevice(2, prekeys(1, 1));
	const [none, kyber] = [await TestSocket.ready(id), await TestSocket.ready(id, 3)];
	expect(await none.take(2)).toEqual(["end", "counts 0 0"]);
	expect(await kyber.take(2)).toEqual(["end", "counts 0 1"]);
	expect((await stub.takePreKeys()).map(({ deviceId }) => deviceId)).toEqual([1, 2, 3]);
	none.sendRaw("x");
	expect(await none.next()).toBe("refused MALFORMED 0");
	expect(await kyber.next()).toBe("counts 0 0");
	await stub.addDevice(4, { ...prekeys(1, 1), oneTimeKyberPreKeys: [] });
	const ec = await TestSocket.ready(id, 4);
	expect(await ec.take(2)).toEqual(["end", "counts 1 0"]);
	await stub.takePreKeys();
	expect(await ec.next()).toBe("counts 0 0");
});

test("PREKEY-2 each kind is bounded, needed at first, rotated by a greater id alone, and an id counts once", async () => {
	const stub = env.ACCOUNT.getByName(crypto.randomUUID());
	const { signedPreKey, lastResortKyberPreKey, ...rest } = prekeys(1, 1);
	await runInDurableObject(stub, async (account) => {
		await expect(account.addDevice(1, { ...rest, signedPreKey })).rejects.toThrow(RangeError);
		await expect(account.addDevice(1, { ...rest, lastResortKyberPreKey })).rejects.toThrow(RangeError);
	});
	const [key] = rest.oneTimePreKeys;
	const twice = [
		{ id: 1, key: "ec-1" },
		{ id: 1, key: "other" },
	];
	await stub.addDevice(1, { ...prekeys(1, 0), oneTimePreKeys: twice });
	expect((await stub.takePreKeys())[0]?.oneTimePreKey).toEqual(key);
	const many = prekeys(2, LIMITS.prekeys_kept + 1);
	expect(await stub.uploadPreKeys(1, { ...many, oneTimePreKeys: [] })).toBe("too_many_prekeys");
	expect(await stub.uploadPreKeys(1, { ...many, oneTimeKyberPreKeys: [] })).toBe("too_many_prekeys");
	const uploaded = (id: number, word: string) => ({
		...prekeys(1, 0),
		signedPreKey: { id, key: word, signature: "s" },
		lastResortKyberPreKey: { id, key: word, signature: "s" },
	});
	for (const [id, word] of [
		[1, "same id"],
		[3, "newest"],
		[2, "older"],
	] as const) {
		await stub.uploadPreKeys(1, uploaded(id, word));
		const [taken] = await stub.takePreKeys();
		const expected = id === 1 ? ["signed", "last-resort"] : ["newest", "newest"];
		expect([taken?.signedPreKey.key, taken?.kyberPreKey.key]).toEqual(expected);
	}
});
