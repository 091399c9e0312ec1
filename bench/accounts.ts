/** Accounts for the load: real libsignal keys and signatures, because the api verifies them, and random usernames. */
import { randomBytes, randomInt } from "node:crypto";
import { IdentityKeyPair, KEMKeyPair, PrivateKey } from "@signalapp/libsignal-client";
import { type RegisterRequest, RegisterResponse, registrationProofInput } from "../protocol/http.ts";

/** A registered account with its only device. */
export interface LoadAccount {
	accountId: string;
	accountIdBytes: Uint8Array<ArrayBuffer>;
	deviceId: number;
	registrationId: number;
	accessToken: string;
	deviceSecret: string;
}

/** Two accounts that will talk. */
export type LoadPair = readonly [LoadAccount, LoadAccount];

const text = (bytes: Uint8Array) => Buffer.from(bytes).toString("base64url");

/** A request as a client makes it, with a single one-time key of each kind. */
function registerRequest(): RegisterRequest {
	const identity = IdentityKeyPair.generate();
	const usernameHash = new Uint8Array(randomBytes(32));
	const deviceSecret = new Uint8Array(randomBytes(32));
	const registrationId = randomInt(1, 16_381);
	const signed = PrivateKey.generate().getPublicKey().serialize();
	const oneTime = PrivateKey.generate().getPublicKey().serialize();
	const kyber = () => {
		const key = KEMKeyPair.generate().getPublicKey().serialize();
		return { key: text(key), signature: text(identity.privateKey.sign(key)) };
	};
	return {
		usernameHash: text(usernameHash),
		identityKey: text(identity.publicKey.serialize()),
		registrationId,
		deviceSecret: text(deviceSecret),
		proof: text(identity.privateKey.sign(registrationProofInput(usernameHash, registrationId, deviceSecret))),
		signedPreKey: { id: 1, key: text(signed), signature: text(identity.privateKey.sign(signed)) },
		lastResortKyberPreKey: { id: 1, ...kyber() },
		oneTimePreKeys: [{ id: 1, key: text(oneTime) }],
		oneTimeKyberPreKeys: [{ id: 2, ...kyber() }],
	};
}

export async function registerOne(base: string): Promise<LoadAccount> {
	const body = registerRequest();
	const response = await fetch(`${base}/v1/accounts`, {
		method: "POST",
		headers: { "content-type": "application/json" },
		body: JSON.stringify(body),
		signal: AbortSignal.timeout(30_000),
	});
	if (!response.ok) throw new Error(`registration answered ${response.status}: ${await response.text()}`);
	const { accountId, deviceId, accessToken } = RegisterResponse.parse(await response.json());
	const accountIdBytes = new Uint8Array(Buffer.from(accountId.replaceAll("-", ""), "hex"));
	return {
		accountId,
		accountIdBytes,
		deviceId,
		registrationId: body.registrationId,
		accessToken,
		deviceSecret: body.deviceSecret,
	};
}

export async function registerPair(base: string): Promise<LoadPair> {
	return Promise.all([registerOne(base), registerOne(base)]);
}
