/** What the tests of this room share: accounts with grants, uploads, and a bucket that fails on purpose. */
import { runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { MediaGrant } from "../protocol/http.ts";
import { deleteHash, MEDIA_HEADERS, MEDIA_PATHS, storageKeyOf, TUS_CONTENT_TYPE } from "../protocol/media.ts";
import { prekeys } from "../workers/account-do/testing.ts";
import { mediaSubject } from "../workers/api/media.ts";
import { issueToken } from "../workers/api/tokens.ts";
import type { Bucket } from "../workers/media/bucket.ts";
import { PART_BYTES } from "../workers/media/records.ts";
import { type Call, call } from "./api-caller.ts";

export const TUS = { "tus-resumable": "1.0.0" };

/** Bytes that look like ciphertext and are the same in each run. */
export function noise(length: number, seed = 1): Uint8Array<ArrayBuffer> {
	const words = new Uint32Array(Math.ceil(length / 4));
	let state = seed;
	for (let index = 0; index < words.length; index++) {
		state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
		words[index] = state;
	}
	return new Uint8Array(words.buffer, 0, length);
}

/** A whole part and a piece of the next. */
export const LARGE = noise(PART_BYTES + 200_000);
/** Less than a part. */
export const SMALL = noise(5000);

/** A body that brings some bytes and then breaks, or stalls. */
export function broken(bytes: Uint8Array, end: "break" | "stall"): ReadableStream {
	return new ReadableStream({
		type: "bytes",
		async pull(controller) {
			if (bytes.length > 0) {
				controller.enqueue(bytes.slice(0, 65536));
				bytes = bytes.subarray(65536);
			} else if (end === "break") controller.error(new Error("the train is in a tunnel"));
			else await new Promise(() => undefined);
		},
	});
}

/** A key as a client makes it, and its hash. */
export async function newDeleteKey(): Promise<{ key: string; hash: string }> {
	const key = Buffer.from(crypto.getRandomValues(new Uint8Array(32))).toString("base64url");
	return { key, hash: await deleteHash(key) };
}

export interface Started {
	/** The path that tus continues. */
	location: string;
	blob: string;
	deleteKey: string;
}

/** One account, as far as grants and media ask: it has an object and no row in the directory. */
export class Uploader {
	readonly accountId = crypto.randomUUID();
	token = "";
	grant = "";

	static async create(): Promise<Uploader> {
		const uploader = new Uploader();
		await env.ACCOUNT.getByName(uploader.accountId).addDevice(1, prekeys(1, 1));
		uploader.token = (await issueToken(env, { accountId: uploader.accountId, device: 1 }, Date.now())).accessToken;
		const response = await uploader.ask(MEDIA_PATHS.grants, { method: "POST" });
		uploader.grant = MediaGrant.parse(await response.json()).grant;
		return uploader;
	}

	subject(): Promise<string> {
		return mediaSubject(env, this.accountId);
	}

	ask(path: string, options: Call = {}): Promise<Response> {
		return call(path, { token: this.token, ...options });
	}

	/** A creation; headers of undefined are left out. */
	async create(headers: Record<string, string | undefined>, body?: BodyInit): Promise<Response> {
		const { hash } = await newDeleteKey();
		const all = { ...TUS, [MEDIA_HEADERS.grant]: this.grant, [MEDIA_HEADERS.deleteHash]: hash, ...headers };
		const given = Object.entries(all).flatMap(([name, value]) => (value === undefined ? [] : [[name, value]]));
		return this.ask(MEDIA_PATHS.uploads, { method: "POST", headers: Object.fromEntries(given), ...raw(body) });
	}

	/** A new upload of so many bytes, or of a length that is deferred. */
	async start(length?: number): Promise<Started> {
		const { key, hash } = await newDeleteKey();
		const size = length === undefined ? { "upload-defer-length": "1" } : { "upload-length": String(length) };
		const response = await this.create({ ...size, [MEDIA_HEADERS.deleteHash]: hash });
		return { ...started(response), deleteKey: key };
	}

	patch(location: string, offset: number, body: BodyInit, headers: Record<string, string> = {}): Promise<Response> {
		const all = { ...TUS, "content-type": TUS_CONTENT_TYPE, "upload-offset": String(offset), ...headers };
		return this.ask(location, { method: "PATCH", headers: all, ...raw(body) });
	}

	head(location: string): Promise<Response> {
		return this.ask(location, { method: "HEAD", headers: TUS });
	}

	/** How far the upload is, or the status of what was answered instead. */
	async offset(location: string): Promise<number | `status ${number}`> {
		const response = await this.head(location);
		return response.status === 200 ? Number(response.headers.get("upload-offset")) : `status ${response.status}`;
	}

	get(blob: string, headers: Record<string, string> = {}, method = "GET"): Promise<Response> {
		return this.ask(MEDIA_PATHS.blob(blob), { method, headers });
	}

	/** Whether a blob is exactly these bytes; comparing them here keeps a failure's message short. */
	async holds(blob: string, bytes: Uint8Array): Promise<boolean> {
		const response = await this.get(blob);
		return response.status === 200 && Buffer.from(await response.arrayBuffer()).equals(bytes);
	}

	/** Uploads at once, and fails where that fails. */
	async upload(bytes: Uint8Array<ArrayBuffer>): Promise<Started> {
		const upload = await this.start(bytes.length);
		const response = await this.patch(upload.location, 0, bytes);
		if (response.status !== 204) throw new Error(`the upload was answered ${response.status}`);
		return upload;
	}
}

export function started(response: Response): { location: string; blob: string } {
	const [location, blob] = [response.headers.get("location"), response.headers.get(MEDIA_HEADERS.blob)];
	if (location === null || blob === null) throw new Error(`the creation was answered ${response.status}`);
	return { location, blob };
}

function raw(body: BodyInit | undefined): Pick<Call, "raw"> {
	return body === undefined ? {} : { raw: body };
}

export async function objectOf(blob: string) {
	return env.STORED_BLOB.getByName(await storageKeyOf(blob));
}

/** Lets a blob's object believe that it is later. */
export async function later(blob: string, ms: number): Promise<void> {
	await runInDurableObject(await objectOf(blob), (object) => {
		object.now = () => Date.now() + ms;
	});
}

type Operation = "put" | "begin" | "part" | "complete" | "abort" | "delete";

/** Puts a bucket before the blob's own that fails where `fails` says so; returns what was asked of it. */
export async function wrapBucket(blob: string, fails: (operation: Operation, count: number) => boolean) {
	const asked: Operation[] = [];
	const step = async <T>(operation: Operation, run: () => Promise<T>): Promise<T> => {
		asked.push(operation);
		const count = asked.filter((each) => each === operation).length;
		if (fails(operation, count)) throw new Error(`${operation}: injected (10001)`);
		return run();
	};
	await runInDurableObject(await objectOf(blob), (object) => {
		object.bucket = wrapped(object.bucket, step);
	});
	return asked;
}

function wrapped(inner: Bucket, step: <T>(operation: Operation, run: () => Promise<T>) => Promise<T>): Bucket {
	const multipart = (upload: R2MultipartUpload): R2MultipartUpload => ({
		key: upload.key,
		uploadId: upload.uploadId,
		uploadPart: (number, bytes) => step("part", () => upload.uploadPart(number, bytes)),
		abort: () => step("abort", () => upload.abort()),
		complete: (parts) => step("complete", () => upload.complete(parts)),
	});
	return {
		head: (key) => inner.head(key),
		put: (key, bytes) => step("put", () => inner.put(key, bytes)),
		delete: (key) => step("delete", () => inner.delete(key)),
		createMultipartUpload: (key) => step("begin", async () => multipart(await inner.createMultipartUpload(key))),
		resumeMultipartUpload: (key, id) => multipart(inner.resumeMultipartUpload(key, id)),
	};
}
