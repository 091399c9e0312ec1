/** What comes of claimed prekeys, and of a key that has changed, from inside the machine. */
import { IdentityKeyPair } from "@signalapp/libsignal-client";
import { afterEach, beforeEach, expect, test } from "vitest";
import type { PreKeyBundles } from "../../protocol/http.ts";
import { Cipher } from "../signal/cipher.ts";
import { requireAccount } from "../store/account.ts";
import { findIdentity, putIdentity } from "../store/identities.ts";
import { history } from "../store/queries.ts";
import { Context } from "./context.ts";
import { acceptIdentity, noteIdentity, setVerified, syncIdentity, unacceptedKey } from "./identity.ts";
import { onClaimed, onCounts, rotateIfDue } from "./prekeys.ts";
import { ALICE, BOB, TestWorld } from "./testing.ts";

let world: TestWorld;
let context: Context;
beforeEach(() => {
	world = new TestWorld();
	const { store } = world.alice;
	context = new Context(store, world.environment, requireAccount(store), new Cipher(store, () => false));
});
afterEach(() => world.close());

function bundlesOf(account: string): PreKeyBundles {
	const bundles = world.server.claim(account);
	if (bundles === undefined) throw new Error("no prekeys");
	return bundles;
}

/** The bundles with one device more, whose signature is none. */
function withBroken(bundles: PreKeyBundles): PreKeyBundles {
	const [device] = bundles.devices;
	if (device === undefined) throw new Error("no device");
	const signedPreKey = { ...device.signedPreKey, signature: Buffer.alloc(64).toString("base64url") };
	return { ...bundles, devices: [...bundles.devices, { ...device, deviceId: 2, signedPreKey }] };
}

const sessionWith = (account: string, device = 1) => context.cipher.currentSession(account, device, context.now());
const types = () => context.requests.map((request) => (request.type === "notify" ? request.notice.type : request.type));
const newKey = () => new Uint8Array(IdentityKeyPair.generate().publicKey.serialize());

function keyOfBob(): Uint8Array<ArrayBuffer> {
	const key = findIdentity(context.store, BOB)?.key;
	if (key === undefined) throw new Error("no key");
	return key;
}

test("PREKEY-1 a session that fits its device is kept; a device that was registered anew gets another", async () => {
	const bundles = bundlesOf(BOB);
	await onClaimed(context, BOB, bundles);
	const base = sessionWith(BOB)?.serialize();
	expect(base).toBeDefined();
	await onClaimed(context, BOB, bundles);
	expect(sessionWith(BOB)?.serialize()).toEqual(base);
	const again = bundles.devices.map((device) => ({ ...device, registrationId: device.registrationId + 1 }));
	await onClaimed(context, BOB, { ...bundles, devices: again });
	expect(sessionWith(BOB)?.remoteRegistrationId()).toBe(again[0]?.registrationId);
});

test("PREKEY-1 one device with broken keys holds up no other; all broken ones are asked for again after a while", async () => {
	const broken = withBroken(bundlesOf(BOB));
	const only = { ...broken, devices: broken.devices.slice(1) };
	await onClaimed(context, BOB, only);
	expect(types()).toEqual(["refused", "wake"]);
	expect(context.connection(BOB).claimed.has(BOB)).toBe(false);
	expect(context.failedClaims.get(BOB)).toMatchObject({ failures: 1, unusable: true });
	// Once by a session that begins, once by one that is there.
	for (let round = 0; round < 2; round++) {
		context.requests = [];
		await onClaimed(context, BOB, broken);
		expect(types()).toEqual(["refused"]);
		expect(context.connection(BOB).claimed.has(BOB)).toBe(true);
		expect(context.failedClaims.has(BOB)).toBe(false);
	}
});

test("CONVERSATION-3 keys of own devices matter to all conversations, and begin no session with this one", async () => {
	context.connection(BOB);
	await onClaimed(context, ALICE, bundlesOf(ALICE));
	expect(context.touched.has(BOB)).toBe(true);
	expect(context.connection(BOB).claimed.has(ALICE)).toBe(true);
	expect(sessionWith(ALICE)).toBe(undefined);
	expect(findIdentity(context.store, ALICE)).toBe(undefined);
});

test("REFUSED-1 what waits for an account that is gone has failed", async () => {
	const { alice } = world;
	const id = world.text(alice, "too late");
	await alice.machine.step(alice.inbox.splice(0));
	await alice.machine.step([{ type: "prekeys-claimed", account: BOB, bundles: undefined }]);
	expect(history(alice.store, BOB, 9)).toMatchObject([{ id, status: "failed" }]);
});

test("PREKEY-4 while an upload is on its way nothing rotates, and what is left at the server is told", () => {
	onCounts(context, 3, 20);
	expect(context.requests[0]).toEqual({
		type: "notify",
		notice: { type: "prekey-counts", oneTimePreKeys: 3, oneTimeKyberPreKeys: 20 },
	});
	const upload = context.requests[1];
	expect(upload?.type).toBe("upload-prekeys");
	world.nowMs += 2 * 86_400_000;
	context.requests = [];
	rotateIfDue(context);
	expect(context.requests).toEqual([upload]);
});

test("CLIENT-3 a changed key that nobody verified ends the sessions with the old one, and is told", async () => {
	await onClaimed(context, BOB, bundlesOf(BOB));
	context.touched.clear();
	context.requests = [];
	expect(noteIdentity(context, BOB, keyOfBob())).toBe(false);
	expect(types()).toEqual([]);
	expect(noteIdentity(context, BOB, newKey())).toBe(true);
	expect(sessionWith(BOB)).toBe(undefined);
	expect(context.connection(BOB).claimed.has(BOB)).toBe(false);
	// What waits is encrypted anew.
	expect(context.touched.has(BOB)).toBe(true);
	expect(types()).toEqual(["identity-changed"]);
});

test.each<[string, (pending: Uint8Array<ArrayBuffer>) => void]>([
	["a person accepts it", () => acceptIdentity(context, BOB)],
	["a person compares it", () => setVerified(context, BOB, true)],
	["another device has accepted it", (pending) => syncIdentity(context, BOB, pending, false)],
])("CLIENT-3 where the old key was verified its sessions last, and no others begin, until %s", async (_who, accept) => {
	await onClaimed(context, BOB, bundlesOf(BOB));
	setVerified(context, BOB, true);
	const [known, pending] = [keyOfBob(), newKey()];
	context.requests = [];
	expect(noteIdentity(context, BOB, pending)).toBe(false);
	expect(noteIdentity(context, BOB, pending)).toBe(false);
	expect(types()).toEqual(["identity-changed"]);
	expect(sessionWith(BOB)).toBeDefined();
	// What comes under the key that is accepted needs no mark.
	expect(unacceptedKey(context, BOB, known)).toBe(null);
	expect(unacceptedKey(context, BOB, pending)).toEqual(pending);
	expect(unacceptedKey(context, BOB, undefined)).toBe(null);
	context.requests = [];
	const bundles = { ...bundlesOf(BOB), identityKey: Buffer.from(pending).toString("base64url") };
	await onClaimed(context, BOB, { ...bundles, devices: bundles.devices.map((each) => ({ ...each, deviceId: 2 })) });
	expect(types()).toEqual([]);
	expect(sessionWith(BOB, 2)).toBe(undefined);
	context.touched.clear();
	accept(pending);
	expect(sessionWith(BOB)).toBe(undefined);
	expect(context.connection(BOB).claimed.has(BOB)).toBe(false);
	expect(context.touched.has(BOB)).toBe(true);
	expect(unacceptedKey(context, BOB, pending)).toBe(null);
});

test("SYNC-1 SYNC-3 what a person accepts or verifies is told to the other devices", () => {
	const [known, pending] = [newKey(), newKey()];
	putIdentity(context.store, { account: BOB, key: known, verified: 1, pending_key: pending });
	acceptIdentity(context, BOB);
	setVerified(context, BOB, true);
	setVerified(context, BOB, false);
	const kinds = context.shared.map(({ kind }) => kind);
	expect(kinds.map(({ case: kind }) => kind)).toEqual(["identity", "identity", "identity"]);
	expect(kinds.map(({ value }) => (value as { verified: boolean }).verified)).toEqual([false, true, false]);
	expect(kinds.map(({ value }) => Buffer.from((value as { key: Uint8Array }).key))).toEqual(
		Array.from({ length: 3 }, () => Buffer.from(pending)),
	);
});

test("RETRY-1 CLIENT-3 what was sent before a key changed is sent again to nobody who shows the new one", async () => {
	const { alice, bob } = world;
	for (const device of [alice, bob]) world.connect(device);
	world.text(alice, "for the old key");
	await world.settle();
	const addressed = () =>
		context.store.value<number>("SELECT COUNT(*) AS value FROM messages WHERE addressed IS NOT NULL");
	expect(addressed()).toBe(1);
	noteIdentity(context, BOB, newKey());
	expect(addressed()).toBe(0);
});
