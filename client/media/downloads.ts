/**
 * Fetching blobs: each piece is written to the encrypted copy as it comes, so that a download goes on where it was, and
 * is handed out when it is verified. A copy counts as whole only when all of it is (rule ATTACH-3).
 */
import { type FileHandle, open, rename, rm } from "node:fs/promises";
import { toBinary } from "@bufbuild/protobuf";
import { type Attachment, AttachmentSchema } from "../../protocol/gen/content_pb.js";
import { MEDIA_PATHS } from "../../protocol/media.ts";
import { ownBytes } from "../signal/bytes.ts";
import { type BlobRow, findBlob, noteUse, putBlob } from "../store/blobs.ts";
import { Backoff } from "../transport/backoff.ts";
import { ServerRefusal, ServerUnreachable } from "../transport/errors.ts";
import { blobSize, IV_BYTES, TamperedError } from "./blob.ts";
import { writeAll } from "./disk.ts";
import { openBlob } from "./open.ts";
import { sealOf } from "./pointer.ts";
import { filePieces } from "./spool.ts";
import { copyPath, passes, pauseUnless, type TransferTools } from "./transfers.ts";

/** Lost connections in a row, without a byte between them, after which a download ends. */
const ATTEMPTS = 6;
const GATHERED_BYTES = 128 * 1024;
/**
 * What one request asks for. An answer of gigabytes may be long in coming (a backend on this computer reads all of it
 * before the first byte), and lasts longer than a connection holds on a train.
 */
const RANGE_BYTES = 64 * 1024 * 1024;

export interface DownloadOptions {
	/** The message's id, for the progress. */
	id: string;
	pointer: Attachment;
	signal: AbortSignal;
}

/**
 * The file's bytes, verified, in order: out of the encrypted copy where it is whole, else as they arrive. Throws
 * `TamperedError`, `ServerRefusal` (`not_found` where the server has it no longer) and `ServerUnreachable`.
 */
export async function* plaintextOf(tools: TransferTools, options: DownloadOptions): AsyncGenerator<Uint8Array> {
	const { id, pointer } = options;
	noteUse(tools.store, id, pointer.blob);
	const known = findBlob(tools.store, pointer.blob);
	if (known?.whole === 1) {
		const copy = await open(copyPath(tools, known.name), "r").catch((error: unknown) => {
			throw new TamperedError("the encrypted copy is gone", { cause: error });
		});
		try {
			yield* openBlob(copy, filePieces(copy), sealOf(pointer));
		} finally {
			await copy.close();
		}
		return;
	}
	const row = known ?? newRow(pointer);
	if (known === undefined) putBlob(tools.store, row);
	const partial = `${copyPath(tools, row.name)}.part`;
	const copy = await open(partial, "a+", 0o600);
	try {
		yield* openBlob(copy, arriving(tools, options, copy), sealOf(pointer));
		// Not flushed: each reading verifies the copy again, and fetches it anew where it is damaged.
		const iv = Buffer.alloc(IV_BYTES);
		await copy.read(iv, 0, IV_BYTES, 0);
		await rename(partial, copyPath(tools, row.name));
		putBlob(tools.store, { ...row, iv: ownBytes(iv), whole: 1 });
	} catch (error) {
		// What is wrong must not be in the way of the next attempt.
		if (error instanceof TamperedError) await rm(partial, { force: true });
		throw error;
	} finally {
		await copy.close();
	}
}

/** Forgets that the copy is whole, and removes it. */
export async function dropCopy(tools: Pick<TransferTools, "store" | "directory">, row: BlobRow): Promise<void> {
	putBlob(tools.store, { ...row, whole: 0 });
	for (const end of ["", ".part"]) await rm(`${copyPath(tools, row.name)}${end}`, { force: true });
}

function newRow(pointer: Attachment): BlobRow {
	// A blob id is 32 bytes in base64url, so that it is a name too.
	const { blob, size } = pointer;
	return { blob, name: blob, size: Number(size), pointer: toBinary(AttachmentSchema, pointer), iv: null, whole: 0 };
}

/** What is in the copy already, then the rest from the server, over as many connections as it takes. */
async function* arriving(
	tools: TransferTools,
	{ id, pointer, signal }: DownloadOptions,
	copy: FileHandle,
): AsyncGenerator<Uint8Array> {
	const total = blobSize(Number(pointer.size));
	const tell = (done: number): void => {
		tools.onNotice({ type: "file-progress", id, direction: "down", done, total });
	};
	let at = 0;
	for await (const piece of filePieces(copy, signal)) {
		at += piece.length;
		yield piece;
	}
	const backoff = new Backoff(() => tools.clock.random());
	while (at < total) {
		tell(at);
		const before = at;
		try {
			for await (const piece of rest(tools, pointer.blob, at, total, signal)) {
				await writeAll(copy, piece);
				at += piece.length;
				backoff.succeeded();
				tell(at);
				yield piece;
			}
			if (at === before) throw new ServerUnreachable("the server sent nothing");
		} catch (error) {
			signal.throwIfAborted();
			if (!passes(error)) throw error;
			const delayMs = backoff.nextDelayMs();
			if (backoff.attempts >= ATTEMPTS) throw error;
			await pauseUnless(tools.clock, delayMs, signal);
			signal.throwIfAborted();
		}
	}
}

/** The blob from an offset on, until so much has come as is asked for at once or the connection ends. */
async function* rest(
	tools: TransferTools,
	blob: string,
	from: number,
	total: number,
	signal: AbortSignal,
): AsyncGenerator<Uint8Array> {
	const end = Math.min(total, from + RANGE_BYTES);
	const whole = from === 0 && end === total;
	const headers: Record<string, string> = whole ? {} : { range: `bytes=${from}-${end - 1}` };
	const {
		status,
		headers: answered,
		body,
	} = await tools.http.send({
		method: "GET",
		path: MEDIA_PATHS.blob(blob),
		headers,
		signal,
	});
	try {
		if (from > 0 && (status !== 206 || !answered["content-range"]?.startsWith(`bytes ${from}-`))) {
			throw new ServerRefusal(status, "unexpected_answer", "the server did not go on where it was asked to");
		}
		yield* gathered(body);
	} catch (error) {
		if (!(error instanceof Error) || error instanceof ServerRefusal || !("code" in error)) throw error;
		throw new ServerUnreachable(`the connection was lost: ${error.message}`, { cause: error });
	} finally {
		body.destroy();
	}
}

/** Small pieces together: each costs several calls. What has come before an error is still yielded. */
export async function* gathered(body: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
	const buffer = new Uint8Array(GATHERED_BYTES);
	let bytes = 0;
	try {
		for await (const piece of body) {
			for (let at = 0; at < piece.length; ) {
				const taken = piece.subarray(at, at + GATHERED_BYTES - bytes);
				buffer.set(taken, bytes);
				at += taken.length;
				bytes += taken.length;
				if (bytes < GATHERED_BYTES) continue;
				yield buffer;
				bytes = 0;
			}
		}
	} catch (error) {
		if (bytes > 0) yield buffer.subarray(0, bytes);
		throw error;
	}
	if (bytes > 0) yield buffer.subarray(0, bytes);
}
