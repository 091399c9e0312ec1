/** Addresses, headers and ids of the media interface; `specs/protocol.md` has its rules. Bodies are in `http.ts`. */
import { LIMITS } from "./limits.ts";

/** Paths below the server's address. */
export const MEDIA_PATHS = {
	/** POST: a grant (`MediaGrant`). */
	grants: "/v1/media/grants",
	/** tus 1.0: POST creates; HEAD, PATCH and DELETE go to the `Location` that it answers. */
	uploads: "/v1/media/uploads",
	/** GET and HEAD read a blob, DELETE ends a hold on it. */
	blob: (blobId: string) => `/v1/media/blobs/${blobId}`,
	/** PUT: holds a blob, or holds it longer (`MediaHold`). */
	hold: (blobId: string) => `/v1/media/blobs/${blobId}/hold`,
} as const;

/** Headers that are ours; all others are those of HTTP and of tus 1.0. */
export const MEDIA_HEADERS = {
	/** Of a creation and of a hold: what `POST /v1/media/grants` gave. */
	grant: "Parley-Grant",
	/** Of a creation and of a hold: SHA-256 of the delete key (`deleteHash`). */
	deleteHash: "Parley-Delete-Hash",
	/** Of a deletion: the delete key, base64url. */
	deleteKey: "Parley-Delete-Key",
	/** Of the answer to a creation: the id under which the blob can be read once it is complete. */
	blob: "Parley-Blob",
} as const;

/** The tus version that is spoken (`Tus-Resumable`). */
export const TUS_VERSION = "1.0.0";
/** What `OPTIONS` lists. */
export const TUS_EXTENSIONS = [
	"creation",
	"creation-with-upload",
	"creation-defer-length",
	"termination",
	"expiration",
	"checksum",
] as const;
/** What `Upload-Checksum` may begin with. */
export const TUS_CHECKSUM_ALGORITHMS = ["sha1", "sha256"] as const;
/** The content type of uploaded bytes. */
export const TUS_CONTENT_TYPE = "application/offset+octet-stream";

/** A blob id, an upload id, a delete key and its hash: 32 bytes, base64url without padding. */
export const MEDIA_ID_PATTERN = /^[A-Za-z0-9_-]{43}$/;

/** How long an upload may take, and how long a blob is held, in milliseconds. */
export const MEDIA_UPLOAD_MS = LIMITS.media_upload_hours * 3_600_000;
export const MEDIA_HOLD_MS = LIMITS.media_days * 86_400_000;

/**
 * The blob id of an upload id (rule BLOB-1): who may read can't write. Both are text, base64url.
 */
export function blobIdOf(uploadId: string): Promise<string> {
	return labelledHash("parley blob v1", uploadId);
}

/**
 * The key under which a blob stands in R2, which is its object's name too: what the server stores names no blob that
 * could be asked for.
 */
export function storageKeyOf(blobId: string): Promise<string> {
	return labelledHash("parley stored blob v1", blobId);
}

/** The hash of a delete key (both base64url), which is all that the server has until the key is used. */
export function deleteHash(deleteKey: string): Promise<string> {
	return labelledHash("parley delete key v1", deleteKey);
}

/** SHA-256 over a label, a zero byte and a text, base64url. */
async function labelledHash(label: string, text: string): Promise<string> {
	const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(`${label}\0${text}`));
	return btoa(String.fromCharCode(...new Uint8Array(digest)))
		.replaceAll("+", "-")
		.replaceAll("/", "_")
		.replaceAll("=", "");
}
