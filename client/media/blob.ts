/**
 * The form of an encrypted file, which is Signal's (attachments, version 2): a random IV, AES-256-CBC over the file and
 * zeros up to the next step of its size, HMAC-SHA256 over both. What travels in the message beside the key is SHA-256
 * over all of it, and the HMAC's state after each chunk, so that a change is noticed at the chunk where it is.
 */
import { chunkSizeInBytes, everyNthByte } from "@signalapp/libsignal-client/dist/incremental_mac.js";
import { LIMITS } from "../../protocol/limits.ts";

/** AES-256, then HMAC-SHA256. */
export const KEY_BYTES = 64;
export const IV_BYTES = 16;
export const MAC_BYTES = 32;
export const BLOCK_BYTES = 16;
/** What one HMAC in the incremental MAC takes. */
const STEP_MAC_BYTES = 32;
/** The smallest file is padded to this, as in Signal. */
const PADDED_BYTES_MIN = 541;
const CHUNK_BYTES_MIN = 64 * 1024;
/** So the incremental MAC has little more than 4 KiB, since a message carries it once for each device. */
const CHUNKS_MAX = 128;

/** A file's size rounded up to a power of 1.05, so that the blob's size says little (rule ATTACH-2). */
export function paddedSize(size: number): number {
	const step = Math.ceil(Math.log(Math.max(size, 1)) / Math.log(1.05));
	// The logarithm may be off by a hair: never less than the file, never more than the largest file.
	const rounded = Math.max(PADDED_BYTES_MIN, size, Math.floor(1.05 ** step));
	return Math.min(rounded, Math.max(size, LIMITS.attachment_bytes));
}

/** The bytes of the blob of a file of `size` bytes. */
export function blobSize(size: number): number {
	const blocks = Math.floor(paddedSize(size) / BLOCK_BYTES) + 1;
	return IV_BYTES + blocks * BLOCK_BYTES + MAC_BYTES;
}

/** How many bytes of a blob are verified together. */
export function chunkBytesFor(size: number): number {
	return Math.max(CHUNK_BYTES_MIN, Math.ceil(blobSize(size) / CHUNKS_MAX / CHUNK_BYTES_MIN) * CHUNK_BYTES_MIN);
}

/**
 * The length of the incremental MAC that belongs to a file's size and the size of its chunks. After a blob of whole
 * chunks, as the largest is, libsignal has one more for the nothing at its end.
 */
export function incrementalMacSize(size: number, chunkBytes: number): number {
	return (Math.floor(blobSize(size) / chunkBytes) + 1) * STEP_MAC_BYTES;
}

/** libsignal's form of a chunk size. Throws a RangeError where it takes another. */
export function chunkChoice(chunkBytes: number): ReturnType<typeof everyNthByte> {
	const choice = everyNthByte(chunkBytes);
	if (chunkSizeInBytes(choice) !== chunkBytes) throw new RangeError("libsignal takes another chunk size");
	return choice;
}

/** What opens a blob: a secret, and what tells whether it is the right one. */
export interface BlobSeal {
	/** `KEY_BYTES` random bytes that no other file has. */
	key: Uint8Array<ArrayBuffer>;
	/** Of the file. */
	size: number;
	/** SHA-256 of the blob. */
	digest: Uint8Array<ArrayBuffer>;
	incrementalMac: Uint8Array<ArrayBuffer>;
	chunkBytes: number;
}

/** The blob isn't the one of the message: whatever was read of it must not be shown (rule ATTACH-3). */
export class TamperedError extends Error {
	override readonly name = "TamperedError";
}

/** A file became longer or shorter, or other, while it was read. */
export class SourceChangedError extends Error {
	override readonly name = "SourceChangedError";
}
