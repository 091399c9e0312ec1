/** Tokens that add devices, and the ids that devices get: what a second device, a race or a long life may not change. */
import { env } from "cloudflare:workers";
import { expect, test } from "vitest";
import { DeviceToken } from "../../protocol/http_devices.ts";
import { LIMITS } from "../../protocol/limits.ts";
import { addDevice, call, furtherDevice, refusal, register } from "../../test/api-caller.ts";
import { DeviceDirectory } from "./directory/devices.ts";
import { LinkDirectory, type NewDevice } from "./directory/linking.ts";
import { accountStub } from "./env.ts";
import { sweep } from "./sweep.ts";
import { workThrough } from "./testing.ts";

const LATER_MS = LIMITS.link_seconds * 1000;
const directory = new LinkDirectory(env.DIRECTORY);
const devices = new DeviceDirectory(env.DIRECTORY);

const add = (body: unknown, bindings = {}) => call("/v1/devices", { method: "POST", body, bindings });
const unlink = (device: number, token: string) => call(`/v1/devices/${device}`, { method: "DELETE", token });

async function mint(token: string): Promise<string> {
	return DeviceToken.parse(await (await call("/v1/devices/tokens", { method: "POST", token })).json()).token;
}

/** A directory that is gone when the device would become one of the account's. */
const HALF_WAY = {
	DIRECTORY: new Proxy(env.DIRECTORY, {
		get(database, name) {
			if (name === "batch") return () => Promise.reject(new Error("down"));
			const value: unknown = Reflect.get(database, name);
			return typeof value === "function" ? value.bind(database) : value;
		},
	}),
};

/** The id that the account's next device would get, if it is free. */
const nextIdIs = (accountId: string, device: number) =>
	env.DIRECTORY.prepare("UPDATE accounts SET last_device = ? WHERE account_id = ?")
		.bind(device - 1, accountId)
		.run();

test("LINK-4 a token that one device has begun with adds no other, and changes nothing of the one that began", async () => {
	const old = await register(1);
	const token = await mint(old.accessToken);
	const first = furtherDevice(1, 0, old.accountId, token);
	expect((await add(first, HALF_WAY)).status).toBe(500);
	const [, begun] = await accountStub(env, old.accountId).takePreKeys();
	expect(begun?.signedPreKey.key).toBe(first.signedPreKey.key);
	const second = furtherDevice(1, 1, old.accountId, token);
	const more = second.oneTimePreKeys.map(({ key }) => ({ id: 9, key }));
	expect(await refusal(await add({ ...second, oneTimePreKeys: more }))).toEqual([404, "not_found"]);
	const [, kept] = await accountStub(env, old.accountId).takePreKeys();
	expect(kept).toMatchObject({ deviceId: begun?.deviceId, signedPreKey: begun?.signedPreKey });
	expect(kept?.oneTimePreKey).toBeUndefined();
	expect(await (await add(first)).json()).toMatchObject({ deviceId: begun?.deviceId });
	const left = await env.DIRECTORY.prepare("SELECT * FROM device_tokens WHERE account_id = ?")
		.bind(old.accountId)
		.all();
	expect(left.results).toEqual([]);
});

test("LINK-4 a reservation is one secret's and one registration's, at every step", async () => {
	const { accountId } = await register(2);
	const now_ms = Date.now();
	const device: NewDevice = {
		...{ accountId, tokenHash: "a".repeat(64), registrationId: 5, secretHash: "b".repeat(64) },
		sealedName: undefined,
	};
	await directory.mint(accountId, device.tokenHash, now_ms);
	const other = { ...device, secretHash: "c".repeat(64) };
	// Two at once: one has it.
	const both = await Promise.all([directory.reserve(device, now_ms), directory.reserve(other, now_ms)]);
	const [winner, loser] = both[0] === "expired" ? [other, device] : [device, other];
	const reserved = both.find((one) => one !== "expired");
	if (reserved === undefined) throw new Error("nobody has it");
	expect(both).toContain("expired");
	expect(await directory.add(loser, reserved.device, now_ms)).toBe("expired");
	expect(await directory.add(winner, reserved.device + 1, now_ms)).toBe("expired");
	expect(await devices.has(accountId, reserved.device)).toBe(false);
	expect(await directory.add(winner, reserved.device, now_ms)).toBe("added");
	// The same secret is the same device, if its registration is.
	expect(await directory.reserve(winner, now_ms)).toEqual({ device: reserved.device, done: true });
	expect(await directory.reserve({ ...winner, registrationId: 6 }, now_ms)).toBe("expired");
});

test("LINK-4 an account has a bounded number of tokens, and those whose time is over don't count", async () => {
	const old = await register(3);
	const now_ms = Date.now();
	const minted: unknown[] = [];
	for (let count = 0; count < 17; count++) {
		minted.push(await directory.mint(old.accountId, `${count}`.padStart(64, "0"), now_ms));
	}
	expect(minted.filter((one) => one === now_ms + LATER_MS)).toHaveLength(16);
	expect(minted.at(-1)).toBe("too_many_tokens");
	const asked = await call("/v1/devices/tokens", { method: "POST", token: old.accessToken });
	expect(await refusal(asked)).toEqual([429, "rate_limited"]);
	const later_ms = now_ms + LATER_MS;
	expect(await directory.mint(old.accountId, "d".repeat(64), later_ms)).toBe(later_ms + LATER_MS);
});

test("LINK-5 the sweep takes nothing whose time is not over, nor what may be under way", async () => {
	const old = await register(4);
	const body = furtherDevice(4, 0, old.accountId, await mint(old.accessToken));
	expect((await add(body, HALF_WAY)).status).toBe(500);
	const hash = "e".repeat(64);
	const now_ms = Date.now();
	await directory.open(hash, now_ms);
	const prekeys = async () => (await accountStub(env, old.accountId).takePreKeys()).length;
	for (const after_ms of [0, LATER_MS + 60_000]) {
		await sweep(env, now_ms + after_ms);
		expect(await prekeys()).toBe(2);
		expect(await directory.take(hash, now_ms)).toEqual({ ciphertext: undefined });
	}
	expect((await add(body)).status).toBe(200);
});

test("LINK-3 a code whose time is over is not opened again", async () => {
	const hash = "f".repeat(64);
	const now_ms = Date.now();
	expect(await directory.open(hash, now_ms)).toBe(now_ms + LATER_MS);
	expect(await directory.open(hash, now_ms + LATER_MS - 1)).toBe(now_ms + LATER_MS);
	expect(await directory.open(hash, now_ms + LATER_MS)).toBeUndefined();
});

test("DEVICE-1 a new device gets the id of no device that there is, nor of one that is being added", async () => {
	const old = await register(0);
	await nextIdIs(old.accountId, 1);
	const second = await addDevice(0, 0, old);
	expect(second.deviceId).toBe(2);
	const begun = furtherDevice(0, 1, old.accountId, await mint(old.accessToken));
	expect((await add(begun, HALF_WAY)).status).toBe(500);
	await nextIdIs(old.accountId, 1);
	expect((await addDevice(0, 2, old)).deviceId).toBe(4);
	expect(await (await add(begun)).json()).toMatchObject({ deviceId: 3 });
	// After 127 comes 1.
	await nextIdIs(old.accountId, 127);
	expect((await addDevice(0, 3, old)).deviceId).toBe(127);
	expect((await addDevice(0, 4, old)).deviceId).toBe(5);
});

test("DEVICE-3 an id that comes round is its new device's: the removal of the old one is forgotten", async () => {
	const old = await register(5);
	const first = await addDevice(5, 0, old);
	expect((await unlink(first.deviceId, old.accessToken)).status).toBe(204);
	await nextIdIs(old.accountId, first.deviceId);
	const next = await addDevice(5, 1, old);
	expect(next.deviceId).toBe(first.deviceId);
	// The queue removes what was removed, and nothing else.
	expect(await workThrough({ type: "devices-changed", accountId: old.accountId })).toBe("done");
	expect((await call("/v1/keys", { token: next.accessToken })).status).toBe(200);
});

test("DEVICE-3 the last device, which can't be unlinked, is not removed by the queue either; others' tokens go on", async () => {
	const [alice, bob] = [await register(1), await register(2)];
	for (const { deviceId } of await listed(alice.accountId)) {
		if (deviceId !== 1) await unlink(deviceId, alice.accessToken);
	}
	const token = await mint(bob.accessToken);
	expect(await refusal(await unlink(1, alice.accessToken))).toEqual([409, "last_device"]);
	expect(await workThrough({ type: "devices-changed", accountId: alice.accountId })).toBe("done");
	expect((await call("/v1/keys", { token: alice.accessToken })).status).toBe(200);
	expect((await add(furtherDevice(2, 0, bob.accountId, token))).status).toBe(200);
});

const listed = (accountId: string) => devices.list(accountId);
