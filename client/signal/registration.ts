/** From a username to an account: the request, and what the server's answer completes. */
import { randomBytes, randomInt } from "node:crypto";
import { IdentityKeyPair } from "@signalapp/libsignal-client";
import { type RegisterRequest, registrationProofInput } from "../../protocol/http.ts";
import { Failure } from "../failure.ts";
import type { LocalAccount } from "../machine/interface.ts";
import { readMeta, requireAccount, writeMeta } from "../store/account.ts";
import type { Store } from "../store/database.ts";
import { fromBase64url, toBase64url } from "./bytes.ts";
import { fittingName, sealName } from "./device_name.ts";
import {
	addOneTimePreKeys,
	hasPendingUpload,
	identityKeyPair,
	markUploaded,
	pendingUpload,
	rotatePreKeys,
} from "./keys.ts";
import { normaliseUsername, usernameHash } from "./username.ts";

/**
 * The request that registers this device's account. All keys and the device secret are on disk when it returns, and
 * the same request comes again until `completeRegistration` (rule ACCOUNT-1). With another username, because the first
 * was taken, the keys stay. `server` is the api's URL, `deviceName` what this device is called. Throws
 * `InvalidUsernameError`, and `Failure` `already_registered` where a link is unfinished.
 */
export function makeRegistration(
	store: Store,
	username: string,
	server: string,
	nowMs = Date.now(),
	deviceName?: string,
): RegisterRequest {
	const name = normaliseUsername(username);
	// Its keys are another account's.
	if (readMeta(store, "link_request") !== undefined) {
		throw new Failure(
			"already_registered",
			"a link is unfinished here: end it with parley link, or use another --data",
		);
	}
	return store.transaction(() => {
		const before = readMeta<string>(store, "registration_request");
		if (before !== undefined && readMeta<string>(store, "username") === name) {
			writeMeta(store, "server", server);
			return JSON.parse(before) as RegisterRequest;
		}
		if (readMeta(store, "identity_key_pair") === undefined) createKeys(store, nowMs);
		const request = buildRequest(store, name, deviceName);
		writeMeta(store, "username", name);
		writeMeta(store, "server", server);
		writeMeta(store, "registration_request", JSON.stringify(request));
		return request;
	});
}

/** Stores what the server answered: from here on the device has an account. */
export function completeRegistration(store: Store, answer: { accountId: string; deviceId: number }): LocalAccount {
	return store.transaction(() => {
		writeMeta(store, "account_id", answer.accountId);
		writeMeta(store, "device_id", answer.deviceId);
		store.run("DELETE FROM meta WHERE key = 'registration_request'");
		if (hasPendingUpload(store)) markUploaded(store);
		return requireAccount(store);
	});
}

function createKeys(store: Store, nowMs: number): void {
	writeMeta(store, "identity_key_pair", IdentityKeyPair.generate().serialize());
	writeMeta(store, "registration_id", randomInt(1, 16381));
	writeMeta(store, "device_secret", toBase64url(randomBytes(32)));
	rotatePreKeys(store, nowMs);
	addOneTimePreKeys(store, nowMs, { ec: true, kyber: true });
}

function buildRequest(store: Store, name: string, deviceName: string | undefined): RegisterRequest {
	const hash = usernameHash(name);
	const identity = identityKeyPair(store);
	const registrationId = readMeta<number>(store, "registration_id");
	const deviceSecret = readMeta<string>(store, "device_secret");
	const keys = pendingUpload(store);
	if (registrationId === undefined || deviceSecret === undefined) throw new Error("the device's keys are incomplete");
	if (keys?.signedPreKey === undefined || keys.lastResortKyberPreKey === undefined) {
		throw new Error("the device is registered already");
	}
	const proof = identity.privateKey.sign(registrationProofInput(hash, registrationId, fromBase64url(deviceSecret)));
	return {
		usernameHash: toBase64url(hash),
		identityKey: toBase64url(identity.publicKey.serialize()),
		registrationId,
		deviceSecret,
		proof: toBase64url(proof),
		...(deviceName === undefined ? {} : { sealedName: sealName(identity, registrationId, fittingName(deviceName)) }),
		signedPreKey: keys.signedPreKey,
		lastResortKyberPreKey: keys.lastResortKyberPreKey,
		oneTimePreKeys: keys.oneTimePreKeys,
		oneTimeKyberPreKeys: keys.oneTimeKyberPreKeys,
	};
}
