import { env } from "cloudflare:workers";
import { expect, test } from "vitest";
import { DeviceList, DeviceToken, OpenLinkResponse, TakenLink } from "../../protocol/http_devices.ts";
import { LIMITS } from "../../protocol/limits.ts";
import { addDevice, call, fixture, furtherDevice, refusal, register } from "../../test/api-caller.ts";
import { LinkDirectory } from "./directory/linking.ts";
import { accountStub } from "./env.ts";
import { sweep } from "./sweep.ts";

const SEALED = "c2VhbGVk";
const LATER_MS = LIMITS.link_seconds * 1000;

function newAddress(): string {
	return btoa(String.fromCharCode(...crypto.getRandomValues(new Uint8Array(16))))
		.replaceAll("+", "-")
		.replaceAll("/", "_")
		.replaceAll("=", "");
}

async function openMailbox(): Promise<string> {
	const address = newAddress();
	expect((await call("/v1/links", { method: "POST", body: { address } })).status).toBe(200);
	return address;
}

const put = (address: string, token: string) =>
	call(`/v1/links/${address}`, { method: "PUT", token, body: { ciphertext: SEALED } });
const take = (address: string) => call(`/v1/links/${address}/take`, { method: "POST" });
const list = async (token: string) => {
	const { devices } = DeviceList.parse(await (await call("/v1/devices", { token })).json());
	return devices.map(({ deviceId }) => deviceId);
};

async function mint(token: string): Promise<string> {
	return DeviceToken.parse(await (await call("/v1/devices/tokens", { method: "POST", token })).json()).token;
}

test("LINK-2 a mailbox hands its one ciphertext out once, and takes no second", async () => {
	const { accessToken } = await register(0);
	const address = await openMailbox();
	expect(TakenLink.parse(await (await take(address)).json())).toEqual({});
	expect(await refusal(await call(`/v1/links/${address}`, { method: "PUT", body: { ciphertext: SEALED } }))).toEqual([
		...[401, "unauthorized"],
	]);
	expect((await put(address, accessToken)).status).toBe(204);
	expect(await refusal(await put(address, accessToken))).toEqual([409, "link_used"]);
	const both = await Promise.all([take(address), take(address)]);
	expect(both.map(({ status }) => status).sort()).toEqual([200, 409]);
	expect(await refusal(await take(address))).toEqual([409, "link_used"]);
	expect(await refusal(await put(address, accessToken))).toEqual([409, "link_used"]);
	const { results } = await env.DIRECTORY.prepare("SELECT * FROM links").all();
	expect(JSON.stringify(results)).not.toContain(SEALED);
	expect(JSON.stringify(results)).not.toContain(address);
});

test("LINK-2 a mailbox that nobody opened is none, and opening it again does not lengthen its life", async () => {
	const { accessToken } = await register(0);
	expect(await refusal(await take(newAddress()))).toEqual([404, "not_found"]);
	expect(await refusal(await put(newAddress(), accessToken))).toEqual([404, "not_found"]);
	const body = { address: newAddress() };
	const ends = async () =>
		OpenLinkResponse.parse(await (await call("/v1/links", { method: "POST", body })).json()).expiresAtMs;
	expect(await ends()).toBe(await ends());
});

test("LINK-3 after ten minutes a code is over on both sides, and the sweep removes it", async () => {
	const directory = new LinkDirectory(env.DIRECTORY);
	const hash = "ab".repeat(32);
	const now_ms = Date.now();
	expect(await directory.open(hash, now_ms)).toBe(now_ms + LATER_MS);
	expect(await directory.put(hash, SEALED, now_ms + LATER_MS)).toBe("expired");
	expect(await directory.put(hash, SEALED, now_ms + LATER_MS - 1)).toBe("put");
	expect(await directory.take(hash, now_ms + LATER_MS)).toBe("expired");
	await sweep(env, now_ms + LATER_MS + 1);
	expect(await directory.take(hash, now_ms)).toEqual({ ciphertext: SEALED });
	await sweep(env, now_ms + LATER_MS + 6 * 60_000);
	expect(await directory.take(hash, now_ms)).toBe("expired");
});

test("LINK-4 a device is added with a token once; the same request again is the same device", async () => {
	const old = await register(1);
	const token = await mint(old.accessToken);
	const body = furtherDevice(1, 0, old.accountId, token);
	const answers = await Promise.all([1, 2].map(() => call("/v1/devices", { method: "POST", body })));
	expect(answers.map(({ status }) => status)).toEqual([200, 200]);
	const again = await call("/v1/devices", { method: "POST", body });
	expect(await again.json()).toMatchObject({ accountId: old.accountId, deviceId: 2 });
	expect(await list(old.accessToken)).toEqual([1, 2]);
	// Another device with the same token, and the account's key without a token.
	const other = furtherDevice(1, 1, old.accountId, token);
	expect(await refusal(await call("/v1/devices", { method: "POST", body: other }))).toEqual([404, "not_found"]);
	const forged = { ...other, token: "A".repeat(43) };
	expect(await refusal(await call("/v1/devices", { method: "POST", body: forged }))).toEqual([404, "not_found"]);
	expect(await refusal(await call("/v1/devices/tokens", { method: "POST" }))).toEqual([401, "unauthorized"]);
	const stored = await env.DIRECTORY.prepare("SELECT * FROM device_tokens").all();
	expect(JSON.stringify(stored.results)).not.toContain(token);
});

test("DEVICE-4 LINK-4 a device that is added is announced to the account's conversations, and one that is refused is not", async () => {
	const old = await register(5);
	const announced: unknown[] = [];
	const CHANGES = { send: async (body: unknown) => void announced.push(body) } as unknown as Queue;
	const body = furtherDevice(5, 0, old.accountId, "A".repeat(43));
	const ask = (token: string) =>
		call("/v1/devices", { method: "POST", body: { ...body, token }, bindings: { CHANGES } });
	expect((await ask("A".repeat(43))).status).toBe(404);
	expect(announced).toEqual([]);
	expect((await ask(await mint(old.accessToken))).status).toBe(200);
	expect(announced).toEqual([{ type: "devices-changed", accountId: old.accountId }]);
});

test("PREKEY-3 LINK-4 a token alone adds nothing: the identity key signs the device and its prekeys", async () => {
	const [old, stranger] = [await register(2), await register(3)];
	const token = await mint(old.accessToken);
	const body = furtherDevice(2, 0, old.accountId, token);
	const wrong = [
		{ ...body, proof: furtherDevice(3, 0, old.accountId, token).proof },
		{ ...body, registrationId: (body.registrationId % 16380) + 1 },
		{ ...body, signedPreKey: fixture(3).request.signedPreKey },
		furtherDevice(3, 0, old.accountId, token),
	];
	for (const each of wrong) {
		const answer = await call("/v1/devices", { method: "POST", body: each });
		expect(await refusal(answer)).toEqual([422, "bad_signature"]);
	}
	// A token is one account's.
	const elsewhere = furtherDevice(3, 0, stranger.accountId, token);
	expect(await refusal(await call("/v1/devices", { method: "POST", body: elsewhere }))).toEqual([404, "not_found"]);
	expect(await list(old.accessToken)).toEqual([1]);
});

test("DEVICE-1 a ninth device is refused, to the old one and, where two come at once, to the new one", async () => {
	const old = await register(0);
	const spare = await mint(old.accessToken);
	for (let further = 0; further < 6; further++) await addDevice(0, further, old);
	const last = await mint(old.accessToken);
	const answers = await Promise.all([
		call("/v1/devices", { method: "POST", body: furtherDevice(0, 6, old.accountId, spare) }),
		call("/v1/devices", { method: "POST", body: furtherDevice(0, 7, old.accountId, last) }),
	]);
	expect(answers.map(({ status }) => status).sort()).toEqual([200, 409]);
	const refused = answers.find(({ status }) => status === 409);
	expect(await refused?.json()).toMatchObject({ code: "too_many_devices", limit: 8 });
	expect(await list(old.accessToken)).toHaveLength(8);
	const minted = await call("/v1/devices/tokens", { method: "POST", token: old.accessToken });
	expect(await refusal(minted)).toEqual([409, "too_many_devices"]);
	// What the refused one left at the account's object goes with the sweep.
	const prekeys = async () => (await accountStub(env, old.accountId).takePreKeys()).length;
	expect(await prekeys()).toBe(9);
	await sweep(env, Date.now());
	expect(await prekeys()).toBe(8);
});

test("LINK-5 a device that was killed half-way goes on, or is swept when its time is over", async () => {
	const old = await register(4);
	const tokens = [await mint(old.accessToken), await mint(old.accessToken)];
	const bodies = tokens.map((token, index) => furtherDevice(4, index, old.accountId, token));
	// Killed between the account's object and the directory.
	const closed = new Proxy(env.DIRECTORY, {
		get(database, name) {
			if (name === "batch") return () => Promise.reject(new Error("down"));
			const value: unknown = Reflect.get(database, name);
			return typeof value === "function" ? value.bind(database) : value;
		},
	});
	for (const body of bodies) {
		const failed = await call("/v1/devices", { method: "POST", body, bindings: { DIRECTORY: closed } });
		expect(failed.status).toBe(500);
	}
	expect(await list(old.accessToken)).toEqual([1]);
	expect((await accountStub(env, old.accountId).takePreKeys()).map(({ deviceId }) => deviceId)).toEqual([1, 2, 3]);
	expect((await call("/v1/devices", { method: "POST", body: bodies[1] })).status).toBe(200);
	await sweep(env, Date.now() + LATER_MS + 6 * 60_000);
	expect(await list(old.accessToken)).toEqual([1, 3]);
	expect((await accountStub(env, old.accountId).takePreKeys()).map(({ deviceId }) => deviceId)).toEqual([1, 3]);
	expect(await refusal(await call("/v1/devices", { method: "POST", body: bodies[0] }))).toEqual([404, "not_found"]);
});

test("LINK-2 mailboxes and new devices are limited by address", async () => {
	const headers = { "cf-connecting-ip": "198.51.100.8" };
	const codes = new Set<number>();
	for (let round = 0; round < 25; round++) {
		codes.add((await call("/v1/links", { method: "POST", body: { address: newAddress() }, headers })).status);
	}
	expect(codes).toEqual(new Set([200, 429]));
	// Nobody guesses addresses either, not even such as are none.
	const looks = Array.from({ length: LIMITS.link_requests_per_minute + 1 }, () =>
		call("/v1/links/none/take", { method: "POST", headers }),
	);
	const answers = await Promise.all(looks);
	expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([400, 429]));
});
