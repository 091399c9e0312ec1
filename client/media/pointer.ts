/** What a message says about its file: checked as it comes in, and as people and programs see it. */
import { create } from "@bufbuild/protobuf";
import { type Attachment, AttachmentSchema, Presentation } from "../../protocol/gen/content_pb.js";
import { LIMITS } from "../../protocol/limits.ts";
import { MEDIA_ID_PATTERN } from "../../protocol/media.ts";
import { ownBytes } from "../signal/bytes.ts";
import { type BlobSeal, incrementalMacSize, KEY_BYTES } from "./blob.ts";
import { safeFileName } from "./file_name.ts";

/** A message's file, without what opens it. */
export interface StoredFile {
	name: string;
	/** In bytes. */
	size: number;
	contentType: string;
	presentation: "shown" | "document" | "voice";
	width: number | undefined;
	height: number | undefined;
	durationMs: number | undefined;
	/** A blurred preview (github.com/evanw/thumbhash). */
	thumbHash: Uint8Array | undefined;
	/** Loudness, a byte a step. */
	waveform: Uint8Array | undefined;
	altText: string | undefined;
}

const CHUNK_BYTES_MIN = 64 * 1024;
const CHUNK_BYTES_MAX = 32 * 1024 * 1024;
const SIDE_MAX = 1_000_000;
const CONTENT_TYPE = /^[a-z0-9][a-z0-9!#$&^_.+-]{0,63}\/[a-z0-9][a-z0-9!#$&^_.+-]{0,63}$/;
export const UNKNOWN_TYPE = "application/octet-stream";

/**
 * A pointer that came in a message, with everything left out that people must not see as it is. Undefined where it can't
 * lead to a file: keys of a wrong length, checksums that don't fit the size, a size beyond the limit (rule ATTACH-4).
 */
export function acceptedPointer(sent: Attachment): Attachment | undefined {
	const size = Number(sent.size);
	const opens =
		MEDIA_ID_PATTERN.test(sent.blob) &&
		sent.key.length === KEY_BYTES &&
		sent.digest.length === 32 &&
		size <= LIMITS.attachment_bytes &&
		sent.chunkBytes >= CHUNK_BYTES_MIN &&
		sent.chunkBytes <= CHUNK_BYTES_MAX &&
		sent.incrementalMac.length === incrementalMacSize(size, sent.chunkBytes);
	if (!opens) return undefined;
	return create(AttachmentSchema, {
		...sent,
		contentType: CONTENT_TYPE.test(sent.contentType) ? sent.contentType : UNKNOWN_TYPE,
		fileName: safeFileName(sent.fileName),
		width: sent.width <= SIDE_MAX ? sent.width : 0,
		height: sent.height <= SIDE_MAX ? sent.height : 0,
		thumbHash: sent.thumbHash.subarray(0, LIMITS.thumb_hash_bytes),
		waveform: sent.waveform.subarray(0, LIMITS.waveform_steps),
		caption: withinBytes(sent.caption, LIMITS.caption_bytes),
		altText: withinBytes(sent.altText, LIMITS.alt_text_bytes),
	});
}

/** What opens the pointer's blob. */
export function sealOf(pointer: Attachment): BlobSeal {
	return {
		key: ownBytes(pointer.key),
		size: Number(pointer.size),
		digest: ownBytes(pointer.digest),
		incrementalMac: ownBytes(pointer.incrementalMac),
		chunkBytes: pointer.chunkBytes,
	};
}

/** What people and programs may see of a pointer. */
export function storedFile(pointer: Attachment): StoredFile {
	return {
		name: pointer.fileName,
		size: Number(pointer.size),
		contentType: pointer.contentType,
		presentation: presentationOf(pointer),
		width: pointer.width || undefined,
		height: pointer.height || undefined,
		durationMs: pointer.durationMs || undefined,
		thumbHash: pointer.thumbHash.length === 0 ? undefined : pointer.thumbHash,
		waveform: pointer.waveform.length === 0 ? undefined : pointer.waveform,
		altText: pointer.altText || undefined,
	};
}

function presentationOf(pointer: Attachment): StoredFile["presentation"] {
	switch (pointer.presentation) {
		case Presentation.VOICE:
			return "voice";
		case Presentation.DOCUMENT:
			return "document";
		default:
			return "shown";
	}
}

function withinBytes(text: string, bytes: number): string {
	return Buffer.byteLength(text) <= bytes ? text : "";
}
