/** The headers of tus 1.0, read and checked; no I/O. Everything throws a `Refusal`. */
import { LIMITS } from "../../protocol/limits.ts";
import {
	MEDIA_HEADERS,
	MEDIA_ID_PATTERN,
	TUS_CHECKSUM_ALGORITHMS,
	TUS_CONTENT_TYPE,
	TUS_EXTENSIONS,
	TUS_VERSION,
} from "../../protocol/media.ts";
import { Refusal } from "./refusal.ts";

/** What a body has to hash to, in hex. */
export interface Checksum {
	algorithm: (typeof TUS_CHECKSUM_ALGORITHMS)[number];
	digest: string;
}

/** What stands before the bytes of a body. */
export interface BodyHeaders {
	checksum?: Checksum;
	/** The body's size where the client says it. */
	bytes?: number;
}

export interface Creation {
	/** Undefined where it is deferred. */
	length: number | undefined;
	deleteHash: string;
	/** Where the bytes begin to come at once. */
	body?: BodyHeaders;
}

export interface Patch extends BodyHeaders {
	offset: number;
	/** Declares a length that was deferred. */
	length?: number;
}

const DIGEST_BYTES = { sha1: 20, sha256: 32 } as const;

/** The answer to OPTIONS. */
export function capabilities(): Record<string, string> {
	return {
		"tus-resumable": TUS_VERSION,
		"tus-version": TUS_VERSION,
		"tus-max-size": String(LIMITS.media_bytes),
		"tus-extension": TUS_EXTENSIONS.join(","),
		"tus-checksum-algorithm": TUS_CHECKSUM_ALGORITHMS.join(","),
	};
}

/**
 * The method that tus means: a client behind a narrow proxy says it in a header of a POST. Of a POST only, because the
 * api asks nobody who sends OPTIONS for a token.
 */
export function methodOf({ method, headers }: Request): string {
	return method === "POST" ? (headers.get("x-http-method-override") ?? method).toUpperCase() : method;
}

/** Rule UPLOAD-1. */
export function checkVersion(headers: Headers): void {
	if (headers.get("tus-resumable") === TUS_VERSION) return;
	throw new Refusal("tus_version_unsupported", "Tus-Resumable: 1.0.0 is needed", undefined, {
		"tus-version": TUS_VERSION,
	});
}

/** A creation; `bytesMax` is what its grant allows. */
export function readCreation(headers: Headers, bytesMax: number, hasBody: boolean): Creation {
	if ((headers.get("upload-metadata") ?? "").trim() !== "") {
		throw new Refusal("metadata_refused", "names and types belong into the encrypted message");
	}
	if (headers.has("upload-concat")) throw new Refusal("malformed", "uploads can't be concatenated");
	const length = readLength(headers, bytesMax);
	const deferred = headers.get("upload-defer-length");
	if (deferred !== null && deferred !== "1") throw new Refusal("malformed", "Upload-Defer-Length can only be 1");
	if ((length === undefined) === (deferred === null)) {
		throw new Refusal("malformed", "either Upload-Length or Upload-Defer-Length is needed");
	}
	const creation: Creation = { length, deleteHash: readId(headers, MEDIA_HEADERS.deleteHash) };
	if (hasBody && headers.get("content-length") !== "0") {
		checkContentType(headers);
		creation.body = readBody(headers);
	}
	return creation;
}

/** The headers of a PATCH. */
export function readPatch(headers: Headers): Patch {
	checkContentType(headers);
	const offset = readInteger(headers, "upload-offset");
	if (offset === undefined) throw new Refusal("malformed", "Upload-Offset is needed");
	const length = readLength(headers, LIMITS.media_bytes);
	return { offset, ...(length === undefined ? {} : { length }), ...readBody(headers) };
}

/** A header that holds 32 bytes in base64url. */
export function readId(headers: Headers, name: string): string {
	const value = headers.get(name) ?? "";
	if (!MEDIA_ID_PATTERN.test(value)) throw new Refusal("malformed", `${name} must be 32 bytes in base64url`);
	return value;
}

/** Rule UPLOAD-5. */
function readLength(headers: Headers, bytesMax: number): number | undefined {
	const length = readInteger(headers, "upload-length");
	if (length === undefined) return undefined;
	if (length === 0) throw new Refusal("upload_empty", "an upload has at least one byte");
	if (length > bytesMax) throw new Refusal("upload_too_large", "the upload is too large", bytesMax);
	return length;
}

function readBody(headers: Headers): BodyHeaders {
	const bytes = readInteger(headers, "content-length");
	const checksum = readChecksum(headers.get("upload-checksum"));
	return { ...(bytes === undefined ? {} : { bytes }), ...(checksum === undefined ? {} : { checksum }) };
}

/** Rule UPLOAD-6. */
function readChecksum(value: string | null): Checksum | undefined {
	if (value === null) return undefined;
	const [name, base64, ...more] = value.trim().split(" ");
	const algorithm = TUS_CHECKSUM_ALGORITHMS.find((each) => each === name);
	if (algorithm === undefined) {
		throw new Refusal("checksum_unsupported", `checksums are ${TUS_CHECKSUM_ALGORITHMS.join(" or ")}`);
	}
	const digest = Buffer.from(base64 ?? "", "base64");
	if (more.length > 0 || digest.length !== DIGEST_BYTES[algorithm] || digest.toString("base64") !== base64) {
		throw new Refusal("malformed", "Upload-Checksum is no digest of its algorithm");
	}
	return { algorithm, digest: digest.toString("hex") };
}

function checkContentType(headers: Headers): void {
	if (headers.get("content-type") === TUS_CONTENT_TYPE) return;
	throw new Refusal("content_type_unsupported", `the content type must be ${TUS_CONTENT_TYPE}`);
}

/** A whole number as tus writes it; undefined where the header is missing. */
function readInteger(headers: Headers, name: string): number | undefined {
	const text = headers.get(name);
	if (text === null) return undefined;
	const value = Number(text);
	if (!/^\d{1,16}$/.test(text) || !Number.isSafeInteger(value)) {
		throw new Refusal("malformed", `${name} is no whole number`);
	}
	return value;
}
