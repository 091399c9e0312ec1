/**
 * Uploads, one after the other, in the order in which they were queued. All that must survive is in the store and in the
 * encrypted copy: after a lost connection, a kill or a restart the upload goes on where the server says (rule ATTACH-5).
 */
import { rm } from "node:fs/promises";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { type Attachment, AttachmentSchema } from "../../protocol/gen/content_pb.js";
import { LIMITS } from "../../protocol/limits.ts";
import { MEDIA_HOLD_MS } from "../../protocol/media.ts";
import { requireAccount } from "../store/account.ts";
import { findMessage, setAttachment } from "../store/messages.ts";
import { allUploads, findUpload, removeUpload, setSealed, setUploadPath, type UploadRow } from "../store/uploads.ts";
import { Backoff } from "../transport/backoff.ts";
import { ServerRefusal } from "../transport/errors.ts";
import { type BlobSeal, SourceChangedError } from "./blob.ts";
import { sealOf } from "./pointer.ts";
import { Spool } from "./spool.ts";
import { copyPath, passes, pauseUnless, type TransferTools } from "./transfers.ts";
import { createUpload, endUpload, patchUpload, uploadOffset } from "./tus.ts";

/** Failed attempts after which whoever waits is told. */
const ATTEMPTS_BEFORE_TOLD = 3;

export interface UploadOutcome {
	/** undefined: it is at the server, and its message in the outbox. */
	error: Error | undefined;
	/** Whether it is tried again without anybody asking. */
	goesOn: boolean;
}

export class Uploads {
	readonly #tools: TransferTools;
	/** Told of each end, and of each row of failures. */
	readonly #onOutcome: (message: string, outcome: UploadOutcome) => void;
	readonly #closing = new AbortController();
	/** Not to be tried again before the next start. */
	readonly #paused = new Set<string>();
	#running: Promise<void> | undefined;

	constructor(tools: TransferTools, onOutcome: (message: string, outcome: UploadOutcome) => void) {
		this.#tools = tools;
		this.#onOutcome = onOutcome;
	}

	/** Whether an upload is under way. */
	get busy(): boolean {
		return this.#running !== undefined;
	}

	/** Whether a message's file is not at the server yet, and an upload of it is under way or to come. */
	has(message: string): boolean {
		return !this.#paused.has(message) && findUpload(this.#tools.store, message) !== undefined;
	}

	/** Begins with what is queued, unless that is under way. */
	wake(): void {
		if (this.#closing.signal.aborted) return;
		this.#running ??= this.#run().finally(() => {
			this.#running = undefined;
		});
	}

	/** Tries one again that could not be done before. */
	retry(message: string): void {
		this.#paused.delete(message);
		this.wake();
	}

	/** Stops; what has not arrived goes on after the next start. */
	async close(): Promise<void> {
		this.#closing.abort(new Error("closed"));
		await this.#running;
	}

	async #run(): Promise<void> {
		for (;;) {
			const row = allUploads(this.#tools.store).find(({ message }) => !this.#paused.has(message));
			if (row === undefined || this.#closing.signal.aborted) return;
			await this.#finish(row.message);
		}
	}

	/** Tries until the upload is done or can't be. */
	async #finish(message: string): Promise<void> {
		const backoff = new Backoff(() => this.#tools.clock.random());
		for (;;) {
			const row = findUpload(this.#tools.store, message);
			if (row === undefined || this.#closing.signal.aborted) return;
			if (this.#attachment(message) === undefined) return this.#drop(row);
			try {
				if (await this.#attempt(row, () => backoff.succeeded())) {
					this.#onOutcome(message, { error: undefined, goesOn: false });
					return;
				}
				await pauseUnless(this.#tools.clock, backoff.nextDelayMs(), this.#closing.signal);
			} catch (thrown) {
				if (this.#closing.signal.aborted) return;
				const error = thrown instanceof Error ? thrown : new Error(String(thrown));
				if (!passes(error)) return this.#giveUp(row, error);
				const delayMs = backoff.nextDelayMs();
				if (backoff.attempts >= ATTEMPTS_BEFORE_TOLD) this.#onOutcome(message, { error, goesOn: true });
				await pauseUnless(this.#tools.clock, delayMs, this.#closing.signal);
			}
		}
	}

	async #giveUp(row: UploadRow, error: Error): Promise<void> {
		this.#paused.add(row.message);
		const code = lastingCode(error);
		if (code !== undefined) {
			await this.#tools.perform({ type: "fail-file", id: row.message, peer: row.peer, code });
			await this.#drop(row);
		}
		this.#onOutcome(row.message, { error, goesOn: false });
	}

	/** Forgets an upload, with what has arrived of it. */
	async #drop(row: UploadRow): Promise<void> {
		removeUpload(this.#tools.store, row.message);
		await rm(copyPath(this.#tools, row.name), { force: true });
		// The server would remove it after 72 hours.
		const { path } = row;
		if (path !== null) await endUpload(this.#tools.http, path, this.#closing.signal).catch(() => undefined);
	}

	/** False where it has to begin anew, because the upload is gone. */
	async #attempt(row: UploadRow, onSuccess: () => void): Promise<boolean> {
		const { store, clock, perform } = this.#tools;
		const stop = new AbortController();
		const signal = AbortSignal.any([this.#closing.signal, stop.signal]);
		const { spool, sealed } = this.#spool(row, signal);
		try {
			const { path, blob } = await this.#place(row, spool.size, signal);
			await this.#send(row.message, path, spool, signal, onSuccess);
			const pointer = create(AttachmentSchema, {
				...this.#pointer(row.message),
				...(await sealed),
				size: BigInt((await sealed).size),
				blob,
				expiresAtMs: BigInt(clock.nowMs() + MEDIA_HOLD_MS),
			});
			await perform({ type: "send-file", id: row.message, peer: row.peer, pointer, deleteKey: row.delete_key });
			return true;
		} catch (error) {
			if (!(error instanceof ServerRefusal && error.code === "not_found")) throw error;
			// Its 72 hours were over, or somebody has removed it.
			setUploadPath(store, row.message, null, null);
			return false;
		} finally {
			stop.abort(new Error("the attempt is over"));
			await sealed.catch(() => undefined);
		}
	}

	/** The encrypted copy: the one that is whole, or one that is being written, and its seal. */
	#spool(row: UploadRow, signal: AbortSignal): { spool: Spool; sealed: Promise<BlobSeal> } {
		const pointer = this.#pointer(row.message);
		const path = copyPath(this.#tools, row.name);
		if (row.sealed === 1) return { spool: Spool.whole(path, pointer), sealed: Promise.resolve(sealOf(pointer)) };
		const source = { path: row.source, size: Number(pointer.size), mtimeMs: row.mtime_ms };
		const { spool, sealed } = Spool.start({ source, key: sealOf(pointer).key, iv: row.iv, path, signal });
		const noted = sealed.then((seal) => {
			this.#noteSeal(row.message, seal);
			return seal;
		});
		noted.catch(() => {});
		return { spool, sealed: noted };
	}

	#noteSeal(message: string, seal: BlobSeal): void {
		const { store } = this.#tools;
		const found = findMessage(store, requireAccount(store).accountId, message);
		if (found === undefined) return;
		const { digest, incrementalMac, chunkBytes } = seal;
		const pointer = create(AttachmentSchema, { ...this.#pointer(message), digest, incrementalMac, chunkBytes });
		// In this order: a kill between the two costs another look at the file, nothing else.
		setAttachment(store, found.row, toBinary(AttachmentSchema, pointer));
		setSealed(store, message);
	}

	#pointer(message: string): Attachment {
		const attachment = this.#attachment(message);
		if (attachment === undefined) throw new Error("an upload without its message");
		return fromBinary(AttachmentSchema, attachment);
	}

	/** undefined where the message was deleted meanwhile. */
	#attachment(message: string): Uint8Array | undefined {
		const { store } = this.#tools;
		return findMessage(store, requireAccount(store).accountId, message)?.attachment ?? undefined;
	}

	/** Where the upload goes; created, and written down, where that has not been done. */
	async #place(row: UploadRow, bytes: number, signal: AbortSignal): Promise<{ path: string; blob: string }> {
		if (row.path !== null && row.blob !== null) return { path: row.path, blob: row.blob };
		const created = await createUpload(this.#tools.http, { bytes, deleteKey: row.delete_key }, signal);
		setUploadPath(this.#tools.store, row.message, created.path, created.blob);
		return created;
	}

	async #send(id: string, path: string, spool: Spool, signal: AbortSignal, onSuccess: () => void): Promise<void> {
		const { http, onNotice } = this.#tools;
		const total = spool.size;
		const tell = (done: number): void => onNotice({ type: "file-progress", id, direction: "up", done, total });
		let offset = await uploadOffset(http, path, signal);
		while (offset < total) {
			const end = Math.min(total, offset + LIMITS.media_patch_bytes);
			tell(offset);
			const pieces = told(spool.read(offset, end), offset, tell);
			const reached = await patchUpload(http, path, offset, { bytes: end - offset, pieces }, signal);
			if (reached <= offset) throw new ServerRefusal(200, "unexpected_answer", "the upload does not get on");
			offset = reached;
			onSuccess();
		}
		tell(total);
	}
}

async function* told(
	pieces: AsyncIterable<Uint8Array>,
	from: number,
	tell: (done: number) => void,
): AsyncGenerator<Uint8Array> {
	let at = from;
	for await (const piece of pieces) {
		yield piece;
		at += piece.length;
		tell(at);
	}
}

/** Why a message can never go; undefined where another start, another day or another place may help. */
function lastingCode(error: Error): string | undefined {
	if (error instanceof SourceChangedError) return "FILE_CHANGED";
	const lasting = ["upload_too_large", "upload_empty", "quota_kept_exceeded"];
	return error instanceof ServerRefusal && lasting.includes(error.code) ? error.code.toUpperCase() : undefined;
}
