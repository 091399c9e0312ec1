/** From a file to its blob. */
import { createCipheriv, createHash, createHmac } from "node:crypto";
import {
	type BlobSeal,
	blobSize,
	chunkBytesFor,
	chunkChoice,
	IV_BYTES,
	KEY_BYTES,
	paddedSize,
	SourceChangedError,
} from "./blob.ts";
import { passed } from "./garbage.ts";
import { IncrementalMac } from "./incremental_mac.ts";

const ZEROS = new Uint8Array(256 * 1024);

export interface SealOptions {
	/** `KEY_BYTES` random bytes. With the same key, IV and file the blob is the same. */
	key: Uint8Array<ArrayBuffer>;
	/** `IV_BYTES` random bytes. */
	iv: Uint8Array<ArrayBuffer>;
	/** Of the file, which has to have exactly so many bytes. */
	size: number;
}

/**
 * Encrypts a file as it is read, and yields the blob's bytes; returns its seal at the end. Holds no more than a few of
 * the source's chunks. Throws `SourceChangedError` where the source has another size.
 */
export async function* sealBlob(
	source: AsyncIterable<Uint8Array>,
	{ key, iv, size }: SealOptions,
): AsyncGenerator<Uint8Array, BlobSeal, undefined> {
	if (key.length !== KEY_BYTES || iv.length !== IV_BYTES) throw new RangeError("a key has 64 bytes, an IV 16");
	const hmac = createHmac("sha256", key.subarray(32));
	const digest = createHash("sha256");
	const cipher = createCipheriv("aes-256-cbc", key.subarray(0, 32), iv);
	const chunkBytes = chunkBytesFor(size);
	const steps = new IncrementalMac(key.slice(32), chunkChoice(chunkBytes));
	let written = 0;
	const note = (bytes: Uint8Array): Uint8Array => {
		written += bytes.length;
		passed(bytes.length);
		digest.update(bytes);
		steps.add(bytes);
		return bytes;
	};

	hmac.update(iv);
	yield note(iv);
	let read = 0;
	for await (const plain of source) {
		read += plain.length;
		if (read > size) throw new SourceChangedError("the file grew while it was read");
		const sealed = cipher.update(plain);
		hmac.update(sealed);
		yield note(sealed);
	}
	if (read < size) throw new SourceChangedError("the file shrank while it was read");
	for (let left = paddedSize(size) - size; left > 0; left -= ZEROS.length) {
		const sealed = cipher.update(ZEROS.subarray(0, left));
		hmac.update(sealed);
		yield note(sealed);
	}
	const last = cipher.final();
	hmac.update(last);
	yield note(last);
	yield note(hmac.digest());
	if (written !== blobSize(size)) throw new Error(`a blob of ${written} bytes instead of ${blobSize(size)}`);
	steps.end();
	return { key, size, digest: new Uint8Array(digest.digest()), incrementalMac: steps.macs, chunkBytes };
}
