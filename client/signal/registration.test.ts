import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { IdentityKeyPair, PublicKey } from "@signalapp/libsignal-client";
import { afterEach, beforeEach, expect, test } from "vitest";
import { RegisterRequest, registrationProofInput } from "../../protocol/http.ts";
import { deviceProofInput } from "../../protocol/http_devices.ts";
import { localAccount, readMeta } from "../store/account.ts";
import { Store } from "../store/database.ts";
import { fromBase64url, toBase64url } from "./bytes.ts";
import { openName } from "./device_name.ts";
import { identityKeyPair, pendingUpload } from "./keys.ts";
import { forgetDevice, makeDevice, pendingDevice } from "./new_device.ts";
import { completeRegistration, makeRegistration } from "./registration.ts";
import { InvalidUsernameError, usernameHash } from "./username.ts";

const KEY = new Uint8Array(32).fill(3);
let folder = "";
beforeEach(() => {
	folder = mkdtempSync(join(tmpdir(), "parley-registration-"));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

test("ACCOUNT-1 the same request comes again after a crash, valid and signed by the identity key", () => {
	const path = join(folder, "device.db");
	const first = Store.open(path, KEY);
	const request = makeRegistration(first, "alice", "http://server");
	first.close();
	const store = Store.open(path, KEY);
	expect(makeRegistration(store, "alice", "http://server")).toEqual(request);
	expect(RegisterRequest.parse(request)).toEqual(request);
	const input = registrationProofInput(
		fromBase64url(request.usernameHash),
		request.registrationId,
		fromBase64url(request.deviceSecret),
	);
	const key = PublicKey.deserialize(fromBase64url(request.identityKey));
	expect(key.verify(input, fromBase64url(request.proof))).toBe(true);
	const renamed = makeRegistration(store, "alice_2", "http://server");
	expect(renamed.identityKey).toBe(request.identityKey);
	expect(renamed.usernameHash).not.toBe(request.usernameHash);
	expect(localAccount(store)).toBeUndefined();
	completeRegistration(store, { accountId: "0a000000-0000-4000-8000-00000000000a", deviceId: 1 });
	// The server has all of it: nothing is uploaded once more, and nobody registers here again.
	expect(pendingUpload(store)).toBeUndefined();
	expect(readMeta(store, "registration_request")).toBeUndefined();
	expect(localAccount(store)).toMatchObject({ username: "alice_2", deviceId: 1, server: "http://server" });
	store.close();
});

test("DEVICE-2 a device registers under as much of its name as fits", () => {
	const store = Store.open(join(folder, "device.db"), KEY);
	const { registrationId, sealedName } = makeRegistration(store, "alice", "http://server", 1, "ä".repeat(40));
	expect(openName(identityKeyPair(store), registrationId, sealedName ?? "")).toBe("ä".repeat(32));
	store.close();
});

test("ACCOUNT-2 usernames are hashed; names out of bounds are refused", () => {
	expect(usernameHash("Alice")).toEqual(usernameHash("alice"));
	expect(usernameHash("alice").length).toBe(32);
	for (const bad of ["", "al", "1alice", "alice.1", "a-b-c", "é__", "a".repeat(33)]) {
		expect(() => usernameHash(bad)).toThrow(InvalidUsernameError);
	}
});

test("LINK-5 where a link is unfinished nobody registers: the keys here are another account's", () => {
	const store = Store.open(join(folder, "device.db"), KEY);
	const identity = IdentityKeyPair.generate();
	const account = { accountId: crypto.randomUUID(), username: "alice", identity, token: "A".repeat(43) };
	const request = makeDevice(store, account, "http://server", "laptop", 1);
	expect(() => makeRegistration(store, "bob", "http://server")).toThrow("a link is unfinished here");
	expect(pendingDevice(store)).toEqual(request);
	const input = deviceProofInput(request.registrationId, fromBase64url(request.deviceSecret));
	expect(identity.publicKey.verify(input, fromBase64url(request.proof))).toBe(true);
	// The server wants it no more: nothing of the account is left, and the directory is free for another.
	forgetDevice(store);
	expect(pendingDevice(store)).toBe(undefined);
	expect(makeRegistration(store, "bob", "http://server").identityKey).not.toBe(
		toBase64url(identity.publicKey.serialize()),
	);
	store.close();
});
