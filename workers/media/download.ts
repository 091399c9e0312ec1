/** Reads of complete blobs, straight from R2 (rule BLOB-2). */

import { LIMITS } from "../../protocol/limits.ts";
import { logFault } from "../fault-log.ts";
import { type ByteRange, cover, namesTag, readRange } from "./ranges.ts";
import { notFound, Refusal } from "./refusal.ts";

/** Ciphertext that never changes: a cache may keep it for as long as it can be there, for its caller only. */
const IMMUTABLE = `private, max-age=${LIMITS.media_days * 86_400}, immutable`;

type Reader = Pick<R2Bucket, "head" | "get">;

/** The answer to GET and HEAD of the blob that stands under `key`. Where R2 fails it throws `storage_unavailable`. */
export async function download(
	bucket: Reader,
	key: string,
	method: "GET" | "HEAD",
	headers: Headers,
): Promise<Response> {
	try {
		return await answer(bucket, key, method, headers);
	} catch (error) {
		if (error instanceof Refusal) throw error;
		logFault("R2 failed", error, "warn");
		throw new Refusal("storage_unavailable", "the storage does not answer: try again");
	}
}

async function answer(bucket: Reader, key: string, method: "GET" | "HEAD", headers: Headers): Promise<Response> {
	const range = readRange(headers.get("range"));
	const conditional = ["if-match", "if-none-match", "if-range"].some((name) => headers.has(name));
	// Mostly one operation; the conditions of the few requests that have any need the tag first.
	if (method === "HEAD" || conditional || range === "unsatisfiable") {
		return withTag(bucket, key, method, headers, range);
	}
	return read(bucket, key, range);
}

async function withTag(
	bucket: Reader,
	key: string,
	method: "GET" | "HEAD",
	headers: Headers,
	range: ByteRange | "unsatisfiable" | undefined,
): Promise<Response> {
	const object = await bucket.head(key);
	if (object === null) throw notFound();
	const [match, noneMatch, ifRange] = ["if-match", "if-none-match", "if-range"].map((name) => headers.get(name));
	if (match != null && !namesTag(match, object.httpEtag, false)) {
		throw new Refusal("precondition_failed", "the blob has another tag");
	}
	if (noneMatch != null && namesTag(noneMatch, object.httpEtag, true)) {
		return new Response(null, { status: 304, headers: describe(object) });
	}
	const wanted = ifRange != null && ifRange !== object.httpEtag ? undefined : range;
	if (method === "HEAD") {
		return new Response(null, { headers: { ...describe(object), "content-length": String(object.size) } });
	}
	if (wanted === "unsatisfiable") throw unsatisfiable(object.size);
	return read(bucket, key, wanted);
}

async function read(bucket: Reader, key: string, range: ByteRange | undefined): Promise<Response> {
	let object: R2ObjectBody | null;
	try {
		object = await bucket.get(key, range === undefined ? {} : { range });
	} catch (error) {
		// R2 refuses a range beyond the end; whether it was that, the size tells.
		const size = (await bucket.head(key))?.size;
		if (size === undefined) throw notFound();
		if (range === undefined || cover(range, size) !== undefined) throw error;
		throw unsatisfiable(size);
	}
	if (object === null) throw notFound();
	if (range === undefined) {
		return new Response(object.body, { headers: { ...describe(object), "content-length": String(object.size) } });
	}
	const part = cover(range, object.size);
	if (part === undefined) throw unsatisfiable(object.size);
	const { offset, length } = part;
	const headers = {
		...describe(object),
		"content-length": String(length),
		"content-range": `bytes ${offset}-${offset + length - 1}/${object.size}`,
	};
	return new Response(object.body, { status: 206, headers });
}

function describe(object: R2Object): Record<string, string> {
	return {
		etag: object.httpEtag,
		"accept-ranges": "bytes",
		"cache-control": IMMUTABLE,
		"content-type": "application/octet-stream",
		"content-disposition": "attachment",
		"x-content-type-options": "nosniff",
	};
}

function unsatisfiable(size: number): Refusal {
	return new Refusal("range_not_satisfiable", "the range begins after the end", size, {
		"content-range": `bytes */${size}`,
	});
}
