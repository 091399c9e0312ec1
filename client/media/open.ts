/** From a blob back to its file, nothing of which is handed out before it is verified (rule ATTACH-3). */
import { createDecipheriv, createHash, createHmac, type Decipher, timingSafeEqual } from "node:crypto";
import { pipeline } from "node:stream/promises";
import { ErrorCode, LibSignalErrorBase } from "@signalapp/libsignal-client";
import { ValidatingPassThrough } from "@signalapp/libsignal-client/dist/incremental_mac.js";
import { type BlobSeal, blobSize, chunkChoice, IV_BYTES, MAC_BYTES, TamperedError } from "./blob.ts";

/**
 * Yields the bytes of a blob once the chunk in which they are is verified; after the last one, the whole is. It buffers
 * one chunk of the seal. Throws `TamperedError` at the first chunk that is not the one that was sent, and what the
 * source throws.
 */
export async function* verifiedBlob(
	source: AsyncIterable<Uint8Array>,
	seal: BlobSeal,
): AsyncGenerator<Uint8Array, void, undefined> {
	const chunks = startValidation(seal);
	const feeding = pipeline(wholeBlob(source, seal), chunks);
	// The same error comes out of the loop.
	feeding.catch(() => {});
	try {
		for await (const bytes of chunks) if (bytes.length > 0) yield bytes;
		await feeding;
	} catch (error) {
		const refused = error instanceof LibSignalErrorBase && error.code === ErrorCode.IncrementalMacVerificationFailed;
		throw refused ? tampered(error) : error;
	}
}

/** Decrypts a blob from its beginning: yields the file's bytes, without the padding, as they are verified. */
export async function* openBlob(
	source: AsyncIterable<Uint8Array>,
	seal: BlobSeal,
): AsyncGenerator<Uint8Array, void, undefined> {
	let iv = Buffer.alloc(0);
	let decipher: Decipher | undefined;
	let sealedLeft = blobSize(seal.size) - IV_BYTES - MAC_BYTES;
	let plainLeft = seal.size;
	for await (let bytes of verifiedBlob(source, seal)) {
		if (decipher === undefined) {
			const missing = IV_BYTES - iv.length;
			iv = Buffer.concat([iv, bytes.subarray(0, missing)]);
			if (iv.length < IV_BYTES) continue;
			decipher = createDecipheriv("aes-256-cbc", seal.key.subarray(0, 32), iv);
			bytes = bytes.subarray(missing);
		}
		const plain = decipher.update(bytes.subarray(0, sealedLeft)).subarray(0, plainLeft);
		sealedLeft -= Math.min(sealedLeft, bytes.length);
		plainLeft -= plain.length;
		if (plain.length > 0) yield plain;
	}
	const rest = decipher?.final().subarray(0, plainLeft);
	if (rest !== undefined && rest.length > 0) yield rest;
}

/** Passes a blob on, but its last piece only when both checks over the whole have passed. */
async function* wholeBlob(source: AsyncIterable<Uint8Array>, seal: BlobSeal): AsyncGenerator<Uint8Array> {
	const size = blobSize(seal.size);
	const digest = createHash("sha256");
	const hmac = createHmac("sha256", seal.key.subarray(32));
	let read = 0;
	let mac = Buffer.alloc(0);
	let held: Uint8Array | undefined;
	for await (const bytes of source) {
		if (read + bytes.length > size) throw new TamperedError("the file at the server is longer than what was sent");
		digest.update(bytes);
		const body = Math.max(0, Math.min(bytes.length, size - MAC_BYTES - read));
		hmac.update(bytes.subarray(0, body));
		if (body < bytes.length) mac = Buffer.concat([mac, bytes.subarray(body)]);
		read += bytes.length;
		if (held !== undefined) yield held;
		held = bytes;
	}
	if (read < size) throw new TamperedError("the file at the server is shorter than what was sent");
	const right = timingSafeEqual(hmac.digest(), mac) && timingSafeEqual(digest.digest(), seal.digest);
	if (!right || held === undefined) throw tampered();
	yield held;
}

function startValidation(seal: BlobSeal): ValidatingPassThrough {
	try {
		return new ValidatingPassThrough(seal.key.slice(32), chunkChoice(seal.chunkBytes), seal.incrementalMac);
	} catch (error) {
		throw new TamperedError("the message's checksums are malformed", { cause: error });
	}
}

function tampered(cause?: unknown): TamperedError {
	return new TamperedError("the file at the server is not the one that was sent", { cause });
}
