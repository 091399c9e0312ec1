/** Files in messages, for programs: send, forward, fetch, remove. `Parley.files` is one of these. */
import { randomBytes } from "node:crypto";
import { mkdirSync } from "node:fs";
import { realpath } from "node:fs/promises";
import { create, fromBinary } from "@bufbuild/protobuf";
import { type Attachment, AttachmentSchema, Presentation } from "../../protocol/gen/content_pb.js";
import { Failure } from "../failure.ts";
import type { Machine } from "../machine/interface.ts";
import { messageView } from "../messages/view.ts";
import { deleteKeyFor } from "../signal/delete_keys.ts";
import { autoDownloadBytes, requireAccount, setAutoDownloadBytes } from "../store/account.ts";
import { blobsOfSize, findBlob, unwantFile, wantedFiles, wantFile } from "../store/blobs.ts";
import { findMessage } from "../store/messages.ts";
import { attachmentOf, message } from "../store/queries.ts";
import { allUploads } from "../store/uploads.ts";
import type { Api } from "../transport/http.ts";
import type { Runner, RunnerNotice } from "../transport/runner.ts";
import { IV_BYTES, KEY_BYTES } from "./blob.ts";
import { claimHold } from "./claiming.ts";
import { dropCopy, plaintextOf } from "./downloads.ts";
import { heldAgain, holdBlob } from "./holds.ts";
import { MediaHttp } from "./http.ts";
import { checkTexts, described, openFile, type SendFileOptions, told } from "./outgoing.ts";
import { Pictures } from "./pictures.ts";
import { type Preview, previewOf } from "./preview.ts";
import { endHold, sweepFiles } from "./removal.ts";
import { assertShowable } from "./safety.ts";
import { saveTo } from "./saving.ts";
import type { TransferTools } from "./transfers.ts";
import { Uploads } from "./uploads.ts";

/** How a file is fetched. */
export interface DownloadFileOptions {
	/** A file, or a folder in which it gets its own name. Without it the file is only fetched, and stays encrypted. */
	to?: string;
	/** Saves also what can't be shown safely. */
	unchecked?: boolean;
	signal?: AbortSignal;
}

export interface FilesOptions extends Pick<TransferTools, "store" | "clock" | "directory" | "onNotice"> {
	api: Api;
	machine: Pick<Machine, "newMessageId">;
	runner: Pick<Runner, "perform">;
	/** Whom a name or an account id means, if something can be sent there. */
	addressee(to: string): Promise<string>;
	/** Something was done, or is not under way any more. */
	onChange(): void;
}

interface Waiting {
	resolve(): void;
	reject(error: Error): void;
}

/** Files: sending, fetching, and letting go of them. */
export class Files {
	readonly #options: FilesOptions;
	readonly #tools: TransferTools;
	readonly #uploads: Uploads;
	readonly #closing = new AbortController();
	/** Pictures of groups and people. */
	readonly pictures: Pictures;
	readonly #waiting = new Map<string, Waiting[]>();
	/** Messages whose files this program has queued. */
	readonly #queued = new Set<string>();
	/** Blobs that are being read: each by one at a time. */
	readonly #locks = new Map<string, Promise<void>>();
	#fetching: Promise<void> | undefined;
	#sweeps = 0;
	#swept: Promise<void> = Promise.resolve();

	constructor(options: FilesOptions) {
		mkdirSync(options.directory, { recursive: true, mode: 0o700 });
		this.#options = options;
		this.#tools = { ...options, http: new MediaHttp(options.api), perform: (event) => options.runner.perform(event) };
		this.pictures = new Pictures(this.#tools, this.#closing.signal);
		this.#uploads = new Uploads(this.#tools, (message, { error }) => {
			for (const { resolve, reject } of this.#waiting.get(message) ?? [])
				error === undefined ? resolve() : reject(error);
			this.#waiting.delete(message);
			options.onChange();
		});
	}

	/** Whether an upload or a download that nobody asked for is under way. */
	get busy(): boolean {
		return this.#uploads.busy || this.#fetching !== undefined || this.#sweeps > 0;
	}

	/** Goes on with what was under way at the last end. */
	start(): void {
		this.#uploads.wake();
		this.#fetchWanted();
		this.#sweep();
	}

	async close(): Promise<void> {
		this.#closing.abort(new Error("closed"));
		await Promise.all([this.#uploads.close(), this.#fetching, this.#swept]);
		this.#tools.http.close();
	}

	/**
	 * Queues a file: the message is on disk when this resolves, and goes out when the file is at the server. A file that
	 * is there already isn't uploaded again. What an interrupted program has left unfinished goes on when the same is sent
	 * again, as the same message. Throws `Failure` `bad_argument`.
	 */
	async send(to: string, path: string, options: SendFileOptions = {}): Promise<{ id: string }> {
		checkTexts(options);
		const peer = await this.#options.addressee(to);
		const file = await openFile(path);
		try {
			const { size, mtimeMs } = await file.stat();
			const description = await described(file, path, size, options);
			const source = { path: await realpath(path), mtime_ms: Math.trunc(mtimeMs) };
			const unfinished = this.#unfinished(peer, source, description);
			if (unfinished !== undefined) {
				this.#queued.add(unfinished);
				this.#uploads.retry(unfinished);
				return { id: unfinished };
			}
			const id = this.#options.machine.newMessageId();
			const deleteKey = deleteKeyFor(this.#tools.store, { message: id });
			const again = await heldAgain(
				this.#tools,
				blobsOfSize(this.#tools.store, size),
				file,
				deleteKey,
				this.#closing.signal,
			);
			if (again !== undefined) {
				const pointer = create(AttachmentSchema, { ...again, ...description });
				await this.#tools.perform({ type: "send-file", id, peer, pointer, deleteKey });
				return { id };
			}
			const pointer = create(AttachmentSchema, { ...description, key: new Uint8Array(randomBytes(KEY_BYTES)) });
			const upload = {
				source: source.path,
				mtime_ms: source.mtime_ms,
				name: `up-${id}`,
				iv: new Uint8Array(randomBytes(IV_BYTES)),
				delete_key: deleteKey,
			};
			this.#queued.add(id);
			await this.#tools.perform({ type: "queue-file", id, peer, pointer, upload });
			this.#uploads.wake();
			return { id };
		} finally {
			await file.close();
		}
	}

	/** The message that sends the same file with the same words, and that another run of the program has queued. */
	#unfinished(
		peer: string,
		source: { path: string; mtime_ms: number },
		{ size, presentation, caption, altText }: Pick<Attachment, "size" | "presentation" | "caption" | "altText">,
	): string | undefined {
		const { store } = this.#tools;
		const found = allUploads(store).find((row) => {
			if (this.#queued.has(row.message) || row.peer !== peer) return false;
			if (row.source !== source.path || row.mtime_ms !== source.mtime_ms) return false;
			const bytes = attachmentOf(store, row.message);
			const before = bytes === undefined ? undefined : fromBinary(AttachmentSchema, bytes);
			const same = before?.size === size && before.presentation === presentation;
			return same && before.caption === caption && before.altText === altText;
		});
		return found?.message;
	}

	/** Resolves when a message's file is at the server; rejects when an attempt to bring it there has failed for good. */
	uploaded(id: string): Promise<void> {
		if (!this.#uploads.has(id)) return Promise.resolve();
		return new Promise((resolve, reject) => {
			this.#waiting.set(id, [...(this.#waiting.get(id) ?? []), { resolve, reject }]);
		});
	}

	/** Sends the file of another message on, without an upload. Throws `Failure` `file_gone`. */
	async forward(id: string, to: string, caption?: string): Promise<{ id: string }> {
		checkTexts(caption === undefined ? {} : { caption });
		const peer = await this.#options.addressee(to);
		const pointer = this.#pointer(id);
		const forwardedId = this.#options.machine.newMessageId();
		const deleteKey = deleteKeyFor(this.#tools.store, { message: forwardedId });
		const expiresAtMs = await holdBlob(this.#tools.http, pointer.blob, deleteKey, this.#closing.signal);
		if (expiresAtMs === undefined) throw new Failure("file_gone", "the server has this file no longer: send it anew");
		const forwarded = create(AttachmentSchema, {
			...pointer,
			caption: caption ?? pointer.caption,
			expiresAtMs: BigInt(expiresAtMs),
		});
		const { sender } = message(this.#tools.store, id) ?? {};
		const before = sender === undefined ? undefined : messageView(this.#tools.store, sender, id);
		const forwards = (before?.forwards ?? 0) + 1;
		await this.#tools.perform({ type: "send-file", id: forwardedId, peer, pointer: forwarded, deleteKey, forwards });
		return { id: forwardedId };
	}

	/** Whether a message's file is on this disk, whole. */
	isHere(id: string): boolean {
		const pointer = attachmentOf(this.#tools.store, id);
		return (
			pointer !== undefined && findBlob(this.#tools.store, fromBinary(AttachmentSchema, pointer).blob)?.whole === 1
		);
	}

	/**
	 * A message's file in order, each piece as soon as it is verified, be it here or on its way: a video plays while it
	 * arrives. A piece is valid until the next one. Throws `Failure` `file_gone` and `file_tampered`.
	 */
	async *read(id: string, signal: AbortSignal = this.#closing.signal): AsyncGenerator<Uint8Array> {
		const pointer = this.#pointer(id);
		const unlock = await this.#lock(pointer.blob);
		try {
			const either = AbortSignal.any([signal, this.#closing.signal]);
			yield* plaintextOf(this.#tools, { id, pointer, signal: either });
		} catch (error) {
			throw told(error);
		} finally {
			unlock();
		}
	}

	/**
	 * Fetches a message's file. It is kept encrypted; with `to` the decrypted file goes there, under its name only when
	 * it is whole, verified and, for images and videos, safe to show. Returns the path. Throws as `read`, and `Failure`
	 * `file_unsafe`.
	 */
	async download(id: string, options: DownloadFileOptions = {}): Promise<string | undefined> {
		const pointer = this.#pointer(id);
		const pieces = (): AsyncIterable<Uint8Array> => this.read(id, options.signal);
		const { to } = options;
		const shown = pointer.presentation !== Presentation.DOCUMENT && options.unchecked !== true;
		const check = (path: string): Promise<void> => assertShowable(path, shown ? pointer.contentType : "");
		return this.#withFreshCopy(pointer, async () => {
			if (to !== undefined) {
				return saveTo(to, { id, name: pointer.fileName }, pieces(), shown ? check : undefined);
			}
			for await (const _ of pieces());
			return undefined;
		});
	}

	/** A message's image, small enough for a square of `side` pixels. Throws as `read`, and `Failure` `file_unsafe`. */
	async preview(id: string, side: number): Promise<Preview> {
		try {
			return await previewOf(this.read(id), side);
		} catch (error) {
			throw told(error);
		}
	}

	/** Ends an own message's hold on its file at the server, and removes the copy here; of others only the latter. */
	async remove(id: string): Promise<void> {
		const pointer = this.#pointer(id);
		const own = findMessage(this.#tools.store, requireAccount(this.#tools.store).accountId, id);
		if (own !== undefined) claimHold(this.#tools.store, own);
		await endHold(this.#tools, id, this.#closing.signal);
		const row = findBlob(this.#tools.store, pointer.blob);
		if (row !== undefined) await dropCopy(this.#tools, row);
	}

	/** Files of others up to this size, in bytes, are fetched without being asked for; 0 switches that off. */
	get autoDownloadBytes(): number {
		return autoDownloadBytes(this.#tools.store);
	}

	set autoDownloadBytes(bytes: number) {
		setAutoDownloadBytes(this.#tools.store, bytes);
	}

	/** A message has come in: its file is fetched if it is small enough. One has gone: its file goes too. */
	noticed(notice: RunnerNotice): void {
		if (notice.type === "message") {
			const { id, file, outgoing } = notice.message;
			if (file === undefined || outgoing || file.size > this.autoDownloadBytes) return;
			wantFile(this.#tools.store, id);
			this.#fetchWanted();
		}
		const { type } = notice;
		const cleared = type === "message-changed" && notice.message.body === "" && notice.message.file === undefined;
		// A picture is held, or let go, as groups change; holds are made longer now and then.
		const pictures = type === "group-changed" || type === "profile-changed" || type === "account-caught-up";
		if (cleared || type === "message-removed" || pictures) this.#sweep();
	}

	#sweep(): void {
		if (this.#closing.signal.aborted) return;
		this.#sweeps++;
		const sweep = async (): Promise<void> => {
			await sweepFiles(this.#tools, this.#closing.signal).catch(() => undefined);
			await this.pictures.sweep();
		};
		// One after the other. What could not be done now is done after the next start.
		this.#swept = this.#swept
			.then(sweep)
			.catch(() => undefined)
			.then(() => {
				this.#sweeps--;
				this.#options.onChange();
			});
	}

	#fetchWanted(): void {
		if (this.#closing.signal.aborted) return;
		this.#fetching ??= this.#fetchAll().finally(() => {
			this.#fetching = undefined;
			this.#options.onChange();
		});
	}

	async #fetchAll(): Promise<void> {
		const tried = new Set<string>();
		for (;;) {
			const id = wantedFiles(this.#tools.store).find((each) => !tried.has(each));
			if (id === undefined || this.#closing.signal.aborted) return;
			tried.add(id);
			try {
				await this.download(id);
				this.#options.onNotice({ type: "file-fetched", id });
			} catch (error) {
				// Without a connection it is tried again after the next start; the rest is told when somebody asks for it.
				if (!(error instanceof Failure)) continue;
			}
			unwantFile(this.#tools.store, id);
		}
	}

	/** A damaged copy must not be in the way of a good one: then the file is fetched anew, once. */
	async #withFreshCopy<T>(pointer: Attachment, work: () => Promise<T>): Promise<T> {
		const known = findBlob(this.#tools.store, pointer.blob);
		try {
			return await work();
		} catch (error) {
			if (known === undefined || !(error instanceof Failure && error.code === "file_tampered")) throw error;
			await dropCopy(this.#tools, known);
			return work();
		}
	}

	#pointer(id: string): Attachment {
		const bytes = attachmentOf(this.#tools.store, id);
		if (bytes === undefined) throw new Failure("no_such_message", `there is no message ${id} with a file here`);
		return fromBinary(AttachmentSchema, bytes);
	}

	async #lock(blob: string): Promise<() => void> {
		while (this.#locks.has(blob)) await this.#locks.get(blob);
		const { promise, resolve } = Promise.withResolvers<void>();
		this.#locks.set(blob, promise);
		return () => {
			this.#locks.delete(blob);
			resolve();
		};
	}
}
