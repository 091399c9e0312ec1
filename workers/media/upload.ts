/** One PATCH, from its checks to the blob in R2. */
import { createHash } from "node:crypto";
import type { Storage } from "./bucket.ts";
import { Intake } from "./intake.ts";
import type { QuotaAnswer } from "./quota.ts";
import { quotaRefusal } from "./quota-refusal.ts";
import { type BlobState, PART_BYTES, type Records } from "./records.ts";
import { Refusal } from "./refusal.ts";
import type { Run } from "./runs.ts";
import type { Checksum, Patch } from "./tus.ts";

/** Bytes that are taken from a connection at once. */
const READ_BYTES = 256 * 1024;

/** The upload that a PATCH continues, and what it may ask for. */
export interface Upload {
	state: BlobState;
	records: Records;
	storage: Storage;
	now(): number;
	/** Asks the quota for so many bytes in all. */
	reserve(bytes: number): Promise<QuotaAnswer>;
	/** Runs `store` between the quota's consent and the note that the blob is complete. */
	complete(length: number, store: () => Promise<void>): Promise<void>;
}

/**
 * Takes a body, which may be none. Returns when everything is recorded, and the blob is complete where that was the
 * last of it. Throws a `Refusal`; what may be kept has been kept then (rules UPLOAD-2 to UPLOAD-6).
 */
export async function receive(upload: Upload, patch: Patch, body: ReadableStream | null, run: Run): Promise<void> {
	const { state, records } = upload;
	const offset = state.phase === "complete" ? (state.length ?? 0) : records.offset();
	if (patch.offset !== offset) throw offsetConflict(offset);
	run.position = offset;
	const length = await declaredLength(upload, patch, offset);
	const end = length ?? state.bytes_max;
	checkEnd(length, end, offset + (patch.bytes ?? 0));
	if (state.phase === "complete") return;

	const intake = await Intake.resume({
		records,
		end,
		whole: patch.checksum !== undefined,
		sendPart: (number, bytes) => sendPart(upload, number, bytes),
		now: upload.now,
	});
	try {
		const failure = await pour(upload, patch, body, run, intake, length);
		if (failure !== undefined && patch.checksum !== undefined) {
			await intake.abandon();
			throw failure;
		}
		if (intake.position === length && !isStorageFailure(failure)) await finish(upload, intake, length);
		else await intake.keep();
		if (failure !== undefined) throw failure;
	} finally {
		intake.release();
	}
}

/** Rule UPLOAD-3. */
export function offsetConflict(offset: number): Refusal {
	return new Refusal("offset_conflict", "the upload is at another offset", offset, { "upload-offset": String(offset) });
}

/** Reads the body to its end, however that comes. Returns why it ended, where it wasn't the body's own end. */
async function pour(
	upload: Upload,
	patch: Patch,
	body: ReadableStream | null,
	run: Run,
	intake: Intake,
	length: number | undefined,
): Promise<unknown> {
	const hash = patch.checksum === undefined ? undefined : createHash(patch.checksum.algorithm);
	let reserved = upload.state.reserved;
	try {
		for await (const bytes of chunks(body, run)) {
			const position = intake.position + bytes.length;
			checkEnd(length, length ?? upload.state.bytes_max, position);
			if (length === undefined && position > reserved) reserved = await reserveMore(upload, position);
			hash?.update(bytes);
			await intake.add(bytes);
			run.position = intake.position;
		}
		if (hash !== undefined) checkDigest(hash.digest("hex"), patch.checksum);
		await intake.settle();
		return undefined;
	} catch (error) {
		return error ?? new TypeError("nothing was thrown");
	}
}

/** The body's bytes as they come; the array is used again for the next. */
async function* chunks(body: ReadableStream | null, run: Run): AsyncGenerator<Uint8Array> {
	if (body === null) return;
	const reader = body.getReader({ mode: "byob" });
	// A read that waits ends with it.
	run.onSuperseded = () => void reader.cancel().catch(() => undefined);
	try {
		let view = new Uint8Array(READ_BYTES);
		let broken = false;
		const brokenOff = () => {
			broken = true;
			return { done: true, value: undefined } as const;
		};
		while (!run.superseded) {
			const { done, value } = await reader.read(view).catch(brokenOff);
			if (value !== undefined && value.length > 0) yield value;
			if (done || value === undefined) break;
			view = new Uint8Array(value.buffer);
		}
		if (run.superseded) throw new Refusal("upload_superseded", "a newer request took this upload over");
		if (broken) throw new Refusal("malformed", "the body broke off");
	} finally {
		run.onSuperseded = () => undefined;
		// What is left of it may still be drained.
		reader.releaseLock();
	}
}

/** The upload's length, known before or declared now. */
async function declaredLength(upload: Upload, patch: Patch, offset: number): Promise<number | undefined> {
	const { state, records } = upload;
	if (patch.length === undefined || patch.length === state.length) return state.length;
	if (state.length !== undefined) throw new Refusal("malformed", "Upload-Length was another before");
	if (patch.length < offset) throw new Refusal("malformed", "Upload-Length is less than what has arrived");
	if (patch.length > state.bytes_max) {
		throw new Refusal("upload_too_large", "the upload is too large", state.bytes_max);
	}
	const answer = await upload.reserve(patch.length);
	if (answer !== "ok") throw quotaRefusal(answer);
	records.setReserved(patch.length);
	records.setLength(patch.length);
	return patch.length;
}

/** Rule QUOTA-1 for an upload that doesn't say how long it will be: a part's worth at a time. */
async function reserveMore({ state, records, reserve }: Upload, position: number): Promise<number> {
	const bytes = Math.min(state.bytes_max, Math.ceil(position / PART_BYTES) * PART_BYTES);
	const answer = await reserve(bytes);
	if (answer !== "ok") throw quotaRefusal(answer);
	records.setReserved(bytes);
	return bytes;
}

/** Rule UPLOAD-5. */
function checkEnd(length: number | undefined, end: number, position: number): void {
	if (position <= end) return;
	if (length === undefined) throw new Refusal("upload_too_large", "the upload is too large", end);
	throw new Refusal("body_too_large", "these are more bytes than the upload has left", length);
}

/** Rule UPLOAD-6. */
function checkDigest(digest: string, checksum: Checksum | undefined): void {
	if (digest !== checksum?.digest) throw new Refusal("checksum_mismatch", "the bytes are not those of the checksum");
}

async function sendPart(upload: Upload, number: number, bytes: Uint8Array): Promise<R2UploadedPart> {
	return upload.storage.sendPart(await multipartOf(upload), number, bytes);
}

/** The multipart upload at R2, begun with the first part. */
async function multipartOf({ records, storage }: Upload): Promise<string> {
	const known = records.state()?.multipart;
	if (known !== undefined) return known;
	const multipart = await storage.begin();
	records.setMultipart(multipart);
	return multipart;
}

/** All bytes are here: makes the blob of them. Where R2 fails they are kept, and a `HEAD` or `PATCH` tries again. */
async function finish(upload: Upload, intake: Intake, length: number): Promise<void> {
	intake.keepParts();
	try {
		await upload.complete(length, () => store(upload, intake, length));
	} catch (error) {
		await intake.keep();
		throw error;
	}
}

async function store(upload: Upload, intake: Intake, length: number): Promise<void> {
	const { records, storage } = upload;
	if (records.state()?.multipart === undefined) return storage.put(intake.rest);
	try {
		const last = intake.rest.length === 0 ? [] : [await sendPart(upload, intake.partNumber, intake.rest)];
		await storage.assemble(await multipartOf(upload), [...records.parts(), ...last]);
	} catch (error) {
		// It was completed before, and a crash came before that was noted.
		if (!(await storage.has(length))) throw error;
	}
}

function isStorageFailure(failure: unknown): boolean {
	return failure instanceof Refusal && failure.code === "storage_unavailable";
}
