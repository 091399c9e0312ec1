/** From a blob back to its file, nothing of which is handed out before it is verified (rule ATTACH-3). */
import { createDecipheriv, type Decipher } from "node:crypto";
import type { FileHandle } from "node:fs/promises";
import { type BlobSeal, blobSize, IV_BYTES, MAC_BYTES } from "./blob.ts";
import { passed } from "./garbage.ts";
import { PIECE_BYTES } from "./spool.ts";
import { BlobVerifier } from "./verifier.ts";

/**
 * Decrypts a blob while it comes: `written` yields its bytes in order, each of which is in the file `copy` already.
 * Yields the file's bytes, without the padding, as they are verified; each piece is valid until the next one. What is
 * not verified yet waits on disk, so that memory does not grow. Throws `TamperedError`, and what `written` throws.
 */
export async function* openBlob(
	copy: FileHandle,
	written: AsyncIterable<Uint8Array>,
	seal: BlobSeal,
): AsyncGenerator<Uint8Array, void, undefined> {
	const verifier = new BlobVerifier(seal);
	const opener = new Opener(copy, seal);
	for await (const bytes of written) {
		yield* opener.upTo(verifier.add(bytes));
		passed(bytes.length);
	}
	verifier.end();
}

/** Decrypts a copy from its beginning, as far as it is told to. */
class Opener {
	readonly #copy: FileHandle;
	readonly #key: Uint8Array;
	readonly #buffer = new Uint8Array(PIECE_BYTES);
	readonly #end: number;
	#at = IV_BYTES;
	#plainLeft: number;
	#decipher: Decipher | undefined;

	constructor(copy: FileHandle, seal: BlobSeal) {
		this.#copy = copy;
		this.#key = seal.key.subarray(0, 32);
		this.#end = blobSize(seal.size) - MAC_BYTES;
		this.#plainLeft = seal.size;
	}

	async *upTo(verified: number): AsyncGenerator<Uint8Array> {
		const end = Math.min(verified, this.#end);
		while (this.#at < end) {
			this.#decipher ??= await this.#begin();
			const sealed = await this.#read(this.#at, Math.min(PIECE_BYTES, end - this.#at));
			this.#at += sealed.length;
			yield* this.#cut(this.#decipher.update(sealed));
			if (this.#at === this.#end) yield* this.#cut(this.#decipher.final());
		}
	}

	async #begin(): Promise<Decipher> {
		return createDecipheriv("aes-256-cbc", this.#key, (await this.#read(0, IV_BYTES)).slice());
	}

	*#cut(plain: Uint8Array): Generator<Uint8Array> {
		const wanted = plain.subarray(0, this.#plainLeft);
		this.#plainLeft -= wanted.length;
		if (wanted.length > 0) yield wanted;
	}

	async #read(at: number, bytes: number): Promise<Uint8Array> {
		const { bytesRead } = await this.#copy.read(this.#buffer, 0, bytes, at);
		if (bytesRead === 0) throw new Error("the encrypted copy is shorter than it was");
		return this.#buffer.subarray(0, bytesRead);
	}
}
