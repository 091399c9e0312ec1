/** A new device's own keys, from the account that an old device has handed over to the server's answer. */
import { randomBytes, randomInt } from "node:crypto";
import { AddDeviceRequest, deviceProofInput } from "../../protocol/http_devices.ts";
import type { LocalAccount } from "../machine/interface.ts";
import { forgetMeta, readMeta, requireAccount, writeMeta } from "../store/account.ts";
import type { Store } from "../store/database.ts";
import { toBase64url } from "./bytes.ts";
import { sealName } from "./device_name.ts";
import { addOneTimePreKeys, markUploaded, pendingUpload, rotatePreKeys } from "./keys.ts";
import type { LinkedAccount } from "./link_code.ts";

/**
 * The request that adds this device. It is on disk with all keys when this returns, so that a kill after it costs
 * nothing: `pendingDevice` gives the same again (rule LINK-5).
 */
export function makeDevice(
	store: Store,
	account: LinkedAccount,
	server: string,
	name: string,
	nowMs: number,
): AddDeviceRequest {
	return store.transaction(() => {
		const { identity } = account;
		const registrationId = randomInt(1, 16381);
		const secret = new Uint8Array(randomBytes(32));
		writeMeta(store, "identity_key_pair", identity.serialize());
		writeMeta(store, "registration_id", registrationId);
		writeMeta(store, "device_secret", toBase64url(secret));
		writeMeta(store, "username", account.username);
		writeMeta(store, "server", server);
		rotatePreKeys(store, nowMs);
		addOneTimePreKeys(store, nowMs, { ec: true, kyber: true });
		const keys = pendingUpload(store);
		const request = AddDeviceRequest.parse({
			...keys,
			accountId: account.accountId,
			token: account.token,
			registrationId,
			deviceSecret: toBase64url(secret),
			proof: toBase64url(identity.privateKey.sign(deviceProofInput(registrationId, secret))),
			sealedName: sealName(identity, registrationId, name),
		});
		writeMeta(store, "link_request", JSON.stringify(request));
		return request;
	});
}

/** The request of a device that was not answered. */
export function pendingDevice(store: Store): AddDeviceRequest | undefined {
	const text = readMeta<string>(store, "link_request");
	return text === undefined ? undefined : AddDeviceRequest.parse(JSON.parse(text));
}

/** The server wants the device no more: nothing of the account stays here. */
export function forgetDevice(store: Store): void {
	store.transaction(() => {
		for (const key of ["identity_key_pair", "registration_id", "device_secret", "username", "link_request"] as const) {
			forgetMeta(store, key);
		}
		for (const table of ["ec_prekeys", "signed_prekeys", "kyber_prekeys"]) store.run(`DELETE FROM ${table}`);
	});
}

/** The server has the device: from here on it has an account, and will ask its others for what they know. */
export function completeDevice(store: Store, answer: { accountId: string; deviceId: number }): LocalAccount {
	return store.transaction(() => {
		writeMeta(store, "account_id", answer.accountId);
		writeMeta(store, "device_id", answer.deviceId);
		writeMeta(store, "sync_wanted", 1);
		writeMeta(store, "conversations_wanted", 1);
		forgetMeta(store, "link_request");
		markUploaded(store);
		return requireAccount(store);
	});
}
