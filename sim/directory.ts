/** A stand-in for the directory: identity keys and prekeys, each one-time prekey handed out once. */
import type { PreKeyBundles, PreKeyUpload, RegisterRequest } from "../protocol/http.ts";

interface Listed {
	identityKey: string;
	registrationId: number;
	keys: PreKeyUpload;
}

/** Accounts with one device each. */
export class Directory {
	readonly #listed = new Map<string, Listed>();

	register(account: string, request: RegisterRequest): void {
		const { identityKey, registrationId } = request;
		const { signedPreKey, lastResortKyberPreKey, oneTimePreKeys, oneTimeKyberPreKeys } = request;
		const keys = { signedPreKey, lastResortKyberPreKey, oneTimePreKeys, oneTimeKyberPreKeys };
		this.#listed.set(account, { identityKey, registrationId, keys: structuredClone(keys) });
	}

	upload(account: string, upload: PreKeyUpload): void {
		const listed = this.#listed.get(account);
		if (listed !== undefined) listed.keys = { ...listed.keys, ...structuredClone(upload) };
	}

	claim(account: string): PreKeyBundles | undefined {
		const listed = this.#listed.get(account);
		const signedPreKey = listed?.keys.signedPreKey;
		if (listed === undefined || signedPreKey === undefined) return undefined;
		const oneTimePreKey = listed.keys.oneTimePreKeys.shift();
		const kyberPreKey = listed.keys.oneTimeKyberPreKeys.shift() ?? listed.keys.lastResortKyberPreKey;
		if (kyberPreKey === undefined) return undefined;
		const { identityKey, registrationId } = listed;
		const device = { deviceId: 1, registrationId, signedPreKey, kyberPreKey };
		return { identityKey, devices: [oneTimePreKey === undefined ? device : { ...device, oneTimePreKey }] };
	}
}
