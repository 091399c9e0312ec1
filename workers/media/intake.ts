/**
 * Takes the bytes of one PATCH: whole parts go to R2 while the next is filled, and what doesn't fill a part is kept in
 * the records (rule UPLOAD-2). It holds two parts in memory at most, whatever the upload's size.
 */
import { PART_BYTES, type Records } from "./records.ts";
import { Refusal } from "./refusal.ts";

/** A part that fills slowly is kept this often, so that a crash costs no more. */
const CHECKPOINT_MS = 5_000;

/**
 * Parts that nobody fills now, for the next: a PATCH follows a PATCH, and new memory for each would be garbage faster
 * than it is collected. One upload's worth is kept for all objects of the isolate.
 */
const idle: Uint8Array<ArrayBuffer>[] = [];
const IDLE_PARTS_MAX = 2;
/** Every PATCH reads the tail: of one that came byte by byte the rows are put together. */
const TAIL_ROWS_MAX = 64;

export interface IntakeContext {
	records: Records;
	/** Where the upload ends: its length, or the most that it may have. */
	end: number;
	/** Keep all of it or nothing (rule UPLOAD-6): nothing is recorded before `keep`. */
	whole: boolean;
	/** Sends a part to R2, more than once where that fails; rejects in the end. */
	sendPart(number: number, bytes: Uint8Array): Promise<R2UploadedPart>;
	now(): number;
}

/** A part on its way to R2. */
interface Sending {
	number: number;
	bytes: Uint8Array<ArrayBuffer>;
	/** Resolves when it has arrived or failed. */
	done: Promise<void>;
	failed: boolean;
}

export class Intake {
	readonly #context: IntakeContext;
	/** Parts in R2 that the records don't know yet, where all or nothing is kept. */
	readonly #unrecorded: R2UploadedPart[] = [];
	#number: number;
	#part: Uint8Array<ArrayBuffer>;
	#used = 0;
	#spare: Uint8Array<ArrayBuffer> | undefined;
	#sending: Sending | undefined;
	/** Everything before this is in the records. */
	#recorded: number;
	#checkpoint_ms: number;

	private constructor(context: IntakeContext) {
		this.#context = context;
		this.#number = context.records.partsEnd() / PART_BYTES + 1;
		this.#part = this.#allocate();
		this.#recorded = context.records.offset();
		this.#checkpoint_ms = context.now();
	}

	/** Goes on where the upload is. Rejects with `storage_unavailable` as `add` does. */
	static async resume(context: IntakeContext): Promise<Intake> {
		const intake = new Intake(context);
		for (const bytes of context.records.tail()) await intake.#fill(bytes);
		return intake;
	}

	/** Behind the last byte that was taken. */
	get position(): number {
		return this.#start + this.#used;
	}

	/** What waits in memory for the end of its part. Valid until more is added. */
	get rest(): Uint8Array<ArrayBuffer> {
		return this.#part.subarray(0, this.#used);
	}

	get partNumber(): number {
		return this.#number;
	}

	/** Rejects with `storage_unavailable` when R2 has not taken a part; what was added is not lost by that. */
	async add(bytes: Uint8Array): Promise<void> {
		await this.#fill(bytes);
		const { now, whole } = this.#context;
		if (whole || this.#sending !== undefined || now() - this.#checkpoint_ms < CHECKPOINT_MS) return;
		this.#record();
	}

	/** Waits for R2 to have every whole part, but for one that ends with the upload. Rejects as `add` does. */
	async settle(): Promise<void> {
		if (this.#used === PART_BYTES && this.position < this.#context.end) await this.#send();
		await this.#sent();
	}

	/** Records all that was added, also what R2 has not taken. */
	async keep(): Promise<void> {
		await this.#sending?.done;
		this.#context.records.atomically(() => {
			this.keepParts();
			// All of the tail is in memory too.
			if (this.#context.records.tailRows() > TAIL_ROWS_MAX) {
				this.#context.records.clearTail();
				this.#recorded = this.#context.records.partsEnd();
			}
			this.#record();
		});
	}

	/** Records the parts that R2 has, where that was held back. */
	keepParts(): void {
		for (const part of this.#unrecorded) this.#context.records.addPart(part);
		this.#unrecorded.length = 0;
	}

	/** Waits for what is on its way, so that it can't arrive in the middle of what comes next. */
	async abandon(): Promise<void> {
		await this.#sending?.done;
	}

	/** Gives its memory to the next intake. Nothing may be asked of this one any more. */
	release(): void {
		const sending = this.#sending;
		// Else R2 may still be reading it.
		const sent = sending?.failed === true ? sending.bytes : undefined;
		for (const part of [this.#part, this.#spare, sent]) {
			if (part?.length === PART_BYTES && idle.length < IDLE_PARTS_MAX) idle.push(part);
		}
		this.#part = new Uint8Array(0);
		this.#used = 0;
		this.#spare = undefined;
	}

	get #start(): number {
		return (this.#number - 1) * PART_BYTES;
	}

	async #fill(bytes: Uint8Array): Promise<void> {
		for (let from = 0; from < bytes.length; ) {
			if (this.#used === this.#part.length) await this.#send();
			const taken = bytes.subarray(from, from + this.#part.length - this.#used);
			this.#part.set(taken, this.#used);
			this.#used += taken.length;
			from += taken.length;
		}
	}

	/** Lets a full part go, once the one before it has arrived. */
	async #send(): Promise<void> {
		await this.#sent();
		const sending: Sending = { number: this.#number, bytes: this.#part, done: Promise.resolve(), failed: false };
		this.#sending = sending;
		sending.done = this.#context.sendPart(sending.number, sending.bytes).then(
			(part) => this.#arrived(sending, part),
			() => {
				sending.failed = true;
			},
		);
		this.#number++;
		this.#part = this.#allocate();
		this.#used = 0;
		this.#checkpoint_ms = this.#context.now();
	}

	#arrived(sending: Sending, part: R2UploadedPart): void {
		if (this.#context.whole) this.#unrecorded.push(part);
		else {
			this.#context.records.addPart(part);
			this.#recorded = Math.max(this.#recorded, sending.number * PART_BYTES);
		}
		// The last part is smaller and took no spare one: without this each upload left 8 MiB for the garbage collector.
		if (this.#spare !== undefined && idle.length < IDLE_PARTS_MAX) idle.push(this.#spare);
		this.#spare = sending.bytes;
		this.#sending = undefined;
	}

	async #sent(): Promise<void> {
		await this.#sending?.done;
		if (this.#sending !== undefined) throw new Refusal("storage_unavailable", "the storage does not answer: try again");
	}

	/** Writes what is only in memory into the tail. */
	#record(): void {
		const sending = this.#sending;
		if (sending !== undefined) this.#recordFrom((sending.number - 1) * PART_BYTES, sending.bytes);
		this.#recorded = Math.max(this.#recorded, this.#start - (sending === undefined ? 0 : PART_BYTES));
		this.#recordFrom(this.#start, this.rest);
		this.#checkpoint_ms = this.#context.now();
	}

	#recordFrom(start: number, bytes: Uint8Array): void {
		const from = Math.max(0, this.#recorded - start);
		if (from >= bytes.length) return;
		this.#context.records.addTail(start + from, bytes.subarray(from));
		this.#recorded = start + bytes.length;
	}

	/** Room for the next part; a small upload takes no more than its size. */
	#allocate(): Uint8Array<ArrayBuffer> {
		const bytes = Math.max(0, Math.min(PART_BYTES, this.#context.end - this.#start));
		if (bytes < PART_BYTES) return new Uint8Array(bytes);
		const spare = this.#spare ?? idle.pop();
		this.#spare = undefined;
		return spare ?? new Uint8Array(bytes);
	}
}
