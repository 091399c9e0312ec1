import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { IdentityKeyPair } from "@signalapp/libsignal-client";
import { afterEach, beforeEach, expect, test } from "vitest";
import { Devices } from "./devices.ts";
import type { LocalAccount, MachineEvent } from "./machine/interface.ts";
import { openName, sealName } from "./signal/device_name.ts";
import { identityKeyPair } from "./signal/keys.ts";
import { completeRegistration, makeRegistration } from "./signal/registration.ts";
import { writeMeta } from "./store/account.ts";
import { Store } from "./store/database.ts";
import { AnsweredCalls, HastyClock, refusal } from "./testing.ts";
import { settle } from "./transport/testing.ts";

const SERVER = "https://parley.example";
const BOB = "0b000000-0000-4000-8000-00000000000b";

let folder = "";
let store: Store;
let account: LocalAccount;
beforeEach(() => {
	folder = mkdtempSync(join(tmpdir(), "parley-devices-"));
	store = Store.open(join(folder, "device.db"), new Uint8Array(32).fill(3));
	makeRegistration(store, "alice", SERVER);
	account = completeRegistration(store, { accountId: "0a000000-0000-4000-8000-00000000000a", deviceId: 2 });
});
afterEach(() => {
	store.close();
	rmSync(folder, { recursive: true, force: true });
});

function devicesOf(answer: (name: string, body: unknown) => unknown) {
	const server = new AnsweredCalls(answer);
	const posted: MachineEvent[] = [];
	let gone = 0;
	const devices = new Devices({
		...{ store, account, server: SERVER, calls: server.calls, clock: new HastyClock() },
		post: (event) => void posted.push(event),
		onSelfUnlinked: () => void gone++,
	});
	return { devices, server, posted, gone: () => gone };
}

/** The server's list: this device is the second. */
function listed(...names: (string | undefined)[]) {
	const times = { createdAtMs: 86_400_000, lastSeenDay: 20_000 };
	return {
		devices: names.map((sealedName, index) => ({
			...{ deviceId: index + 1, registrationId: 70 + index, ...times },
			...(sealedName === undefined ? {} : { sealedName }),
		})),
	};
}

test("DEVICE-2 DEVICE-5 the list shows names that the account has made for that device, and days", async () => {
	const [identity, other] = [identityKeyPair(store), IdentityKeyPair.generate()];
	const names = [sealName(identity, 70, "desk"), undefined, sealName(identity, 70, "moved"), sealName(other, 73, "x")];
	const { devices } = devicesOf(() => listed(...names));
	const times = { createdAtMs: 86_400_000, lastSeen: "2024-10-04" };
	expect(await devices.list()).toEqual([
		{ id: 1, name: "desk", current: false, ...times },
		{ id: 2, name: undefined, current: true, ...times },
		{ id: 3, name: undefined, current: false, ...times },
		{ id: 4, name: undefined, current: false, ...times },
	]);
});

test("DEVICE-2 a device is renamed under a seal for itself; a name that does not fit, or nobody's device, is not sent", async () => {
	const bodies: unknown[] = [];
	const { devices, server } = devicesOf((name, body) => {
		if (name === "GET /v1/devices") return listed(undefined, undefined);
		bodies.push(body);
		return null;
	});
	for (const name of ["", "  ", "ä".repeat(33)]) {
		await expect(devices.rename(1, name)).rejects.toMatchObject({ code: "bad_argument" });
	}
	expect(server.made).toEqual([]);
	await expect(devices.rename(3, "desk")).rejects.toMatchObject({ code: "no_such_device" });
	expect(server.made).toEqual(["GET /v1/devices"]);
	await devices.rename(1, " desk ");
	expect(server.made.at(-1)).toBe("PUT /v1/devices/1/name");
	const { sealedName } = bodies[0] as { sealedName: string };
	expect(openName(identityKeyPair(store), 70, sealedName)).toBe("desk");
});

test("DEVICE-3 unlinking names a device of the list; only of itself this one is told", async () => {
	const answers: unknown[] = [];
	const { devices, server, gone } = devicesOf((name) =>
		name === "GET /v1/devices" ? listed(undefined, undefined) : (answers.shift() ?? null),
	);
	await expect(devices.unlink(3)).rejects.toMatchObject({ code: "no_such_device" });
	expect(server.made).toEqual(["GET /v1/devices"]);
	await devices.unlink(1);
	expect(server.made.at(-1)).toBe("DELETE /v1/devices/1");
	expect(gone()).toBe(0);
	const last = refusal("last_device");
	answers.push(last);
	await expect(devices.unlink(2)).rejects.toBe(last);
	expect(gone()).toBe(0);
	await devices.unlink(2);
	expect(gone()).toBe(1);
});

test("SYNC-4 a new device asks for the account's conversations page by page, again where that failed; others never", async () => {
	const id = (digit: string) => digit.repeat(64);
	const pages: unknown[] = [
		refusal("internal", 500),
		{ conversations: [{ conversation: id("1"), peer: BOB }], next: id("1") },
		{ conversations: [{ conversation: id("2") }] },
	];
	const { devices, server, posted } = devicesOf(() => pages.shift());
	devices.learnConversations();
	await settle();
	expect(server.made).toEqual([]);
	writeMeta(store, "conversations_wanted", 1);
	devices.learnConversations();
	await settle();
	expect(posted).toEqual([]);
	devices.learnConversations();
	await settle();
	expect(server.made.slice(1)).toEqual(["GET /v1/conversations", `GET /v1/conversations?after=${id("1")}`]);
	expect(posted).toEqual([{ type: "learn-conversations", peers: [BOB, id("2")] }]);
});
