/** A group's state under the group's key, signed by its author (rules GROUP-10, GROUP-11). */
import { randomBytes } from "node:crypto";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { Aes256GcmSiv, LibSignalErrorBase, PublicKey } from "@signalapp/libsignal-client";
import { type SignedGroupState, SignedGroupStateSchema } from "../../protocol/gen/group_pb.js";
import { fromHex, uuidToBytes } from "../../protocol/ids.ts";
import type { Store } from "../store/database.ts";
import { ownBytes } from "./bytes.ts";
import { identityKeyPair } from "./keys.ts";

const NONCE_BYTES = 12;
const LABEL = new TextEncoder().encode("parley group state v1");

/** Signs a serialized `GroupState` with the account's identity key and seals it. */
export function sealState(
	store: Store,
	key: Uint8Array<ArrayBuffer>,
	at: { group: string; version: number; author: string },
	state: Uint8Array<ArrayBuffer>,
): Uint8Array<ArrayBuffer> {
	const signature = identityKeyPair(store).privateKey.sign(signed(state));
	const message = create(SignedGroupStateSchema, { state, author: uuidToBytes(at.author), signature });
	const nonce = ownBytes(randomBytes(NONCE_BYTES));
	const plaintext = ownBytes(toBinary(SignedGroupStateSchema, message));
	return ownBytes(Buffer.concat([nonce, Aes256GcmSiv.new(key).encrypt(plaintext, nonce, associated(at))]));
}

/** Undefined where the key, the group or the version is another one, or the bytes were changed. */
export function openState(
	key: Uint8Array<ArrayBuffer>,
	at: { group: string; version: number },
	sealed: Uint8Array,
): SignedGroupState | undefined {
	if (sealed.length <= NONCE_BYTES) return undefined;
	const nonce = ownBytes(sealed.subarray(0, NONCE_BYTES));
	try {
		const plaintext = Aes256GcmSiv.new(key).decrypt(ownBytes(sealed.subarray(NONCE_BYTES)), nonce, associated(at));
		const message = fromBinary(SignedGroupStateSchema, plaintext);
		return message.author.length === 16 && message.signature.length === 64 ? message : undefined;
	} catch {
		return undefined;
	}
}

/** Whether the account with this identity key has signed the state. */
export function signatureFits(state: SignedGroupState, identityKey: Uint8Array<ArrayBuffer>): boolean {
	try {
		return PublicKey.deserialize(identityKey).verify(signed(state.state), ownBytes(state.signature));
	} catch (error) {
		if (error instanceof LibSignalErrorBase) return false;
		throw error;
	}
}

function signed(state: Uint8Array): Uint8Array<ArrayBuffer> {
	return ownBytes(Buffer.concat([LABEL, state]));
}

function associated({ group, version }: { group: string; version: number }): Uint8Array<ArrayBuffer> {
	const bytes = new Uint8Array(36);
	bytes.set(fromHex(group));
	new DataView(bytes.buffer).setUint32(32, version);
	return bytes;
}
