/** One blob's place in R2: parts, or the whole at once, each tried more than once (rule UPLOAD-8). */
import { logFault } from "../fault-log.ts";
import { Refusal } from "./refusal.ts";

/** What of an `R2Bucket` is used. */
export interface Bucket {
	head(key: string): Promise<{ size: number } | null>;
	put(key: string, bytes: Uint8Array): Promise<unknown>;
	delete(key: string): Promise<void>;
	createMultipartUpload(key: string): Promise<R2MultipartUpload>;
	resumeMultipartUpload(key: string, id: string): R2MultipartUpload;
}

/** Waits between tries, in milliseconds. */
const PAUSES_MS = [50, 250];
/** R2's code for a multipart upload that is not there (any more). */
const NO_SUCH_UPLOAD = /\(10024\)/;

export class Storage {
	readonly #bucket: Bucket;
	readonly #key: string;

	constructor(bucket: Bucket, key: string) {
		this.#bucket = bucket;
		this.#key = key;
	}

	/** The id of a new multipart upload. One that is forgotten ends by itself after R2's 7 days. */
	begin(): Promise<string> {
		return persistently(async () => (await this.#bucket.createMultipartUpload(this.#key)).uploadId);
	}

	sendPart(multipart: string, number: number, bytes: Uint8Array): Promise<R2UploadedPart> {
		const upload = this.#bucket.resumeMultipartUpload(this.#key, multipart);
		return persistently(() => upload.uploadPart(number, bytes));
	}

	/** Makes one blob of the parts. */
	async assemble(multipart: string, parts: R2UploadedPart[]): Promise<void> {
		const upload = this.#bucket.resumeMultipartUpload(this.#key, multipart);
		await persistently(() => upload.complete(parts));
	}

	/** The whole blob at once: one operation where parts would take three. */
	async put(bytes: Uint8Array): Promise<void> {
		await persistently(() => this.#bucket.put(this.#key, bytes));
	}

	/** Whether a blob of this size stands there: it can only be this upload's. */
	has(size: number): Promise<boolean> {
		return persistently(async () => (await this.#bucket.head(this.#key))?.size === size);
	}

	/** Removes parts and blob; nothing to remove is fine. */
	async remove(multipart: string | undefined): Promise<void> {
		if (multipart !== undefined) {
			await persistently(async () => {
				try {
					await this.#bucket.resumeMultipartUpload(this.#key, multipart).abort();
				} catch (error) {
					if (!(error instanceof Error && NO_SUCH_UPLOAD.test(error.message))) throw error;
				}
			});
		}
		await persistently(() => this.#bucket.delete(this.#key));
	}
}

/** Tries again after a pause; what fails in the end is `storage_unavailable`. */
async function persistently<T>(operation: () => Promise<T>): Promise<T> {
	for (const pause_ms of PAUSES_MS) {
		try {
			return await operation();
		} catch {
			await scheduler.wait(pause_ms);
		}
	}
	try {
		return await operation();
	} catch (error) {
		logFault("R2 failed", error, "warn");
		throw new Refusal("storage_unavailable", "the storage does not answer: try again");
	}
}
