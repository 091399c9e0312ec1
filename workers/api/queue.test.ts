/** What the queue's messages do by themselves, when the request that sent them reached nothing else. */
import { createExecutionContext, createMessageBatch, getQueueResult, listDurableObjectIds } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { expect, test } from "vitest";
import { directConversationId } from "../../protocol/ids.ts";
import { addDevice, call, refusal, register } from "../../test/api-caller.ts";
import { consumeChanges } from "./changes.ts";
import { DeviceDirectory } from "./directory/devices.ts";
import { Directory } from "./directory/directory.ts";
import { type ApiEnv, accountStub, conversationStub } from "./env.ts";
import { mediaSubject } from "./media.ts";
import { workThrough } from "./testing.ts";

const UPGRADE = { upgrade: "websocket" };
const devices = new DeviceDirectory(env.DIRECTORY);
const noted = async (accountId: string) => (await devices.changesBefore(Number.MAX_SAFE_INTEGER)).includes(accountId);

/** Works through one message; what it sends is returned. */
async function workOnce(body: unknown): Promise<unknown[]> {
	const sent: unknown[] = [];
	const CHANGES = { send: async (next: unknown) => void sent.push(next) } as unknown as Queue;
	const batch = createMessageBatch("parley-changes", [{ id: "1", timestamp: new Date(), attempts: 1, body }]);
	await consumeChanges({ ...env, CHANGES }, batch);
	expect((await getQueueResult(batch, createExecutionContext())).explicitAcks).toEqual(["1"]);
	return sent;
}

async function talk(peer: string, token: string): Promise<void> {
	const { webSocket } = await call(`/v1/direct/${peer}/socket`, { token, headers: UPGRADE });
	webSocket?.accept();
	webSocket?.close(1000);
}

test("ACCOUNT-4 ACCOUNT-6 BLOB-5 a deletion that reached no object is finished by its message: tokens, rosters, files", async () => {
	const [alice, bob] = [await register(0), await register(1)];
	await talk(bob.accountId, alice.accessToken);
	const down = { getByName: () => ({ retire: () => Promise.reject(new Error("down")) }) };
	const CHANGES = { send: async () => undefined } as unknown as Queue;
	const deleted = await call("/v1/accounts/me", {
		...{ method: "DELETE", token: alice.accessToken },
		bindings: { ACCOUNT: down as unknown as DurableObjectNamespace, CHANGES },
	});
	expect(deleted.status).toBe(204);
	const object = accountStub(env, alice.accountId);
	expect(await object.has(1)).toBe(true);
	const erased: string[] = [];
	const MEDIA = {
		eraseSubject: async (subject: string) => (erased.push(subject) < 3 ? "more" : "done"),
	} as unknown as ApiEnv["MEDIA"];
	expect(await workThrough({ type: "account-deleted", accountId: alice.accountId }, { MEDIA })).toBe("done");
	expect(erased).toEqual(Array.from({ length: 3 }, () => expect.any(String)));
	expect(new Set(erased)).toEqual(new Set([await mediaSubject(env, alice.accountId)]));
	expect(await object.has(1)).toBe(false);
	expect(await object.conversations("")).toEqual([]);
	const conversation = conversationStub(env, await directConversationId(alice.accountId, bob.accountId));
	expect(await conversation.membersAmong([alice.accountId, bob.accountId])).toEqual([bob.accountId]);
	expect(await new Directory(env.DIRECTORY).deletionsBefore(Number.MAX_SAFE_INTEGER)).toEqual([]);
});

test("ACCOUNT-4 a deletion stays noted, and its object keeps its list, until files and conversations are done", async () => {
	const alice = await register(2);
	await talk(alice.accountId, alice.accessToken);
	const CHANGES = { send: async () => undefined } as unknown as Queue;
	const down = { getByName: () => ({ retire: () => Promise.reject(new Error("down")) }) };
	const ACCOUNT = down as unknown as DurableObjectNamespace;
	await call("/v1/accounts/me", { method: "DELETE", token: alice.accessToken, bindings: { ACCOUNT, CHANGES } });
	const message = { type: "account-deleted", accountId: alice.accountId };
	const directory = new Directory(env.DIRECTORY);
	const silent = { removeMember: () => Promise.reject(new Error("down")) };
	const CONVERSATION = { getByName: () => silent } as unknown as DurableObjectNamespace;
	expect(await workThrough(message, { CONVERSATION })).toBe("again");
	expect(await accountStub(env, alice.accountId).conversations("")).toHaveLength(1);
	// Its tokens open nothing from the first attempt on.
	expect(await accountStub(env, alice.accountId).has(1)).toBe(false);
	const MEDIA = { eraseSubject: () => Promise.reject(new Error("down")) } as unknown as ApiEnv["MEDIA"];
	expect(await workThrough(message, { MEDIA })).toBe("again");
	expect(await directory.deletionsBefore(Number.MAX_SAFE_INTEGER)).toEqual([alice.accountId]);
	expect(await workThrough(message)).toBe("done");
	expect(await directory.deletionsBefore(Number.MAX_SAFE_INTEGER)).toEqual([]);
});

test("DEVICE-3 DEVICE-4 a removal that reached no object is finished by its message, conversation by conversation", async () => {
	const [alice, bob] = [await register(3), await register(4)];
	await talk(bob.accountId, alice.accessToken);
	const next = await addDevice(3, 0, alice);
	await workThrough({ type: "devices-changed", accountId: alice.accountId });
	expect(await noted(alice.accountId)).toBe(false);
	// As the sweep removes it.
	await devices.remove(alice.accountId, next.deviceId, "idle", Date.now());
	const { version } = await devices.devicesOf(alice.accountId);
	const object = accountStub(env, alice.accountId);
	expect(await object.has(next.deviceId)).toBe(true);
	const conversation = await directConversationId(alice.accountId, bob.accountId);
	const message = { type: "devices-changed", accountId: alice.accountId };
	const [rest, ...more] = await workOnce(message);
	expect(await object.has(next.deviceId)).toBe(false);
	// Not done before a page is empty.
	expect([rest, more]).toEqual([{ ...message, after: conversation, version }, []]);
	expect(await noted(alice.accountId)).toBe(true);
	// Where an earlier page was told an older list, the newer change stays noted.
	expect(await workOnce({ ...message, after: conversation, version: version - 1 })).toEqual([]);
	expect(await noted(alice.accountId)).toBe(true);
	expect(await workOnce(rest)).toEqual([]);
	expect(await noted(alice.accountId)).toBe(false);
});

test("CONVERSATION-2 GROUP-4 a stranger's look at a made-up group wakes no object, and many looks are refused", async () => {
	const { accessToken: token } = await register(5);
	const objects = async () => (await listDurableObjectIds(env.CONVERSATION)).length;
	const before = await objects();
	const path = `/v1/groups/${"b".repeat(64)}`;
	const [messageId, linkSecret] = ["A".repeat(22), "A".repeat(43)];
	const closed = { getByName: () => expect.unreachable("an object was asked") };
	const bindings = { CONVERSATION: closed as unknown as DurableObjectNamespace };
	expect(await refusal(await call(`${path}/socket`, { token, headers: UPGRADE, bindings }))).toEqual([
		404,
		"not_found",
	]);
	const change = { method: "POST", token, bindings, body: { messageId, version: 2, state: "c2VhbGVk" } };
	expect(await refusal(await call(`${path}/changes`, change))).toEqual([404, "not_found"]);
	const spent = { LIMIT_LOOKUP: { limit: async () => ({ success: false }) } };
	expect(await refusal(await call(path, { token, bindings: spent }))).toEqual([429, "rate_limited"]);
	const ask = { method: "POST", token, bindings: spent, body: { messageId, linkSecret } };
	expect(await refusal(await call(`${path}/requests`, ask))).toEqual([429, "rate_limited"]);
	expect(await objects()).toBe(before);
});
