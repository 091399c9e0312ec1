/** Keys that come in are checked at the edge, so that no object stores one that a peer would refuse (rule PREKEY-3). */
import { decodeBase64Url } from "hono/utils/encode";
import { type PreKeyUpload, type RegisterRequest, registrationProofInput } from "../../protocol/http.ts";
import { type AddDeviceRequest, deviceProofInput } from "../../protocol/http_devices.ts";
import { Refusal } from "./errors.ts";
import { isCurve25519Key, isKyber1024Key, verifyXeddsa } from "./xeddsa.ts";

/** Refuses an upload with a key of another type or a signature that the identity key did not make. */
export function checkPreKeys(identityKey: Uint8Array, upload: PreKeyUpload): void {
	for (const { key } of upload.oneTimePreKeys) {
		if (!isCurve25519Key(decodeBase64Url(key))) throw new Refusal("malformed", "oneTimePreKeys: not a Curve25519 key");
	}
	const { signedPreKey, lastResortKyberPreKey, oneTimeKyberPreKeys } = upload;
	if (signedPreKey !== undefined) {
		const key = decodeBase64Url(signedPreKey.key);
		if (!isCurve25519Key(key)) throw new Refusal("malformed", "signedPreKey: not a Curve25519 key");
		checkSignature(identityKey, key, signedPreKey.signature, "signedPreKey");
	}
	const kyber = lastResortKyberPreKey === undefined ? [] : [lastResortKyberPreKey];
	for (const preKey of [...kyber, ...oneTimeKyberPreKeys]) {
		const key = decodeBase64Url(preKey.key);
		if (!isKyber1024Key(key)) throw new Refusal("malformed", "Kyber prekeys: not a Kyber-1024 key");
		checkSignature(identityKey, key, preKey.signature, "Kyber prekeys");
	}
}

/** Refuses a registration that the identity key's holder did not make. */
export function checkProof(request: RegisterRequest): void {
	const input = registrationProofInput(
		decodeBase64Url(request.usernameHash),
		request.registrationId,
		decodeBase64Url(request.deviceSecret),
	);
	checkSignature(decodeBase64Url(request.identityKey), input, request.proof, "proof");
}

/** Refuses a new device that the identity key's holder did not make. */
export function checkDeviceProof(identityKey: Uint8Array, request: AddDeviceRequest): void {
	const input = deviceProofInput(request.registrationId, decodeBase64Url(request.deviceSecret));
	checkSignature(identityKey, input, request.proof, "proof");
}

function checkSignature(identityKey: Uint8Array, message: Uint8Array, signature: string, what: string): void {
	if (verifyXeddsa(identityKey, message, decodeBase64Url(signature))) return;
	throw new Refusal("bad_signature", `${what}: the identity key did not sign this`);
}
