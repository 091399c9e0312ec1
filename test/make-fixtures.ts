/**
 * Writes `fixtures/registrations.json` and `fixtures/devices.json`: registrations as a client makes them and further
 * devices of the same accounts, for tests in workerd, where libsignal does not load.
 * `node test/make-fixtures.ts` makes them anew.
 */
import { randomBytes } from "node:crypto";
import { writeFileSync } from "node:fs";
import { KEMKeyPair, PrivateKey } from "@signalapp/libsignal-client";
import { type RegisterRequest, registrationProofInput } from "../protocol/http.ts";
import { type AddDeviceRequest, deviceProofInput } from "../protocol/http_devices.ts";

const ACCOUNTS = 6;
const ONE_TIME_PREKEYS = 3;
const ONE_TIME_KYBER_PREKEYS = 1;
/** Further devices of the first account, and of each other one. */
const [DEVICES_OF_FIRST, DEVICES_OF_OTHERS] = [8, 2];

/** A further device, without the account and the token that only a server knows. */
type Device = Omit<AddDeviceRequest, "accountId" | "token">;

function registration(
	usernameHash: Uint8Array = randomBytes(32),
	deviceSecret: Uint8Array = randomBytes(32),
	further = 0,
): { request: RegisterRequest; rotated: RegisterRequest["signedPreKey"]; devices: Device[] } {
	const identity = PrivateKey.generate();
	const registrationId = 1 + (randomBytes(2).readUInt16BE() % 16380);
	const curve = (id: number) => ({ id, key: PrivateKey.generate().getPublicKey().serialize() });
	const signed = ({ id, key }: { id: number; key: Uint8Array }) => ({
		id,
		key: text(key),
		signature: text(identity.sign(Uint8Array.from(key))),
	});
	const kyber = (id: number) => signed({ id, key: KEMKeyPair.generate().getPublicKey().serialize() });
	const devices = Array.from({ length: further }, () => {
		const secret = randomBytes(32);
		const id = 1 + (randomBytes(2).readUInt16BE() % 16380);
		return {
			registrationId: id,
			deviceSecret: text(secret),
			proof: text(identity.sign(deviceProofInput(id, secret))),
			signedPreKey: signed(curve(1)),
			lastResortKyberPreKey: kyber(1),
			oneTimePreKeys: [{ id: 1, key: text(curve(1).key) }],
			oneTimeKyberPreKeys: [],
		};
	});
	const request = {
		usernameHash: text(usernameHash),
		identityKey: text(identity.getPublicKey().serialize()),
		registrationId,
		deviceSecret: text(deviceSecret),
		proof: text(identity.sign(registrationProofInput(usernameHash, registrationId, deviceSecret))),
		signedPreKey: signed(curve(1)),
		lastResortKyberPreKey: kyber(1),
		oneTimePreKeys: Array.from({ length: ONE_TIME_PREKEYS }, (_, index) => {
			const { id, key } = curve(index + 1);
			return { id, key: text(key) };
		}),
		oneTimeKyberPreKeys: Array.from({ length: ONE_TIME_KYBER_PREKEYS }, (_, index) => kyber(index + 2)),
	};
	return { request, rotated: signed(curve(2)), devices };
}

function text(bytes: Uint8Array): string {
	return Buffer.from(bytes).toString("base64url");
}

const accounts = Array.from({ length: ACCOUNTS }, (_, index) =>
	registration(undefined, undefined, index === 0 ? DEVICES_OF_FIRST : DEVICES_OF_OTHERS),
);
// Two who want the first account's username: one with a secret of their own, one who has its secret but not its key.
const first = accounts[0]?.request;
if (first === undefined) throw new Error("no accounts");
const wanted = Buffer.from(first.usernameHash, "base64url");
accounts.push(registration(wanted), registration(wanted, Buffer.from(first.deviceSecret, "base64url")));
function write(name: string, fixtures: unknown): void {
	writeFileSync(new URL(`fixtures/${name}.json`, import.meta.url), `${JSON.stringify(fixtures, undefined, "\t")}\n`);
}

write(
	"registrations",
	accounts.map(({ request, rotated }) => ({ request, rotated })),
);
write(
	"devices",
	accounts.map(({ devices }) => devices),
);
