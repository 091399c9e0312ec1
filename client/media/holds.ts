/** A file that is at the server already is held for another message instead of uploaded again (rule ATTACH-6). */
import type { FileHandle } from "node:fs/promises";
import { fromBinary } from "@bufbuild/protobuf";
import { AttachmentSchema } from "../../protocol/gen/content_pb.js";
import { MediaHold } from "../../protocol/http.ts";
import { deleteHash, MEDIA_HEADERS, MEDIA_PATHS } from "../../protocol/media.ts";
import { sameBytes } from "../signal/bytes.ts";
import type { BlobRow } from "../store/blobs.ts";
import { ServerRefusal } from "../transport/errors.ts";
import { type BlobSeal, SourceChangedError } from "./blob.ts";
import type { MediaHttp } from "./http.ts";
import { sealOf } from "./pointer.ts";
import { sealBlob } from "./seal.ts";
import { filePieces } from "./spool.ts";
import type { TransferTools } from "./transfers.ts";

/** Holds a blob. Returns until when, in milliseconds since 1970; undefined where it is gone, or held by too many. */
export async function holdBlob(
	http: MediaHttp,
	blob: string,
	deleteKey: string,
	signal: AbortSignal,
): Promise<number | undefined> {
	const { grant } = await http.api.mediaGrant();
	const headers = { [MEDIA_HEADERS.grant]: grant, [MEDIA_HEADERS.deleteHash]: await deleteHash(deleteKey) };
	try {
		const text = await http.text({ method: "PUT", path: MEDIA_PATHS.hold(blob), headers, signal });
		return MediaHold.parse(JSON.parse(text)).expiresAtMs;
	} catch (error) {
		const gone = error instanceof ServerRefusal && (error.code === "not_found" || error.code === "too_many_holds");
		if (gone) return undefined;
		throw error;
	}
}

/** What a pointer needs of a blob that holds the same file. */
export type HeldBlob = Omit<BlobSeal, "size"> & { blob: string; expiresAtMs: bigint };

/**
 * Looks among blobs of a file's size for one of the same file, and holds it. The same key, IV and file give the same
 * digest, so that nothing but the blob's own seal has to be kept to tell.
 */
export async function heldAgain(
	{ http }: Pick<TransferTools, "http">,
	candidates: readonly BlobRow[],
	file: FileHandle,
	deleteKey: string,
	signal: AbortSignal,
): Promise<HeldBlob | undefined> {
	for (const { blob, pointer, iv } of candidates) {
		const { key, digest, incrementalMac, chunkBytes, size } = sealOf(fromBinary(AttachmentSchema, pointer));
		if (iv === null || !sameBytes(digest, await digestUnder(file, { key, iv, size }, signal))) continue;
		// Without a connection it is queued as if it were new.
		const expiresAtMs = await holdBlob(http, blob, deleteKey, signal).catch(() => undefined);
		if (expiresAtMs !== undefined) {
			return { blob, key, digest, incrementalMac, chunkBytes, expiresAtMs: BigInt(expiresAtMs) };
		}
	}
	return undefined;
}

/** The digest of the blob that a file gives; of nothing where its size has changed. */
async function digestUnder(
	file: FileHandle,
	under: { key: Uint8Array<ArrayBuffer>; iv: Uint8Array<ArrayBuffer>; size: number },
	signal: AbortSignal,
): Promise<Uint8Array> {
	const sealing = sealBlob(filePieces(file, signal), under);
	try {
		for (;;) {
			const next = await sealing.next();
			if (next.done === true) return next.value.digest;
		}
	} catch (error) {
		if (error instanceof SourceChangedError) return new Uint8Array();
		throw error;
	}
}
