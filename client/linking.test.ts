import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { IdentityKeyPair } from "@signalapp/libsignal-client";
import { afterEach, beforeEach, expect, test } from "vitest";
import { AddDeviceRequest } from "../protocol/http_devices.ts";
import { becomeDevice, linkDevice } from "./linking.ts";
import type { LocalAccount } from "./machine/interface.ts";
import { toBase64url } from "./signal/bytes.ts";
import { openName } from "./signal/device_name.ts";
import { identityKeyPair, pendingUpload } from "./signal/keys.ts";
import { linkText, newLinkCode, openAccount, parseLink, sealAccount } from "./signal/link_code.ts";
import { pendingDevice } from "./signal/new_device.ts";
import { completeRegistration, makeRegistration } from "./signal/registration.ts";
import { readMeta } from "./store/account.ts";
import { Store } from "./store/database.ts";
import { AnsweredCalls, HastyClock, refusal } from "./testing.ts";
import { ServerUnreachable } from "./transport/errors.ts";

const SERVER = "https://parley.example";
const TOKEN = toBase64url(new Uint8Array(32).fill(5));
const ACCOUNT_ID = "0a000000-0000-4000-8000-00000000000a";
const KEY = new Uint8Array(32).fill(3);
const unreachable = new ServerUnreachable("no network");

let folder = "";
let store: Store;
let clock: HastyClock;
beforeEach(() => {
	folder = mkdtempSync(join(tmpdir(), "parley-linking-"));
	store = Store.open(join(folder, "device.db"), KEY);
	clock = new HastyClock();
});
afterEach(() => {
	store.close();
	rmSync(folder, { recursive: true, force: true });
});

/** A mailbox that answers `looks` one after the other, then what an old device has sealed; and `add` to the request. */
function newSide(looks: readonly unknown[], add: (body: unknown) => unknown = added) {
	const codes: string[] = [];
	const left = [...looks];
	const sealed = (): string => {
		const code = parseLink(codes.at(-1) ?? "");
		if (code === undefined) throw new Error("no code");
		const account = { accountId: ACCOUNT_ID, username: "alice", identity: IdentityKeyPair.generate(), token: TOKEN };
		return sealAccount(code, account);
	};
	const server = new AnsweredCalls((name, body) => {
		if (name === "POST /v1/links") return { expiresAtMs: 77 };
		if (name === "POST /v1/devices") return add(body);
		return left.length === 0 ? { ciphertext: sealed() } : left.shift();
	});
	const onCode = (link: string, expiresAtMs: number): void => {
		expect(expiresAtMs).toBe(77);
		codes.push(link);
	};
	const become = (): Promise<LocalAccount> =>
		becomeDevice({ store, calls: server.calls, clock, server: SERVER, name: "laptop", onCode });
	return { server, codes, become };
}

const added = () => ({ accountId: ACCOUNT_ID, deviceId: 2, accessToken: "t".repeat(40), expiresAtMs: 1 });

test("LINK-1 LINK-5 a new device looks until the account comes, though the server is away for a moment", async () => {
	const bodies: unknown[] = [];
	const looks = [{}, unreachable, refusal("internal", 500), {}];
	const { server, codes, become } = newSide(looks, (body) => {
		bodies.push(body);
		return added();
	});
	expect(await become()).toMatchObject({ username: "alice", accountId: ACCOUNT_ID, deviceId: 2, server: SERVER });
	expect(codes).toHaveLength(1);
	const address = parseLink(codes[0] ?? "")?.address;
	expect(server.made).toEqual([
		"POST /v1/links",
		...Array.from({ length: 5 }, () => `POST /v1/links/${address}/take`),
		"POST /v1/devices",
	]);
	const request = AddDeviceRequest.parse(bodies[0]);
	expect(request).toMatchObject({ accountId: ACCOUNT_ID, token: TOKEN });
	expect(openName(identityKeyPair(store), request.registrationId, request.sealedName ?? "")).toBe("laptop");
	// Its keys are at the server: none are uploaded once more.
	expect(pendingUpload(store)).toBe(undefined);
	// It will ask the others for what they know, and the server for the conversations.
	expect(readMeta(store, "sync_wanted")).toBe(1);
	expect(readMeta(store, "conversations_wanted")).toBe(1);
	expect(pendingDevice(store)).toBe(undefined);
	await expect(become()).rejects.toMatchObject({ code: "already_registered" });
	expect(codes).toHaveLength(1);
});

test("LINK-5 a request that got no answer is made again, the same one, without another code", async () => {
	const bodies: unknown[] = [];
	const answers = [unreachable, refusal("rate_limited", 429), refusal("internal", 500), added()];
	const { codes, become } = newSide([], (body) => {
		bodies.push(body);
		return answers.shift();
	});
	for (const error of answers.slice(0, 3)) await expect(become()).rejects.toBe(error);
	expect(await become()).toMatchObject({ deviceId: 2 });
	expect(codes).toHaveLength(1);
	expect(new Set(bodies.map((body) => JSON.stringify(body))).size).toBe(1);
	expect(bodies).toHaveLength(4);
});

test.each(["not_found", "bad_signature", "malformed"] as const)(
	"LINK-5 a request that the server answers with %s is given up, and nothing of the account stays",
	async (code) => {
		const { become } = newSide([], () => refusal(code));
		await expect(become()).rejects.toMatchObject({ code: "link_over" });
		for (const key of ["identity_key_pair", "device_secret", "username", "link_request"] as const) {
			expect(readMeta(store, key), key).toBe(undefined);
		}
		for (const table of ["ec_prekeys", "signed_prekeys", "kyber_prekeys"]) {
			expect(store.value(`SELECT COUNT(*) AS value FROM ${table}`), table).toBe(0);
		}
	},
);

test("DEVICE-1 that the account has too many devices is told as it is", async () => {
	const full = refusal("too_many_devices");
	await expect(newSide([], () => full).become()).rejects.toBe(full);
	expect(pendingDevice(store)).toBe(undefined);
});

test.each<[string, unknown, RegExp]>([
	["was used", refusal("link_used"), /was used already/],
	["is over at the server", refusal("not_found", 404), /is over/],
	["brings what was sealed for another", { ciphertext: toBase64url(new Uint8Array(200)) }, /not sealed for this code/],
])("LINK-1 LINK-2 a code that %s ends the link", async (_what, look, why) => {
	const { server, become } = newSide([look]);
	await expect(become()).rejects.toMatchObject({ code: "link_over", message: expect.stringMatching(why) });
	expect(server.made).toHaveLength(2);
	expect(readMeta(store, "identity_key_pair")).toBe(undefined);
});

test("LINK-3 a new device waits ten minutes for the account, and no longer", async () => {
	const { server, become } = newSide(Array.from({ length: 2_000 }, () => ({})));
	await expect(become()).rejects.toMatchObject({ code: "link_over" });
	expect(clock.nowMs()).toBe(600_000);
	expect(server.made).toHaveLength(602);
});

test("LINK-5 a new device whose directory is closed while it waits looks no more", async () => {
	const { server, become } = newSide(Array.from({ length: 2_000 }, () => ({})));
	const link = become();
	store.close();
	await expect(link).rejects.toMatchObject({ code: "link_over", message: "the data directory was closed" });
	expect(server.made.length).toBeLessThan(4);
});

test("LINK-5 where an account is, or a registration is unfinished, no link begins", async () => {
	makeRegistration(store, "alice", SERVER);
	const { server, become } = newSide([]);
	await expect(become()).rejects.toMatchObject({ code: "already_registered" });
	completeRegistration(store, { accountId: ACCOUNT_ID, deviceId: 1 });
	await expect(become()).rejects.toMatchObject({ code: "already_registered" });
	expect(server.made).toEqual([]);
});

const listed = (...ids: number[]) => ({
	devices: ids.map((deviceId) => ({ deviceId, registrationId: 5, createdAtMs: 0, lastSeenDay: 0 })),
});

/** The old device's side: `put` answers the ciphertext, `lists` the list of devices, one after the other. */
function oldSide(lists: readonly unknown[], put: unknown = null) {
	makeRegistration(store, "alice", SERVER);
	const account = completeRegistration(store, { accountId: ACCOUNT_ID, deviceId: 1 });
	const { code, privateKey } = newLinkCode(SERVER, "laptop", new Uint8Array(16).fill(6));
	const left = [...lists];
	let ciphertext = "";
	const server = new AnsweredCalls((name, body) => {
		if (name === "GET /v1/devices") return left.length > 1 ? left.shift() : left[0];
		if (name === "POST /v1/devices/tokens") return { token: TOKEN, expiresAtMs: 1 };
		if (name === `PUT /v1/links/${code.address}`) ciphertext = (body as { ciphertext: string }).ciphertext;
		return put;
	});
	const names: string[] = [];
	const link = (text = linkText(code), agreed = true): Promise<number | undefined> =>
		linkDevice(text, {
			...{ store, account, server: SERVER, calls: server.calls, clock },
			confirm: async (name) => {
				names.push(name);
				return agreed;
			},
		});
	return { code, server, names, link, opened: () => openAccount(code, privateKey, ciphertext) };
}

test("LINK-1 the old device shows the new one's name, sends the account once it is agreed to, and says which device came", async () => {
	const { server, names, link, opened } = oldSide([listed(1, 3), listed(1, 3), listed(1, 2, 3)]);
	expect(await link()).toBe(2);
	expect(names).toEqual(["laptop"]);
	expect(opened()).toMatchObject({ accountId: ACCOUNT_ID, username: "alice", token: TOKEN });
	expect(opened()?.identity.serialize()).toEqual(identityKeyPair(store).serialize());
	expect(server.made.map((name) => name.split(" ")[0])).toEqual(["GET", "POST", "PUT", "GET", "GET"]);
});

test("LINK-1 nothing is asked or sent for a code that nobody agrees to, that is none, or that is another server's", async () => {
	const { server, names, link } = oldSide([listed(1)]);
	await expect(link(undefined, false)).rejects.toMatchObject({ code: "refused" });
	await expect(link("parley://link?v=1")).rejects.toMatchObject({ code: "bad_argument" });
	const { code } = newLinkCode("https://other.example", "laptop", new Uint8Array(16));
	const elsewhere = { code: "bad_argument", message: expect.stringContaining("https://other.example") };
	await expect(link(linkText(code))).rejects.toMatchObject(elsewhere);
	expect(names).toEqual(["laptop"]);
	expect(server.made).toEqual([]);
});

test.each([
	["link_used", /was used already/],
	["not_found", /is over/],
] as const)("LINK-2 LINK-3 a mailbox that answers %s ends the link on the old device", async (code, why) => {
	const { link } = oldSide([listed(1)], refusal(code));
	await expect(link()).rejects.toMatchObject({ code: "link_over", message: expect.stringMatching(why) });
});

test.each([unreachable, refusal("internal", 500), refusal("device_unlinked", 401)])(
	"LINK-1 what says nothing of the code is told as it is: %s",
	async (error) => {
		await expect(oldSide([listed(1)], error).link()).rejects.toBe(error);
	},
);

test("LINK-5 once the keys are sent the old device waits a minute for the new one, though the server is away meanwhile", async () => {
	const away = [unreachable, refusal("internal", 500)];
	expect(await oldSide([listed(1), ...away, listed(1, 2)]).link()).toBe(2);
	expect(clock.nowMs()).toBe(2_000);
});

test("LINK-5 a new device that does not appear within a minute finishes by itself", async () => {
	expect(await oldSide([listed(1)]).link()).toBe(undefined);
	expect(clock.nowMs()).toBe(60_000);
});

test("DEVICE-3 an old device that is unlinked while it waits says so", async () => {
	const unlinked = refusal("device_unlinked", 401);
	await expect(oldSide([listed(1), unlinked]).link()).rejects.toBe(unlinked);
});
