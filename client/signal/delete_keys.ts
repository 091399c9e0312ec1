/**
 * Keys that end this account's holds on blobs. They are derived from the account's identity key, so that each of its
 * devices can end what any of them began, without a word between them (rule ATTACH-9). HKDF as libsignal has it.
 */
import { hkdf } from "@signalapp/libsignal-client";
import type { Store } from "../store/database.ts";
import { ownBytes, toBase64url } from "./bytes.ts";
import { identityKeyPair } from "./keys.ts";

const KEY_BYTES = 32;

/** What a blob is held for: a message, by its id, or a picture, by the digest of its blob. */
export type HeldFor = { message: string } | { picture: Uint8Array };

/** base64url of 32 bytes that only this account's devices know. Throws `NotRegisteredError`. */
export function deleteKeyFor(store: Store, held: HeldFor): string {
	const name = "message" in held ? `message ${held.message}` : `picture ${toBase64url(held.picture)}`;
	const label = ownBytes(Buffer.from(`parley media delete key v1 ${name}`));
	return toBase64url(hkdf(KEY_BYTES, identityKeyPair(store).privateKey.serialize(), label, null));
}
