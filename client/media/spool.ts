/**
 * The encrypted copy of a file on its way out. It is written before, and while, it is uploaded: what was read of the
 * file once stays here, whatever becomes of the file, and a later attempt uploads the same bytes.
 */
import { type FileHandle, open } from "node:fs/promises";
import type { Attachment } from "../../protocol/gen/content_pb.js";
import { type BlobSeal, blobSize, SourceChangedError } from "./blob.ts";
import { openForReading, writeAll } from "./disk.ts";
import { sealBlob } from "./seal.ts";

export const PIECE_BYTES = 128 * 1024;

export interface SpoolOptions {
	/** The file, as it was when it was queued. */
	source: { path: string; size: number; mtimeMs: number };
	key: Uint8Array<ArrayBuffer>;
	iv: Uint8Array<ArrayBuffer>;
	/** Where the encrypted copy goes. */
	path: string;
	signal: AbortSignal;
}

/** A blob in a file that grows until it is whole. */
export class Spool {
	readonly #path: string;
	/** Of the whole blob. */
	readonly size: number;
	#available = 0;
	#failure: unknown;
	#changed = Promise.withResolvers<void>();

	private constructor(path: string, size: number) {
		this.#path = path;
		this.size = size;
	}

	/** One that was finished before. */
	static whole(path: string, pointer: Attachment): Spool {
		const spool = new Spool(path, blobSize(Number(pointer.size)));
		spool.#available = spool.size;
		return spool;
	}

	/**
	 * Starts encrypting. After a kill the file is read once more, and what is in the copy already must come out again:
	 * another file under the same key would be neither whole nor safe. `sealed` rejects with `SourceChangedError` then.
	 */
	static start(options: SpoolOptions): { spool: Spool; sealed: Promise<BlobSeal> } {
		const spool = new Spool(options.path, blobSize(options.source.size));
		const sealed = spool.#write(options).catch((error: unknown) => {
			spool.#failure = error;
			spool.#changed.resolve();
			throw error;
		});
		sealed.catch(() => {});
		return { spool, sealed };
	}

	/** Yields the blob from an offset up to another, as it becomes available. Each piece is valid until the next one. */
	async *read(from: number, to: number): AsyncGenerator<Uint8Array> {
		if (from >= to) return;
		await this.#until(from + 1);
		const file = await open(this.#path, "r");
		try {
			const buffer = new Uint8Array(PIECE_BYTES);
			for (let at = from; at < to; ) {
				await this.#until(at + 1);
				const wanted = Math.min(PIECE_BYTES, to - at, this.#available - at);
				const { bytesRead } = await file.read(buffer, 0, wanted, at);
				if (bytesRead === 0) throw new Error("the encrypted copy is shorter than it was");
				at += bytesRead;
				yield buffer.subarray(0, bytesRead);
			}
		} finally {
			await file.close();
		}
	}

	async #until(available: number): Promise<void> {
		while (this.#available < available) {
			if (this.#failure !== undefined) throw this.#failure;
			await this.#changed.promise;
		}
	}

	async #write({ source, key, iv, path, signal }: SpoolOptions): Promise<BlobSeal> {
		const from = await openSource(source);
		const to = await open(path, "a+", 0o600).catch(async (error: unknown) => {
			await from.close();
			throw error;
		});
		try {
			const known = (await to.stat()).size;
			const sealing = sealBlob(filePieces(from, signal), { key, iv, size: source.size });
			for (let at = 0; ; ) {
				const next = await sealing.next();
				if (next.done === true) {
					await to.sync();
					return next.value;
				}
				await putOrCompare(to, next.value, at, known);
				at += next.value.length;
				this.#available = at;
				this.#changed.resolve();
				this.#changed = Promise.withResolvers();
			}
		} finally {
			await Promise.all([from.close(), to.close()]);
		}
	}
}

/** The file, if it still is the one that was queued. */
async function openSource({ path, size, mtimeMs }: SpoolOptions["source"]): Promise<FileHandle> {
	const file = await openForReading(path).catch((error: unknown) => {
		throw new SourceChangedError("the file is gone, or can't be read", { cause: error });
	});
	const now = await file.stat();
	if (now.isFile() && now.size === size && Math.trunc(now.mtimeMs) === mtimeMs) return file;
	await file.close();
	throw new SourceChangedError("the file has changed since it was queued");
}

/** Reads a file, or a range of it. Each piece is valid until the next one. */
export async function* filePieces(
	file: FileHandle,
	signal?: AbortSignal,
	{ from, to }: { from: number; to: number } = { from: 0, to: Number.POSITIVE_INFINITY },
): AsyncGenerator<Uint8Array> {
	const buffer = new Uint8Array(PIECE_BYTES);
	for (let at = from; at < to; ) {
		signal?.throwIfAborted();
		const { bytesRead } = await file.read(buffer, 0, Math.min(PIECE_BYTES, to - at), at);
		if (bytesRead === 0) return;
		at += bytesRead;
		yield buffer.subarray(0, bytesRead);
	}
}

async function putOrCompare(file: FileHandle, bytes: Uint8Array, at: number, known: number): Promise<void> {
	const there = Math.max(0, Math.min(bytes.length, known - at));
	if (there > 0) {
		const before = Buffer.alloc(there);
		let read = 0;
		while (read < there) {
			const { bytesRead } = await file.read(before, read, there - read, at + read);
			if (bytesRead === 0) throw new Error("the encrypted copy is shorter than it was");
			read += bytesRead;
		}
		if (before.compare(bytes.subarray(0, there)) !== 0) {
			throw new SourceChangedError("the file has changed since it was queued");
		}
	}
	// Opened for appending.
	await writeAll(file, bytes, there);
}
