/** Names of devices, which only the account's own devices can read and make (rule DEVICE-2). */
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import type { IdentityKeyPair } from "@signalapp/libsignal-client";
import { DeviceNameSchema } from "../../protocol/gen/linking_pb.js";
import { LIMITS } from "../../protocol/limits.ts";
import { fromBase64url, ownBytes, toBase64url } from "./bytes.ts";

const LABEL = "parley device name v1";

/** For the server, in base64url. The registration id binds the name to its device. */
export function sealName(identity: IdentityKeyPair, registrationId: number, name: string): string {
	const signature = identity.privateKey.sign(signedBytes(registrationId, name));
	const plaintext = toBinary(DeviceNameSchema, create(DeviceNameSchema, { name, signature }));
	return toBase64url(identity.publicKey.seal(plaintext, LABEL));
}

/** Undefined for what no device of the account has made, or has made for another device. */
export function openName(identity: IdentityKeyPair, registrationId: number, sealed: string): string | undefined {
	try {
		const plaintext = identity.privateKey.open(fromBase64url(sealed), LABEL);
		const { name, signature } = fromBinary(DeviceNameSchema, plaintext);
		const genuine = identity.publicKey.verify(signedBytes(registrationId, name), ownBytes(signature));
		return genuine ? name : undefined;
	} catch {
		return undefined;
	}
}

/** A name as it may be: cut to 64 bytes, at a character's end. */
export function fittingName(name: string): string {
	let fitting = "";
	for (const character of name.trim()) {
		if (Buffer.byteLength(fitting + character) > LIMITS.device_name_bytes) break;
		fitting += character;
	}
	return fitting;
}

function signedBytes(registrationId: number, name: string): Uint8Array<ArrayBuffer> {
	return new Uint8Array(Buffer.from(`${LABEL}\0${registrationId}\0${name}`));
}
