/**
 * One blob: its upload, which this object puts in order, then its holds, until nobody holds it any more. The object's
 * name is the key under which the blob stands in R2; neither the upload's nor the blob's id can be found from it.
 */
import { DurableObject } from "cloudflare:workers";
import { LIMITS } from "../../protocol/limits.ts";
import { MEDIA_HOLD_MS, MEDIA_UPLOAD_MS, TUS_VERSION } from "../../protocol/media.ts";
import { type Bucket, Storage } from "./bucket.ts";
import { drain } from "./drain.ts";
import type { MediaEnv } from "./env.ts";
import type { MediaQuota, QuotaAnswer } from "./quota.ts";
import { type BlobState, type Hold, Records } from "./records.ts";
import { faultResponse, notFound, Refusal } from "./refusal.ts";
import { Runs } from "./runs.ts";
import { readPatch } from "./tus.ts";
import { offsetConflict, receive } from "./upload.ts";

/** A new upload, as its grant and its headers say. */
export interface NewUpload {
	subject: string;
	/** Undefined where it is deferred. */
	length: number | undefined;
	bytes_max: number;
	deleteHash: string;
}

/** How far an upload is. */
export interface Progress {
	offset: number;
	length: number | undefined;
	expires_ms: number;
}

/** When a removal is tried again that R2 has failed. */
const RETRY_MS = 600_000;

/** `not_found` as BLOB-1 has it; `unavailable`: R2 fails, and the same call may succeed later. */
type Failure = "not_found" | "unavailable";

export class StoredBlob extends DurableObject<MediaEnv> {
	bucket: Bucket;
	/** Milliseconds since 1970. */
	now: () => number = Date.now;
	readonly #records: Records;
	readonly #runs = new Runs();

	constructor(ctx: DurableObjectState, env: MediaEnv) {
		super(ctx, env);
		this.bucket = env.BLOBS;
		this.#records = new Records(ctx.storage);
	}

	/** Rules QUOTA-1 and UPLOAD-7: room first, so that nothing is stored without it. */
	async create(upload: NewUpload): Promise<QuotaAnswer> {
		const expires_ms = this.now() + MEDIA_UPLOAD_MS;
		const reserved = upload.length ?? 0;
		const answer = await this.#quota(upload.subject).reserve(this.#key, reserved, expires_ms);
		if (answer !== "ok") return answer;
		this.#records.create({ ...upload, phase: "open", reserved, expires_ms, multipart: undefined });
		await this.ctx.storage.setAlarm(expires_ms);
		return "ok";
	}

	/** A PATCH. The door has read its headers once, so that a malformed one wakes no object. */
	override async fetch(request: Request): Promise<Response> {
		let progress: Progress | undefined;
		try {
			const patch = readPatch(request.headers);
			// Rule UPLOAD-4: only where the running one stands it may be taken over.
			const standing = this.#runs.position;
			if (standing !== undefined && standing !== patch.offset) throw offsetConflict(standing);
			const run = await this.#runs.begin();
			try {
				// Before the quota is asked: who asks how far it is must not end it.
				run.position = this.#progress()?.offset;
				await this.#arriving(() => receive(this.#upload(), patch, request.body, run));
			} finally {
				progress = this.#progress();
				run.end();
			}
			return new Response(null, { status: 204, headers: progressHeaders(progress) });
		} catch (error) {
			const response = faultResponse(error, "StoredBlob");
			await drain(request.body);
			for (const [name, value] of Object.entries(progressHeaders(progress))) response.headers.set(name, value);
			return response;
		}
	}

	/** For HEAD. An upload whose bytes are all here is completed first (rule UPLOAD-8). */
	async progress(): Promise<Progress | Failure> {
		const [known, standing] = [this.#progress(), this.#runs.position];
		if (known === undefined) return "not_found";
		if (standing !== undefined && standing !== known.length) return { ...known, offset: standing };
		const run = await this.#runs.begin();
		try {
			const before = this.#progress();
			if (before === undefined) return "not_found";
			if (before.offset === before.length) await receive(this.#upload(), { offset: before.offset }, null, run);
			return this.#progress() ?? "not_found";
		} catch (error) {
			return failureOf(error);
		} finally {
			run.end();
		}
	}

	/** For tus's DELETE: an upload goes at once (rule UPLOAD-7); of a complete one the uploader's hold ends. */
	async terminate(): Promise<"ok" | Failure> {
		const run = await this.#runs.begin();
		try {
			const state = this.#live();
			if (state === undefined) return "not_found";
			if (state.phase === "complete") return await this.endHold(state.deleteHash);
			await this.#remove(state);
			return "ok";
		} catch (error) {
			return failureOf(error);
		} finally {
			run.end();
		}
	}

	/** Rule BLOB-3. Answers until when it holds. */
	async hold(deleteHash: string, subject: string): Promise<number | QuotaAnswer | "too_many" | "not_found"> {
		const state = this.#live();
		if (state?.phase !== "complete" || state.length === undefined) return "not_found";
		const held = this.#records.holds();
		const before = held.find((each) => each.deleteHash === deleteHash && each.subject === subject);
		if (before === undefined && held.length >= LIMITS.media_holds) return "too_many";
		const hold = { deleteHash, subject, expires_ms: this.now() + MEDIA_HOLD_MS };
		// Before the quota is asked: what ends meanwhile must see that this subject holds the blob, else the hold would
		// count for nobody, or the blob would go.
		this.#records.hold(hold);
		const quota = this.#quota(subject);
		let answer: QuotaAnswer | undefined;
		try {
			answer = await quota.hold(this.#key, state.length, hold.expires_ms);
		} finally {
			if (answer !== "ok") await this.#takeBack(state, hold, before);
		}
		if (answer !== "ok") return answer;
		if (this.#holds().some((each) => isSame(each, hold))) return hold.expires_ms;
		// It was ended meanwhile.
		if (!this.#holds().some((each) => each.subject === subject)) await quota.release(this.#key);
		return "not_found";
	}

	/** A hold that the quota has refused goes, or is again what it was. */
	async #takeBack(state: BlobState, hold: Hold, before: Hold | undefined): Promise<void> {
		if (!this.#holds().some((each) => isSame(each, hold))) return;
		if (before === undefined) await this.#endHolds(state, (each) => isSame(each, hold));
		else this.#records.hold(before);
	}

	/** Rule BLOB-4. A wrong hash and an unknown blob have one answer. */
	async endHold(deleteHash: string): Promise<"ok" | Failure> {
		const state = this.#live();
		if (state?.phase !== "complete") return "not_found";
		if (!this.#records.holds().some((each) => each.deleteHash === deleteHash)) return "not_found";
		return this.#endHolds(state, (hold) => hold.deleteHash === deleteHash);
	}

	/** Rule BLOB-5: called by the subject's quota object, which forgets the blob itself. */
	async eraseSubject(subject: string): Promise<"ok" | Failure> {
		const state = this.#live();
		if (state === undefined) return "ok";
		if (state.phase === "complete") return this.#endHolds(state, (hold) => hold.subject === subject);
		return state.subject === subject ? this.terminate() : "ok";
	}

	/** Removes what has expired, and what could not be removed when it should have been. */
	override async alarm(): Promise<void> {
		const state = this.#records.state();
		if (state === undefined) return;
		if (state.phase === "complete") {
			await this.#endHolds(state, ({ expires_ms }) => expires_ms <= this.now());
		} else if (state.phase === "open" && state.expires_ms > this.now()) {
			await this.ctx.storage.setAlarm(state.expires_ms);
		} else {
			await this.#expire();
		}
	}

	/** The runtime would try a failing alarm six times only. */
	async #expire(): Promise<void> {
		const run = await this.#runs.begin();
		try {
			const state = this.#records.state();
			if (state?.phase === "open") await this.#remove(state);
			if (state?.phase === "removed") await this.#sweep(state);
		} catch (error) {
			failureOf(error);
			await this.ctx.storage.setAlarm(this.now() + RETRY_MS);
		} finally {
			run.end();
		}
	}

	/** What counts as there: not what is being removed, nor an upload whose time is over. */
	#live(): BlobState | undefined {
		const state = this.#records.state();
		if (state === undefined || state.phase === "removed") return undefined;
		return state.phase === "open" && state.expires_ms <= this.now() ? undefined : state;
	}

	#progress(): Progress | undefined {
		const state = this.#live();
		if (state === undefined) return undefined;
		const { length, expires_ms } = state;
		const offset = state.phase === "complete" ? (length ?? 0) : this.#records.offset();
		return { offset, length, expires_ms };
	}

	/** Takes a body while not too many of the account arrive (rule UPLOAD-9). */
	async #arriving(receiveBody: () => Promise<void>): Promise<void> {
		const state = this.#live();
		if (state === undefined) throw notFound();
		const counted = await this.#quota(state.subject).arrive();
		if (counted === undefined) {
			throw new Refusal("too_many_uploads", "too much arrives at once: try again", LIMITS.media_patches);
		}
		try {
			await receiveBody();
		} finally {
			counted[Symbol.dispose]();
		}
	}

	/** What a running upload may do with this object. */
	#upload() {
		const state = this.#live();
		if (state === undefined) throw notFound();
		const quota = this.#quota(state.subject);
		return {
			state,
			records: this.#records,
			storage: new Storage(this.bucket, this.#key),
			now: this.now,
			reserve: (bytes: number) => quota.reserve(this.#key, bytes, state.expires_ms),
			/** Counts what has become of the upload, and gives it its first hold. */
			complete: async (length: number, store: () => Promise<void>) => {
				const expires_ms = this.now() + MEDIA_HOLD_MS;
				const answer = await quota.reserve(this.#key, length, expires_ms);
				if (answer === "erased") throw notFound();
				await store();
				this.#records.complete(length, expires_ms);
				await this.ctx.storage.setAlarm(expires_ms);
			},
		};
	}

	/** Also where everything is gone. */
	#holds(): Hold[] {
		return this.#records.state() === undefined ? [] : this.#records.holds();
	}

	/** Ends some holds; without any left the blob goes. Else the alarm is set for the next that ends. */
	async #endHolds(state: BlobState, ends: (hold: Hold) => boolean) {
		const [ended, left] = [this.#records.holds().filter(ends), this.#records.holds().filter((hold) => !ends(hold))];
		for (const hold of ended) this.#records.endHold(hold);
		const subjects = new Set(ended.map(({ subject }) => subject));
		for (const { subject } of left) subjects.delete(subject);
		try {
			if (left.length === 0) await this.#markRemoved();
			else await this.ctx.storage.setAlarm(Math.min(...left.map(({ expires_ms }) => expires_ms)));
			for (const subject of subjects) {
				// It may hold the blob again by now.
				if (this.#holds().some((hold) => hold.subject === subject)) continue;
				await this.#quota(subject).release(this.#key);
			}
			if (left.length === 0) await this.#sweep(state);
			return "ok";
		} catch (error) {
			return failureOf(error);
		}
	}

	/** Removes an upload that isn't complete. */
	async #remove(state: BlobState): Promise<void> {
		const received = this.#records.offset();
		await this.#markRemoved();
		await this.#quota(state.subject).release(this.#key, received);
		await this.#sweep(state);
	}

	/** Hides it from clients at once. What goes wrong afterwards is done by the alarm. */
	#markRemoved(): Promise<void> {
		this.#records.setRemoved();
		return this.ctx.storage.setAlarm(this.now() + RETRY_MS);
	}

	/** Removes it from R2, then all records. */
	async #sweep(state: BlobState): Promise<void> {
		await new Storage(this.bucket, this.#key).remove(state.multipart);
		await this.ctx.storage.deleteAlarm();
		await this.ctx.storage.deleteAll();
	}

	#quota(subject: string): DurableObjectStub<MediaQuota> {
		return this.env.MEDIA_QUOTA.getByName(subject);
	}

	get #key(): string {
		const { name } = this.ctx.id;
		if (name === undefined) throw new TypeError("a blob's object has a name");
		return name;
	}
}

/** tus's headers of an upload. */
export function progressHeaders(progress: Progress | undefined): Record<string, string> {
	const headers = { "tus-resumable": TUS_VERSION, "cache-control": "no-store" };
	if (progress === undefined) return headers;
	const { offset, length, expires_ms } = progress;
	return {
		...headers,
		"upload-offset": String(offset),
		"upload-expires": new Date(expires_ms).toUTCString(),
		...(length === undefined ? { "upload-defer-length": "1" } : { "upload-length": String(length) }),
	};
}

function isSame(one: Hold, other: Hold): boolean {
	return one.deleteHash === other.deleteHash && one.subject === other.subject;
}

function failureOf(error: unknown): Failure {
	if (error instanceof Refusal && error.code === "not_found") return "not_found";
	if (error instanceof Refusal && error.code === "storage_unavailable") return "unavailable";
	throw error;
}
