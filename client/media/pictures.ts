/**
 * Pictures of groups and people at the server: brought there, fetched, held as long as they are shown, and let go
 * (rules PICTURE-1 to PICTURE-4). They are small: an upload that a kill cuts is begun anew by whoever wants the picture.
 */
import { randomBytes } from "node:crypto";
import { create, toBinary } from "@bufbuild/protobuf";
import { type Attachment, AttachmentSchema } from "../../protocol/gen/content_pb.js";
import { MEDIA_HOLD_MS } from "../../protocol/media.ts";
import { Failure } from "../failure.ts";
import { deleteKeyFor } from "../signal/delete_keys.ts";
import { findBlob, isUsed, removeBlob } from "../store/blobs.ts";
import { allPictures, forgetPicture, noteHeldPicture, notePicture, type PictureRow } from "../store/pictures.ts";
import { ServerRefusal } from "../transport/errors.ts";
import { type BlobSeal, IV_BYTES, KEY_BYTES } from "./blob.ts";
import { dropCopy, plaintextOf } from "./downloads.ts";
import { holdBlob } from "./holds.ts";
import { told } from "./outgoing.ts";
import { type MadePicture, pictureFrom } from "./picture.ts";
import { currentPictures, type Pictured } from "./pictured.ts";
import { type Preview, previewOf } from "./preview.ts";
import { releaseBlob } from "./removal.ts";
import { ANY_IMAGE, assertShowable } from "./safety.ts";
import { saveTo } from "./saving.ts";
import { sealBlob } from "./seal.ts";
import type { TransferTools } from "./transfers.ts";
import { createUpload, patchUpload } from "./tus.ts";

/** A hold with less time left than this is made longer. */
const RENEW_MS = MEDIA_HOLD_MS / 2;

export class Pictures {
	readonly #tools: TransferTools;
	readonly #signal: AbortSignal;
	/** One thing after the other: nothing is let go between its upload and the change that shows it. */
	#last: Promise<unknown> = Promise.resolve();

	constructor(tools: TransferTools, signal: AbortSignal) {
		this.#tools = tools;
		this.#signal = signal;
	}

	/**
	 * Brings an image to the server as the picture of `peer` (a group, or the own account), then hands `use` the
	 * serialized pointer. When that is done, the picture of before is let go. Throws `Failure` `bad_argument`, what the
	 * server refuses, and what `use` throws: then the new one goes.
	 */
	async set(peer: string, path: string, use: (pointer: Uint8Array<ArrayBuffer>) => Promise<unknown>): Promise<void> {
		const made = await pictureFrom(path);
		await this.#alone(async () => {
			try {
				const pointer = await this.#upload(peer, made).catch((error: unknown) => {
					throw told(error);
				});
				await use(toBinary(AttachmentSchema, pointer));
			} finally {
				await this.#sweep().catch(() => undefined);
			}
		});
	}

	/**
	 * Saves a picture, decrypted and checked; returns the path. Throws `Failure` `file_gone`, `file_tampered`,
	 * `file_unsafe`.
	 */
	save(peer: string, pointer: Attachment, to: string): Promise<string> {
		const check = (path: string): Promise<void> => assertShowable(path, ANY_IMAGE);
		return this.#alone(async () =>
			saveTo(to, { id: pointer.blob, name: pointer.fileName }, this.#read(peer, pointer), check),
		);
	}

	/** A picture, small enough for a square of `side` pixels. Throws as `save`. */
	preview(peer: string, pointer: Attachment, side: number): Promise<Preview> {
		return this.#alone(async () => previewOf(this.#read(peer, pointer), side)).catch((error: unknown) => {
			throw told(error);
		});
	}

	/** Whether a picture is on this disk, whole. */
	isHere({ blob }: Attachment): boolean {
		return findBlob(this.#tools.store, blob)?.whole === 1;
	}

	/** Blobs of pictures that this device has a copy of, or its account holds. */
	known(): string[] {
		return allPictures(this.#tools.store).map(({ blob }) => blob);
	}

	/** Holds what this account keeps alive, and lets go what is shown no longer. What fails is done the next time. */
	sweep(): Promise<void> {
		return this.#alone(() => this.#sweep());
	}

	async #upload(peer: string, { bytes, ...facts }: MadePicture): Promise<Attachment> {
		const { store, http, clock } = this.#tools;
		const { blob: sealed, seal } = await sealedWhole(bytes);
		const deleteKey = deleteKeyFor(store, { picture: seal.digest });
		const { path, blob } = await createUpload(http, { bytes: sealed.length, deleteKey }, this.#signal);
		// Before a byte is there: a kill leaves nothing that nobody would let go.
		const untilMs = clock.nowMs() + MEDIA_HOLD_MS;
		noteHeldPicture(store, { blob, peer, delete_key: deleteKey, held_until_ms: untilMs });
		const body = { bytes: sealed.length, pieces: piecesOf(sealed) };
		const reached = await patchUpload(http, path, 0, body, this.#signal);
		if (reached !== sealed.length) throw new Failure("unreachable", "the picture did not arrive whole: try it again");
		const { key, digest, incrementalMac, chunkBytes } = seal;
		return create(AttachmentSchema, {
			...{ blob, key, digest, incrementalMac, chunkBytes, size: BigInt(bytes.length) },
			...{ ...facts, contentType: "image/jpeg", fileName: "picture.jpg" },
		});
	}

	async *#read(peer: string, pointer: Attachment): AsyncGenerator<Uint8Array> {
		notePicture(this.#tools.store, pointer.blob, peer);
		try {
			yield* plaintextOf(this.#tools, { id: pointer.blob, pointer, signal: this.#signal });
		} catch (error) {
			throw told(error);
		}
	}

	async #sweep(): Promise<void> {
		const { store, clock } = this.#tools;
		const pictures = currentPictures(store);
		const known = new Map(allPictures(store).map((row) => [row.blob, row]));
		for (const row of known.values()) {
			// What was left behind with a group stays on this disk, and at the server as long as it is held.
			if (pictures.left.has(row.peer) || pictures.pending.has(row.blob) || pictures.current.has(row.blob)) continue;
			await passing(this.#letGo(row));
		}
		for (const picture of pictures.current.values()) {
			const row = known.get(picture.pointer.blob);
			const held = row?.delete_key != null;
			if (!held && !picture.keeper) continue;
			if ((row?.held_until_ms ?? 0) < clock.nowMs() + RENEW_MS) await passing(this.#hold(picture));
		}
	}

	async #hold({ peer, pointer: { blob, digest } }: Pictured): Promise<void> {
		const { store, http } = this.#tools;
		const deleteKey = deleteKeyFor(store, { picture: digest });
		const untilMs = await holdBlob(http, blob, deleteKey, this.#signal);
		if (untilMs !== undefined) noteHeldPicture(store, { blob, peer, delete_key: deleteKey, held_until_ms: untilMs });
	}

	async #letGo({ blob, delete_key }: PictureRow): Promise<void> {
		const { store, http } = this.#tools;
		const copy = findBlob(store, blob);
		if (copy !== undefined && !isUsed(store, blob)) {
			await dropCopy(this.#tools, copy);
			removeBlob(store, blob);
		}
		if (delete_key !== null) await releaseBlob(http, blob, delete_key, this.#signal);
		forgetPicture(store, blob);
	}

	#alone<T>(work: () => Promise<T>): Promise<T> {
		const result = this.#last.then(work);
		this.#last = result.catch(() => undefined);
		return result;
	}
}

/** What the server refuses for one picture is no reason to leave the others. */
async function passing(work: Promise<void>): Promise<void> {
	await work.catch((error: unknown) => {
		if (!(error instanceof ServerRefusal)) throw error;
	});
}

async function sealedWhole(bytes: Uint8Array): Promise<{ blob: Uint8Array; seal: BlobSeal }> {
	const options = {
		key: new Uint8Array(randomBytes(KEY_BYTES)),
		iv: new Uint8Array(randomBytes(IV_BYTES)),
		size: bytes.length,
	};
	const sealing = sealBlob(piecesOf(bytes), options);
	const pieces: Uint8Array[] = [];
	for (;;) {
		const next = await sealing.next();
		if (next.done === true) return { blob: Buffer.concat(pieces), seal: next.value };
		pieces.push(next.value);
	}
}

async function* piecesOf(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
	yield bytes;
}
