/**
 * Which request does what. Only the api calls; it has authenticated the account, limited how often it asks, and taken
 * away who it is. Here: the form, the grant, then the object or R2.
 */
import { LIMITS } from "../../protocol/limits.ts";
import {
	blobIdOf,
	deleteHash,
	MEDIA_HEADERS,
	MEDIA_ID_PATTERN,
	MEDIA_PATHS,
	storageKeyOf,
} from "../../protocol/media.ts";
import { download } from "./download.ts";
import { drain } from "./drain.ts";
import type { MediaEnv } from "./env.ts";
import { readGrant } from "./grants.ts";
import { quotaRefusal } from "./quota-refusal.ts";
import { faultResponse, notFound, Refusal } from "./refusal.ts";
import { type Progress, progressHeaders, type StoredBlob } from "./stored-blob.ts";
import { capabilities, checkVersion, methodOf, readCreation, readId, readPatch } from "./tus.ts";

const ID_BYTES = 32;
const UPLOAD = /^\/v1\/media\/uploads\/([^/]+)$/;
const BLOB = /^\/v1\/media\/blobs\/([^/]+)(\/hold)?$/;

export async function answer(request: Request, env: MediaEnv): Promise<Response> {
	try {
		const { pathname } = new URL(request.url);
		if (pathname === MEDIA_PATHS.uploads) return await uploads(request, env);
		const upload = UPLOAD.exec(pathname)?.[1];
		if (upload !== undefined) return await oneUpload(request, env, upload);
		const [, blob, hold] = BLOB.exec(pathname) ?? [];
		if (blob === undefined) throw notFound();
		return await oneBlob(request, env, blob, hold !== undefined);
	} catch (error) {
		await drain(request.body);
		return faultResponse(error, "media");
	}
}

async function uploads(request: Request, env: MediaEnv): Promise<Response> {
	const method = methodOf(request);
	if (method === "OPTIONS") return new Response(null, { status: 204, headers: capabilities() });
	if (method !== "POST") throw notFound();
	checkVersion(request.headers);
	const { subject, bytes_max } = await readGrant(env, request.headers, Date.now());
	const { body, length, deleteHash } = readCreation(request.headers, bytes_max, request.body !== null);
	const id = base64Url(crypto.getRandomValues(new Uint8Array(ID_BYTES)));
	const blob = await blobIdOf(id);
	const stub = await stubOf(env, blob);
	const created = await stub.create({ subject, length, bytes_max, deleteHash });
	if (created !== "ok") throw quotaRefusal(created);
	const headers = { location: `${MEDIA_PATHS.uploads}/${id}`, [MEDIA_HEADERS.blob]: blob };
	if (body === undefined) return created201(headers, await stub.progress());

	const first = await stub.fetch(patchRequest(request, "0"));
	// Without its first bytes nobody has a use for it. After other refusals the upload is there, and goes on by PATCH.
	if (first.status === 460) {
		await stub.terminate();
		return first;
	}
	return created201(headers, await stub.progress());
}

function created201(headers: Record<string, string>, progress: Progress | "not_found" | "unavailable"): Response {
	// Where R2 fails only now, the client asks again with HEAD.
	const known = typeof progress === "string" ? undefined : progress;
	return new Response(null, { status: 201, headers: { ...progressHeaders(known), ...headers } });
}

async function oneUpload(request: Request, env: MediaEnv, id: string): Promise<Response> {
	const method = methodOf(request);
	if (method === "OPTIONS") return new Response(null, { status: 204, headers: capabilities() });
	checkVersion(request.headers);
	if (!MEDIA_ID_PATTERN.test(id)) throw notFound();
	const stub = await stubOf(env, await blobIdOf(id));
	switch (method) {
		case "HEAD":
			return new Response(null, { headers: progressHeaders(found(await stub.progress())) });
		case "PATCH":
			// Before the object is woken.
			readPatch(request.headers);
			return await stub.fetch(patchRequest(request));
		case "DELETE":
			found(await stub.terminate());
			return new Response(null, { status: 204, headers: progressHeaders(undefined) });
		default:
			throw notFound();
	}
}

async function oneBlob(request: Request, env: MediaEnv, id: string, hold: boolean): Promise<Response> {
	const { method, headers } = request;
	if (hold ? method !== "PUT" : !["GET", "HEAD", "DELETE"].includes(method)) throw notFound();
	if (hold) return await holdBlob(env, id, headers);
	if (method === "DELETE") {
		const key = readId(headers, MEDIA_HEADERS.deleteKey);
		if (!MEDIA_ID_PATTERN.test(id)) throw notFound();
		found(await (await stubOf(env, id)).endHold(await deleteHash(key)));
		return new Response(null, { status: 204 });
	}
	if (!MEDIA_ID_PATTERN.test(id)) throw notFound();
	return await download(env.BLOBS, await storageKeyOf(id), method === "HEAD" ? "HEAD" : "GET", headers);
}

async function holdBlob(env: MediaEnv, id: string, headers: Headers): Promise<Response> {
	const { subject } = await readGrant(env, headers, Date.now());
	const hash = readId(headers, MEDIA_HEADERS.deleteHash);
	if (!MEDIA_ID_PATTERN.test(id)) throw notFound();
	const held = await (await stubOf(env, id)).hold(hash, subject);
	if (typeof held === "number") return Response.json({ expiresAtMs: held });
	switch (held) {
		case "not_found":
			throw notFound();
		case "too_many":
			throw new Refusal("too_many_holds", "too many hold this blob: upload it again", LIMITS.media_holds);
		case "ok":
			throw new TypeError("a hold without a time");
		default:
			throw quotaRefusal(held);
	}
}

/** The object of a blob. Its name is a hash, so that what is stored names neither uploads nor blobs. */
async function stubOf(env: MediaEnv, blob: string): Promise<DurableObjectStub<StoredBlob>> {
	return env.STORED_BLOB.getByName(await storageKeyOf(blob));
}

/** A PATCH for the object: its headers that count, and the body as it streams. */
function patchRequest(request: Request, offset?: string): Request {
	const headers = new Headers();
	for (const name of ["content-type", "upload-checksum", "upload-length", "upload-offset"]) {
		const value = request.headers.get(name);
		if (value !== null) headers.set(name, value);
	}
	if (offset !== undefined) headers.set("upload-offset", offset);
	return new Request("https://blob/", { method: "PATCH", headers, body: request.body });
}

/** Throws what stands for an answer. */
function found<T>(result: T | "not_found" | "unavailable"): T {
	if (result === "not_found") throw notFound();
	if (result === "unavailable") throw new Refusal("storage_unavailable", "the storage does not answer: try again");
	return result;
}

function base64Url(bytes: Uint8Array): string {
	return Buffer.from(bytes).toString("base64url");
}
