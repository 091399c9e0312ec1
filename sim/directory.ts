/** A stand-in for the directory: identity keys and prekeys, each one-time prekey handed out once. */
import type { PreKeyBundles, PreKeyUpload } from "../protocol/http.ts";

interface Listed {
	registrationId: number;
	keys: PreKeyUpload;
}

/** What a device registers with. */
interface Registered extends Required<PreKeyUpload> {
	registrationId: number;
}

type Bundle = PreKeyBundles["devices"][number];

/** Accounts with their devices. */
export class Directory {
	readonly #accounts = new Map<string, { identityKey: string; devices: Map<number, Listed> }>();

	register(account: string, identityKey: string, device: number, registered: Registered): void {
		const { registrationId } = registered;
		const { signedPreKey, lastResortKyberPreKey, oneTimePreKeys, oneTimeKyberPreKeys } = registered;
		const keys = { signedPreKey, lastResortKyberPreKey, oneTimePreKeys, oneTimeKyberPreKeys };
		const known = this.#accounts.get(account) ?? { identityKey, devices: new Map() };
		known.devices.set(device, { registrationId, keys: structuredClone(keys) });
		this.#accounts.set(account, known);
	}

	remove(account: string, device: number): void {
		this.#accounts.get(account)?.devices.delete(device);
	}

	upload(account: string, device: number, upload: PreKeyUpload): void {
		const listed = this.#accounts.get(account)?.devices.get(device);
		if (listed !== undefined) listed.keys = { ...listed.keys, ...structuredClone(upload) };
	}

	claim(account: string): PreKeyBundles | undefined {
		const known = this.#accounts.get(account);
		// An account that was deleted has none left.
		if (known === undefined || known.devices.size === 0) return undefined;
		const devices = [...known.devices].flatMap(([device, listed]) => take(device, listed) ?? []);
		return { identityKey: known.identityKey, devices };
	}
}

function take(deviceId: number, { registrationId, keys }: Listed): Bundle | undefined {
	const { signedPreKey } = keys;
	const oneTimePreKey = keys.oneTimePreKeys.shift();
	const kyberPreKey = keys.oneTimeKyberPreKeys.shift() ?? keys.lastResortKyberPreKey;
	if (signedPreKey === undefined || kyberPreKey === undefined) return undefined;
	const device = { deviceId, registrationId, signedPreKey, kyberPreKey };
	return oneTimePreKey === undefined ? device : { ...device, oneTimePreKey };
}
