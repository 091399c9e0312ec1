import { env } from "cloudflare:workers";
import { expect, test } from "vitest";
import { ConversationList, DeviceList } from "../../protocol/http_devices.ts";
import { directConversationId } from "../../protocol/ids.ts";
import { LIMITS } from "../../protocol/limits.ts";
import { addDevice, call, fixture, furtherDevice, refusal, register } from "../../test/api-caller.ts";
import { TestSocket as AccountSocket } from "../account-do/testing.ts";
import { message, newId, TestSocket, up } from "../conversation-do/testing.ts";
import { DeviceDirectory } from "./directory/devices.ts";
import type { ApiEnv } from "./env.ts";
import { conversationStub } from "./env.ts";
import { sweep } from "./sweep.ts";
import { workThrough } from "./testing.ts";

const UPGRADE = { upgrade: "websocket" };
const DAY_MS = 86_400_000;
const NONE = { send: () => Promise.reject(new Error("down")) } as unknown as Queue;

const consume = (accountId: string, bindings: Partial<ApiEnv> = {}) =>
	workThrough({ type: "devices-changed", accountId }, bindings);

/** Opens a conversation's socket through the api. */
async function talk(peer: string, token: string): Promise<TestSocket> {
	const { webSocket } = await call(`/v1/direct/${peer}/socket`, { token, headers: UPGRADE });
	if (webSocket === null) throw new Error("no socket");
	const socket = new TestSocket(webSocket);
	socket.send(up({ case: "hello", value: { protocolVersion: 1, cursor: 0 } }));
	return socket;
}

const unlink = (device: number, token: string, bindings: Partial<ApiEnv> = {}) =>
	call(`/v1/devices/${device}`, { method: "DELETE", token, bindings });

test("DEVICE-2 devices are listed with their sealed names and days, and renamed", async () => {
	const old = await register(0);
	const { deviceId } = await addDevice(0, 0, old);
	const name = { method: "PUT", token: old.accessToken, body: { sealedName: "c2VhbGVk" } };
	expect((await call(`/v1/devices/${deviceId}/name`, name)).status).toBe(204);
	expect(await refusal(await call("/v1/devices/99/name", name))).toEqual([404, "not_found"]);
	const { devices } = DeviceList.parse(await (await call("/v1/devices", { token: old.accessToken })).json());
	expect(devices.map((device) => [device.deviceId, device.sealedName])).toEqual([
		[1, undefined],
		[2, "c2VhbGVk"],
	]);
	for (const { lastSeenDay } of devices) expect(Math.abs(lastSeenDay - Date.now() / DAY_MS)).toBeLessThan(2);
	const long = { ...name, body: { sealedName: "A".repeat(400) } };
	expect(await refusal(await call(`/v1/devices/${deviceId}/name`, long))).toEqual([400, "malformed"]);
});

test("DEVICE-3 an unlinked device's sockets close, and its token opens nothing any more", async () => {
	const [old, bob] = [await register(1), await register(2)];
	const removed = await addDevice(1, 0, old);
	const { accessToken: token, accountId, deviceId } = removed;
	const upgraded = await call("/v1/socket", { token, headers: UPGRADE });
	if (upgraded.webSocket === null) throw new Error("no socket");
	const account = new AccountSocket(upgraded.webSocket);
	account.send({ case: "hello", value: { protocolVersion: 1 } });
	await account.take(2);
	const conversation = await talk(bob.accountId, token);
	await conversation.take(2);
	const other = await talk(accountId, bob.accessToken);
	await other.take(2);

	// The queue never comes to it: the conversation knows before the answer.
	expect((await unlink(deviceId, old.accessToken, { CHANGES: NONE })).status).toBe(204);
	expect(await account.next()).toBe("refused DEVICE_UNLINKED 0");
	expect(await account.closed).toBe(4403);
	expect(await conversation.next()).toBe("refused NOT_ON_ROSTER 0");
	expect(await conversation.closed).toBe(4403);
	expect(await other.next()).toMatch(/^roster v\d+$/);
	expect(await consume(accountId)).toBe("done");

	const calls: [string, string, unknown?][] = [
		["GET", "/v1/keys"],
		["PUT", "/v1/keys", {}],
		["POST", `/v1/accounts/${bob.accountId}/keys`],
		["GET", `/v1/usernames/${fixture(2).request.usernameHash}`],
		["GET", "/v1/devices"],
		["POST", "/v1/devices/tokens"],
		["PUT", `/v1/links/${"A".repeat(22)}`, { ciphertext: "c2VhbGVk" }],
		["PUT", "/v1/devices/1/name", { sealedName: "c2VhbGVk" }],
		["DELETE", "/v1/devices/1"],
		["DELETE", "/v1/accounts/me"],
		["GET", "/v1/conversations"],
	];
	for (const [method, path, body] of calls) {
		const answer = await call(path, { method, token, ...(body === undefined ? {} : { body }) });
		expect(await refusal(answer), `${method} ${path}`).toEqual([401, "unauthorized"]);
	}
	const never = await register(3);
	for (const path of ["/v1/socket", ...[bob, never, old].map((peer) => `/v1/direct/${peer.accountId}/socket`)]) {
		expect(await refusal(await call(path, { token, headers: UPGRADE })), path).toEqual([401, "unauthorized"]);
	}
	expect((await call("/v1/devices", { token: old.accessToken })).status).toBe(200);
});

test("DEVICE-3 the first device's registration, sent again after it was unlinked, brings nothing back", async () => {
	const old = await register(5);
	const next = await addDevice(5, 0, old);
	expect((await unlink(1, next.accessToken)).status).toBe(204);
	const again = await call("/v1/accounts", { method: "POST", body: fixture(5).request });
	expect(await refusal(again)).toEqual([401, "device_unlinked"]);
	const same = furtherDevice(5, 0, old.accountId, "A".repeat(43));
	expect((await call("/v1/devices", { method: "POST", body: same })).status).toBe(200);
	expect(await refusal(await unlink(next.deviceId, next.accessToken))).toEqual([409, "last_device"]);
});

test("DEVICE-3 a token that an unlinked device had asked for adds nothing", async () => {
	const old = await register(4);
	const bad = await addDevice(4, 0, old);
	const minted = await call("/v1/devices/tokens", { method: "POST", token: bad.accessToken });
	const { token } = (await minted.json()) as { token: string };
	await unlink(bad.deviceId, old.accessToken);
	const body = furtherDevice(4, 1, old.accountId, token);
	expect(await refusal(await call("/v1/devices", { method: "POST", body }))).toEqual([404, "not_found"]);
});

test("DEVICE-6 who shows the secret of an unlinked device is told so; others learn nothing", async () => {
	const old = await register(3);
	const { deviceId } = await addDevice(3, 0, old);
	const { deviceSecret } = furtherDevice(3, 0, old.accountId, "A".repeat(43));
	const refresh = async (secret: string) =>
		refusal(
			await call("/v1/tokens", {
				method: "POST",
				body: { accountId: old.accountId, deviceId, deviceSecret: secret },
			}),
		);
	await unlink(deviceId, old.accessToken);
	expect(await refresh(deviceSecret)).toEqual([401, "device_unlinked"]);
	expect(await refresh("A".repeat(43))).toEqual([401, "unauthorized"]);
});

test("DEVICE-4 every conversation learns of a new and of a removed device, though the consumer crashes half-way", async () => {
	const old = await register(0);
	const peers = [await register(1), await register(2), await register(3)];
	const sockets: TestSocket[] = [];
	for (const peer of peers) {
		const socket = await talk(peer.accountId, old.accessToken);
		await socket.take(2);
		sockets.push(socket);
	}
	const before = new Set((await devicesOf(old.accessToken)).map(({ deviceId }) => deviceId));
	const added = await addDevice(0, 1, old);
	expect(before.has(added.deviceId)).toBe(false);
	// The second conversation's call fails, whichever it is.
	let calls = 0;
	const CONVERSATION = {
		getByName: (name: string) => {
			calls += 1;
			if (calls === 2) return { setDevices: () => Promise.reject(new Error("crashed")) };
			return env.CONVERSATION.getByName(name);
		},
	} as unknown as DurableObjectNamespace;
	expect(await consume(old.accountId, { CONVERSATION })).toBe("again");
	const directory = new DeviceDirectory(env.DIRECTORY);
	expect(await directory.changesBefore(Number.MAX_SAFE_INTEGER)).toContain(old.accountId);
	// The message itself is lost too: the schedule finds the change.
	const found: unknown[] = [];
	const CHANGES = { sendBatch: async (batch: unknown[]) => void found.push(...batch) } as unknown as Queue;
	await sweep({ ...env, CHANGES }, Date.now() + 6 * 60_000);
	expect(found).toContainEqual({ body: { type: "devices-changed", accountId: old.accountId } });
	expect(await consume(old.accountId)).toBe("done");
	expect(await consume(old.accountId)).toBe("done");
	for (const socket of sockets) expect(await socket.next()).toMatch(/^roster v\d+$/);
	expect(await directory.changesBefore(Number.MAX_SAFE_INTEGER)).not.toContain(old.accountId);
});

test("DEVICE-4 an older list of devices that comes late brings no removed device back", async () => {
	const [old, bob] = [await register(4), await register(2)];
	const socket = await talk(bob.accountId, old.accessToken);
	await socket.take(2);
	const { deviceId } = await addDevice(4, 1, old);
	const directory = new DeviceDirectory(env.DIRECTORY);
	const late = await directory.devicesOf(old.accountId);
	await unlink(deviceId, old.accessToken);
	expect(await consume(old.accountId)).toBe("done");
	const conversation = conversationStub(env, await directConversationId(old.accountId, bob.accountId));
	await conversation.setDevices({ account: old.accountId, ...late });
	const token = (await register(4)).accessToken;
	const again = await talk(bob.accountId, token);
	const welcome = await again.next();
	expect(welcome).toMatch(/^welcome 0 v\d+ 0\/0 0\/0$/);
});

test("ROSTER-3 what is sent after a device's removal never reaches it, and what was sent before its arrival neither", async () => {
	const [old, bob] = [await register(1), await register(2)];
	const [rosterOld] = await new DeviceDirectory(env.DIRECTORY).devicesOf(bob.accountId).then(({ devices }) => devices);
	const socket = await talk(bob.accountId, old.accessToken);
	const version = Number(/v(\d+)/.exec(await socket.next())?.[1]);
	await socket.next();
	const to = { account: bob.accountId, device: 1, registrationId: rosterOld?.registrationId ?? 0 };
	socket.send(message(newId(), [to], version, "before"));
	expect(await socket.next()).toMatch(/^accepted/);
	const next = await addDevice(1, 1, old);
	await consume(old.accountId);
	const late = await talk(bob.accountId, next.accessToken);
	expect((await late.take(2)).map((frame) => frame.split(" ")[0])).toEqual(["welcome", "caught"]);
	await unlink(next.deviceId, old.accessToken);
	await consume(old.accountId);
	expect(await late.next()).toBe("refused NOT_ON_ROSTER 0");
});

test("DEVICE-5 the day on which a device was seen is written once a day", async () => {
	const { accountId, deviceId } = await register(0);
	const body = { accountId, deviceId, deviceSecret: fixture(0).request.deviceSecret };
	await env.DIRECTORY.prepare("UPDATE devices SET last_seen_day = 1 WHERE account_id = ?").bind(accountId).run();
	expect((await call("/v1/tokens", { method: "POST", body })).status).toBe(200);
	const token = (await register(0)).accessToken;
	expect((await devicesOf(token))[0]?.lastSeenDay).toBe(Math.floor(Date.now() / DAY_MS));
});

test("SYNC-4 a device learns the account's conversations page by page", async () => {
	const [alice, bob] = [await register(3), await register(0)];
	await talk(bob.accountId, alice.accessToken);
	const conversation = await directConversationId(alice.accountId, bob.accountId);
	const page = async (query: string) =>
		ConversationList.parse(await (await call(`/v1/conversations${query}`, { token: alice.accessToken })).json());
	const first = await page("");
	expect(first.conversations).toContainEqual({ conversation, peer: bob.accountId });
	expect(await page(`?after=${first.next}`)).toEqual({ conversations: [] });
});

test("DEVICE-5 a device that was not seen for 45 days is unlinked and told why; the last one stays", async () => {
	const old = await register(2);
	const idle = await addDevice(2, 0, old);
	const now_ms = Date.now();
	const directory = new DeviceDirectory(env.DIRECTORY);
	await sweep({ ...env, CHANGES: NONE }, now_ms + LIMITS.device_idle_days * DAY_MS);
	expect(await directory.has(old.accountId, idle.deviceId)).toBe(true);
	const later_ms = now_ms + (LIMITS.device_idle_days + 1) * DAY_MS;
	await directory.seen(old.accountId, 1, later_ms);
	await sweep({ ...env, CHANGES: NONE }, later_ms);
	expect(await directory.has(old.accountId, idle.deviceId)).toBe(false);
	const { deviceSecret } = furtherDevice(2, 0, old.accountId, "A".repeat(43));
	const body = { accountId: old.accountId, deviceId: idle.deviceId, deviceSecret };
	expect(await refusal(await call("/v1/tokens", { method: "POST", body }))).toEqual([401, "device_idle"]);
	// Years later both of what is left are idle, and one of them is the last.
	await sweep({ ...env, CHANGES: NONE }, later_ms + 1000 * DAY_MS);
	expect(await directory.has(old.accountId, 1)).toBe(true);
});

async function devicesOf(token: string) {
	return DeviceList.parse(await (await call("/v1/devices", { token })).json()).devices;
}
