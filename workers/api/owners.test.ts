/** Whose a device, a token or a row is: nobody else's request sees or changes it, and nothing of it is told or kept. */
import { env } from "cloudflare:workers";
import { sign } from "hono/jwt";
import { decodeBase64Url } from "hono/utils/encode";
import { expect, test, vi } from "vitest";
import { PreKeyBundles } from "../../protocol/http.ts";
import { DeviceList, DeviceToken } from "../../protocol/http_devices.ts";
import { toHex } from "../../protocol/ids.ts";
import { addDevice, call, fixture, furtherDevice, refusal, register } from "../../test/api-caller.ts";
import { DeviceDirectory } from "./directory/devices.ts";
import { Directory } from "./directory/directory.ts";
import { accountStub } from "./env.ts";
import { mediaSubject } from "./media.ts";
import { asCaller } from "./sockets.ts";
import { verifyToken } from "./tokens.ts";

const DAY_MS = 86_400_000;
const ANY = "A".repeat(43);
const devices = new DeviceDirectory(env.DIRECTORY);

/** A queue that keeps what it is sent. */
function listen() {
	const sent: unknown[] = [];
	return { sent, CHANGES: { send: async (body: unknown) => void sent.push(body) } as unknown as Queue };
}

test("DEVICE-3 a device is listed, named and unlinked by its own account alone, though others have one of its number", async () => {
	const [alice, bob] = [await register(0), await register(1)];
	const [hers, his] = [await addDevice(0, 0, alice), await addDevice(1, 0, bob)];
	expect(hers.deviceId).toBe(his.deviceId);
	const names = async (token: string) => {
		const { devices } = DeviceList.parse(await (await call("/v1/devices", { token })).json());
		return devices.map(({ deviceId, sealedName }) => [deviceId, sealedName]);
	};
	const before = await names(bob.accessToken);
	expect(before).toHaveLength(2);
	const body = { sealedName: "aGVycw" };
	const path = `/v1/devices/${hers.deviceId}`;
	expect((await call(`${path}/name`, { method: "PUT", token: alice.accessToken, body })).status).toBe(204);
	expect(await names(alice.accessToken)).toContainEqual([hers.deviceId, "aGVycw"]);
	expect((await call(path, { method: "DELETE", token: alice.accessToken })).status).toBe(204);
	expect(await names(bob.accessToken)).toEqual(before);
	expect((await call("/v1/keys", { token: his.accessToken })).status).toBe(200);
});

test("DEVICE-3 ACCOUNT-6 an unlinked device's token links nothing, founds no group and gets no grant", async () => {
	const [alice, bob] = [await register(2), await register(3)];
	const { accessToken: token, deviceId } = await addDevice(2, 0, alice);
	expect((await call(`/v1/devices/${deviceId}`, { method: "DELETE", token: alice.accessToken })).status).toBe(204);
	const group = `/v1/groups/${"a".repeat(64)}`;
	const messageId = "A".repeat(22);
	const rules = { add: "admins", edit: "admins", send: "admins", link: false, approval: false };
	const calls: [string, string, unknown?][] = [
		["PUT", `/v1/links/${messageId}`, { ciphertext: "c2VhbGVk" }],
		["POST", group, { seed: ANY, messageId, members: [], rules, state: "c2VhbGVk" }],
		["POST", `${group}/changes`, { messageId, version: 2, state: "c2VhbGVk", linkSecret: ANY }],
		["POST", `${group}/requests`, { messageId, linkSecret: ANY }],
		["GET", group],
		["GET", `${group}/socket`],
		["POST", "/v1/media/grants"],
	];
	for (const [method, path, body] of calls) {
		const headers = path.endsWith("/socket") ? { upgrade: "websocket" } : {};
		const answer = await call(path, { method, token, headers, ...(body === undefined ? {} : { body }) });
		expect(await refusal(answer), `${method} ${path}`).toEqual([401, "unauthorized"]);
	}
	expect((await call(`/v1/accounts/${bob.accountId}/keys`, { method: "POST", token: alice.accessToken })).status).toBe(
		200,
	);
});

test("DEVICE-3 prekeys of a device that is only being added are handed to nobody", async () => {
	const [alice, bob] = [await register(4), await register(5)];
	const minted = await call("/v1/devices/tokens", { method: "POST", token: alice.accessToken });
	const { token } = DeviceToken.parse(await minted.json());
	const request = furtherDevice(4, 0, alice.accountId, token);
	await accountStub(env, alice.accountId).addDevice(9, request);
	const claimed = await call(`/v1/accounts/${alice.accountId}/keys`, { method: "POST", token: bob.accessToken });
	const bundles = PreKeyBundles.parse(await claimed.json());
	expect(bundles.devices.map(({ deviceId }) => deviceId)).toEqual([1]);
	await accountStub(env, alice.accountId).removeDevices([9]);
});

test("DEVICE-4 a new and an unlinked device are announced at once, not only by the schedule", async () => {
	const alice = await register(5);
	const { sent, CHANGES } = listen();
	const minted = await call("/v1/devices/tokens", { method: "POST", token: alice.accessToken });
	const { token } = DeviceToken.parse(await minted.json());
	const body = furtherDevice(5, 0, alice.accountId, token);
	const added = await call("/v1/devices", { method: "POST", body, bindings: { CHANGES } });
	const { deviceId } = (await added.json()) as { deviceId: number };
	const change = { type: "devices-changed", accountId: alice.accountId };
	expect(sent).toEqual([change]);
	const options = { method: "DELETE", token: alice.accessToken, bindings: { CHANGES } };
	expect((await call(`/v1/devices/${deviceId}`, options)).status).toBe(204);
	expect(sent).toEqual([change, change]);
});

test("DEVICE-4 the note of a change stays until that version, or a later one, is everywhere", async () => {
	const { accountId } = await register(5);
	const noted = async () => (await devices.changesBefore(Number.MAX_SAFE_INTEGER)).includes(accountId);
	await devices.changeDone(accountId, Number.MAX_SAFE_INTEGER);
	const [alice] = [await register(5)];
	const { deviceId } = await addDevice(5, 1, alice);
	const { version: before } = await devices.devicesOf(accountId);
	await call(`/v1/devices/${deviceId}`, { method: "DELETE", token: alice.accessToken });
	const { version } = await devices.devicesOf(accountId);
	expect(version).toBe(before + 1);
	await devices.changeDone(accountId, before);
	expect(await noted()).toBe(true);
	await devices.changeDone(accountId, version);
	expect(await noted()).toBe(false);
});

test("DEVICE-5 the day of a device is written when it is a later one, and never goes back", async () => {
	const { accountId } = await register(0);
	let writes = 0;
	const counting = new Proxy(env.DIRECTORY, {
		get(target, name) {
			if (name !== "prepare") return Reflect.get(target, name);
			return (sql: string) => {
				if (/^update/i.test(sql)) writes += 1;
				return target.prepare(sql);
			};
		},
	});
	const directory = new DeviceDirectory(counting);
	const later_ms = Date.now() + 3 * DAY_MS;
	for (const time_ms of [later_ms, later_ms, later_ms + 1, later_ms - 2 * DAY_MS]) {
		await directory.seen(accountId, 1, time_ms);
	}
	expect(writes).toBe(1);
	const [first] = await devices.list(accountId);
	expect(first?.lastSeenDay).toBe(Math.floor(later_ms / DAY_MS));
});

test("DEVICE-6 that a device was unlinked is remembered for 400 days, and then forgotten", async () => {
	const alice = await register(3);
	const { deviceId } = await addDevice(3, 0, alice);
	const now_ms = Date.now();
	await call(`/v1/devices/${deviceId}`, { method: "DELETE", token: alice.accessToken });
	await devices.forgetRemoved(now_ms + 400 * DAY_MS - 60_000);
	expect(await devices.removedOf(alice.accountId)).toContain(deviceId);
	await devices.forgetRemoved(now_ms + 400 * DAY_MS + 60_000);
	expect(await devices.removedOf(alice.accountId)).not.toContain(deviceId);
	expect(await devices.secretHash(alice.accountId, deviceId)).toBeUndefined();
});

test("ACCOUNT-1 of two who take a forgotten reservation over at once one gets it", async () => {
	const directory = new Directory(env.DIRECTORY);
	const hash = "cd".repeat(32);
	await directory.reserve(hash, "0".repeat(64), 1_000);
	const late_ms = 1_000_000;
	const secrets = Array.from({ length: 6 }, (_, index) => String(index + 1).repeat(64));
	const got = await Promise.all(secrets.map((secret) => directory.reserve(hash, secret, late_ms)));
	expect(got.filter((one) => one !== "username_taken")).toHaveLength(1);
});

test("ACCOUNT-2 of a device secret only its hash is stored, in no other form either", async () => {
	const { accountId } = await register(1);
	const { deviceSecret } = fixture(1).request;
	const bytes = decodeBase64Url(deviceSecret);
	const stored = await devices.secretHash(accountId, 1);
	expect(stored?.secretHash).toBe(toHex(new Uint8Array(await crypto.subtle.digest("SHA-256", bytes))));
	for (const table of ["usernames", "devices"]) {
		const { results } = await env.DIRECTORY.prepare(`SELECT * FROM ${table}`).all();
		for (const form of [deviceSecret, toHex(bytes), Buffer.from(bytes).toString("base64")]) {
			expect(JSON.stringify(results)).not.toContain(form);
		}
	}
});

test("ACCOUNT-2 what a fault says inside is neither answered nor logged", async () => {
	const logged: string[] = [];
	const spies = (["error", "warn", "log"] as const).map((level) =>
		vi.spyOn(console, level).mockImplementation((...parts: unknown[]) => void logged.push(parts.join(" "))),
	);
	const DIRECTORY = { prepare: () => fail(), batch: () => fail() } as unknown as D1Database;
	const response = await call("/v1/accounts", { method: "POST", body: fixture(4).request, bindings: { DIRECTORY } });
	for (const spy of spies) spy.mockRestore();
	expect(response.status).toBe(500);
	expect(await response.text()).not.toContain("secret row");
	expect(logged.join("\n")).toContain("POST /v1/accounts");
	expect(logged.join("\n")).not.toContain("secret row");
});

function fail(): never {
	throw new Error("secret row");
}

test("ACCOUNT-3 a token is good to the second of its end, under a secret that nobody guesses, and names a device", async () => {
	const { accountId } = await register(0);
	const now_s = 1_800_000_000;
	const claims = { sub: accountId, did: 1, iat: now_s, exp: now_s + 900 };
	const at = async (token: string, time_ms: number, bindings = {}) => {
		try {
			return await verifyToken({ ...env, ...bindings }, token, time_ms);
		} catch (error) {
			return error instanceof Error && "code" in error ? error.code : error;
		}
	};
	const token = await sign(claims, env.TOKEN_SECRET, "HS256");
	expect(await at(token, (now_s + 900) * 1000 - 1)).toEqual({ accountId, device: 1 });
	expect(await at(token, (now_s + 900) * 1000)).toBe("token_expired");
	const weak = await sign(claims, "y".repeat(31), "HS256");
	expect(await at(weak, now_s * 1000, { TOKEN_SECRET_PREVIOUS: "y".repeat(31) })).toBe("unauthorized");
	for (const wrong of [{ did: 0 }, { did: 128 }, { did: 1.5 }, { sub: "me" }, { exp: now_s + 900.5 }]) {
		const signed = await sign({ ...claims, ...wrong }, env.TOKEN_SECRET, "HS256");
		expect(await at(signed, now_s * 1000), JSON.stringify(wrong)).toBe("unauthorized");
	}
});

test("REFUSED-1 an operation whose body is of another type than JSON is refused, not taken for one without a body", async () => {
	const { accessToken: token } = await register(0);
	const path = `/v1/groups/${"a".repeat(64)}`;
	for (const [method, where] of [
		["POST", "/v1/accounts"],
		["POST", "/v1/tokens"],
		["POST", "/v1/devices"],
		["POST", "/v1/links"],
		["PUT", `/v1/links/${"A".repeat(22)}`],
		["PUT", "/v1/devices/1/name"],
		["PUT", "/v1/keys"],
		["POST", path],
		["POST", `${path}/changes`],
		["POST", `${path}/requests`],
	] as const) {
		const headers = { "content-type": "text/plain" };
		const response = await call(where, { method, token, headers, raw: JSON.stringify(fixture(0).request) });
		expect(await refusal(response), `${method} ${where}`).toEqual([400, "malformed"]);
	}
});

test("LINK-2 who asks a mailbox again and again is limited by address", async () => {
	let left = 2;
	const LIMIT_LINK: RateLimit = { limit: async () => ({ success: left-- > 0 }) };
	const take = () => call(`/v1/links/${"B".repeat(22)}/take`, { method: "POST", bindings: { LIMIT_LINK } });
	expect([(await take()).status, (await take()).status]).toEqual([404, 404]);
	expect(await refusal(await take())).toEqual([429, "rate_limited"]);
});

test("DEVICE-3 ACCOUNT-6 an unlinked device opens no conversation that it was in, before any of them hears of it", async () => {
	const [alice, bob] = [await register(1), await register(2)];
	const next = await addDevice(1, 1, alice);
	const open = (token: string) =>
		call(`/v1/direct/${bob.accountId}/socket`, { token, headers: { upgrade: "websocket" } });
	expect((await open(next.accessToken)).status).toBe(101);
	const CHANGES = { send: async () => undefined } as unknown as Queue;
	const options = { method: "DELETE", token: alice.accessToken, bindings: { CHANGES } };
	expect((await call(`/v1/devices/${next.deviceId}`, options)).status).toBe(204);
	expect(await refusal(await open(next.accessToken))).toEqual([401, "unauthorized"]);
	expect((await open(alice.accessToken)).status).toBe(101);
});

test("ACCOUNT-3 an object is told whose request it is, and gets no token", () => {
	const headers = { authorization: "Bearer x", "x-parley-account": "somebody", "x-parley-device": "9" };
	const request = new Request("https://parley.test/v1/socket", { headers: { ...headers, upgrade: "websocket" } });
	const passed = asCaller(request, { accountId: "me", device: 2 });
	expect(Object.fromEntries(passed.headers)).toEqual({
		...{ upgrade: "websocket", "x-parley-account": "me", "x-parley-device": "2" },
	});
});

test("GRANT-1 BLOB-1 files are asked for within the account's limit, and their Worker's name of it needs the secret", async () => {
	const { accountId, accessToken: token } = await register(3);
	const bindings = { LIMIT_ACCOUNT: { limit: async ({ key }: { key: string }) => ({ success: key !== accountId }) } };
	for (const path of [`/v1/media/blobs/${ANY}`, `/v1/media/uploads/${ANY}`]) {
		expect(await refusal(await call(path, { token, bindings }))).toEqual([429, "rate_limited"]);
	}
	const other = { ...env, MEDIA_SUBJECT_SECRET: "z".repeat(40) };
	expect(await mediaSubject(other, accountId)).not.toBe(await mediaSubject(env, accountId));
	expect(await mediaSubject(env, accountId)).toBe(await mediaSubject(env, accountId));
});
