/** Tells how much of a blob is what was sent, as it comes (rule ATTACH-3). */
import { createHash, createHmac, timingSafeEqual } from "node:crypto";
import { type BlobSeal, blobSize, chunkChoice, incrementalMacSize, MAC_BYTES, TamperedError } from "./blob.ts";
import { IncrementalMac } from "./incremental_mac.ts";

export class BlobVerifier {
	readonly #seal: BlobSeal;
	readonly #size: number;
	readonly #digest = createHash("sha256");
	readonly #hmac;
	readonly #steps: IncrementalMac;
	readonly #mac = Buffer.alloc(MAC_BYTES);
	#read = 0;
	#chunks = 0;

	/** Throws `TamperedError` for a seal that can't be one. */
	constructor(seal: BlobSeal) {
		if (seal.incrementalMac.length !== incrementalMacSize(seal.size, seal.chunkBytes)) {
			throw new TamperedError("the message's checksums are malformed");
		}
		this.#seal = seal;
		this.#size = blobSize(seal.size);
		this.#hmac = createHmac("sha256", seal.key.subarray(32));
		this.#steps = new IncrementalMac(seal.key.slice(32), chunkChoice(seal.chunkBytes));
	}

	/**
	 * Takes the next bytes, and returns how many are verified from the beginning on: whole chunks, and at the end all.
	 * Throws `TamperedError` at the first chunk that is another.
	 */
	add(bytes: Uint8Array): number {
		const at = this.#read;
		this.#read += bytes.length;
		if (this.#read > this.#size) throw new TamperedError("the file at the server is longer than what was sent");
		this.#digest.update(bytes);
		const body = Math.max(0, Math.min(bytes.length, this.#size - MAC_BYTES - at));
		this.#hmac.update(bytes.subarray(0, body));
		this.#mac.set(bytes.subarray(body), Math.max(0, at - (this.#size - MAC_BYTES)));
		this.#steps.add(bytes);
		if (this.#read === this.#size) {
			this.#finish();
			return this.#size;
		}
		const { chunkBytes } = this.#seal;
		const chunks = Math.floor(this.#read / chunkBytes);
		if (chunks > this.#chunks) this.#compare();
		this.#chunks = chunks;
		return chunks * chunkBytes;
	}

	/** No more bytes come. Throws `TamperedError` where some are missing. */
	end(): void {
		if (this.#read < this.#size) throw new TamperedError("the file at the server is shorter than what was sent");
	}

	#finish(): void {
		this.#steps.end();
		this.#compare();
		const whole = timingSafeEqual(this.#hmac.digest(), this.#mac);
		if (!whole || !timingSafeEqual(this.#digest.digest(), this.#seal.digest)) throw tampered();
	}

	/** The HMACs so far are the first ones of the seal. */
	#compare(): void {
		const found = this.#steps.macs;
		const sent = this.#seal.incrementalMac.subarray(0, found.length);
		if (sent.length !== found.length || !timingSafeEqual(found, sent)) throw tampered();
	}
}

function tampered(): TamperedError {
	return new TamperedError("the file at the server is not the one that was sent");
}
