/**
 * The two frames that each message causes, the one that it is and the one that answers it, read and written by hand: the library's reflection
 * costs as much as the rest of a message's turn. The same bytes as the library's; tests compare both.
 */
import type { DeviceAddress, Envelope } from "../../protocol/gen/common_pb.js";
import type { Acknowledge, Send } from "../../protocol/gen/conversation_up_pb.js";
import { BYTES, bytesLength, numberLength, tag, VARINT, varintLength, Writer } from "../../protocol/writing.ts";
import type { Remembered } from "./recent.ts";

const NOTHING = new Uint8Array(0);
/** A field with the 16 bytes of an id. */
const ID_LENGTH = 18;

/** `ConversationDown` with `Accepted`. Rule ONCE-1: the same bytes for each repetition of a message. */
export function accepted({ messageId, number, time_ms }: Remembered): Uint8Array {
	const length = ID_LENGTH + numberLength(number) + numberLength(time_ms);
	const writer = new Writer(1 + varintLength(length) + length);
	writer.open(4, length);
	writer.hex(1, messageId);
	writer.number(2, number);
	writer.number(3, time_ms);
	return writer.bytes;
}

/** A sending device's watermark, beside its entry. `delivered` 0 stands for none (rule DELIVERED-4). */
export interface Beside {
	delivered: number;
	after: number;
}

export const NOT_BESIDE: Beside = { delivered: 0, after: 0 };

/** `ConversationDown` with `Entry`. */
export function entryFrame(
	{ number, time_ms, messageId }: Remembered,
	sender: { account: Uint8Array; device: number },
	{ kind, ciphertext }: Pick<Envelope, "kind" | "ciphertext">,
	{ delivered, after }: Beside = NOT_BESIDE,
): Uint8Array {
	const length =
		numberLength(number) +
		numberLength(time_ms) +
		ID_LENGTH +
		bytesLength(sender.account) +
		numberLength(sender.device) +
		numberLength(kind) +
		bytesLength(ciphertext);
	const beside = numberLength(delivered) + numberLength(after);
	const writer = new Writer(1 + varintLength(length) + length + beside);
	writer.open(2, length);
	writer.number(1, number);
	writer.number(2, time_ms);
	writer.hex(3, messageId);
	writer.blob(4, sender.account);
	writer.number(5, sender.device);
	writer.number(6, kind);
	writer.blob(7, ciphertext);
	writer.number(14, delivered);
	writer.number(15, after);
	return writer.bytes;
}

/** Reads fields that must come in the order in which encoders write them. Anything else ends with `ok` false. */
class Reader {
	ok = true;
	#at: number;
	#end: number;
	readonly #bytes: Uint8Array;

	constructor(bytes: Uint8Array) {
		this.#bytes = bytes;
		this.#at = 0;
		this.#end = bytes.length;
	}

	get done(): boolean {
		return this.#at === this.#end;
	}

	/** Whether a field with a length is next. */
	at(field: number): boolean {
		return this.#at < this.#end && this.#bytes[this.#at] === tag(field, BYTES);
	}

	/** How many bytes have been read. */
	get read(): number {
		return this.#at;
	}

	/** Enters a message that is a field; returns where the message around it ends, for `leave`. */
	enter(field: number): number {
		const around = this.#end;
		const length = this.#length(field);
		this.#end = this.#at + length;
		return around;
	}

	leave(around: number): void {
		if (!this.done) this.ok = false;
		this.#end = around;
	}

	/** A 32-bit number that is not 0: encoders leave those out. */
	number(field: number): number {
		this.#tag(tag(field, VARINT));
		return this.#varint();
	}

	/** Bytes as they lie in the frame. */
	blob(field: number): Uint8Array {
		const length = this.#length(field);
		const from = this.#at;
		this.#at += length;
		return this.#bytes.subarray(from, this.#at);
	}

	#length(field: number): number {
		this.#tag(tag(field, BYTES));
		const length = this.#varint();
		if (length <= this.#end - this.#at) return length;
		this.ok = false;
		return 0;
	}

	#tag(expected: number): void {
		if (this.#at >= this.#end || this.#bytes[this.#at] !== expected) this.ok = false;
		else this.#at += 1;
	}

	#varint(): number {
		let value = 0;
		// Four bytes hold every length and number of an honest frame.
		for (let shift = 0; shift < 28 && this.#at < this.#end; shift += 7) {
			const byte = this.#bytes[this.#at++] ?? 0;
			value |= (byte & 0x7f) << shift;
			if (byte < 0x80) return value;
		}
		this.ok = false;
		return 0;
	}
}

/** A `Send` that was read, and how many bytes of its frame it took: the rest rides along. */
export interface SendRead {
	send: Send;
	bytes: number;
	/** See `ConversationUp.acknowledged`. */
	acknowledged: number;
}

/**
 * A `Send` frame as encoders write it, its bytes not copied. Undefined for every other frame, and for a `Send` whose
 * fields are in another order, missing or unknown: those are the library's to read.
 */
export function readSend(data: Uint8Array): SendRead | undefined {
	const reader = new Reader(data);
	const frame = reader.enter(2);
	const messageId = reader.blob(1);
	const rosterVersion = reader.number(2);
	const envelopes: Envelope[] = [];
	while (reader.ok && reader.at(3)) {
		const send = reader.enter(3);
		const envelope = reader.enter(1);
		const account = reader.blob(1);
		const device = reader.number(2);
		const registrationId = reader.number(3);
		reader.leave(envelope);
		const kind = reader.number(2);
		const ciphertext = reader.blob(3);
		reader.leave(send);
		const to: DeviceAddress = { $typeName: "parley.v1.DeviceAddress", account, device, registrationId };
		envelopes.push({ $typeName: "parley.v1.Envelope", to, kind, ciphertext });
	}
	const shared = reader.ok && reader.at(4) ? reader.blob(4) : NOTHING;
	reader.leave(frame);
	const bytes = reader.read;
	const acknowledged = reader.ok && !reader.done ? reader.number(15) : 0;
	if (!reader.ok || !reader.done) return undefined;
	return { send: { $typeName: "parley.v1.Send", messageId, rosterVersion, envelopes, shared }, bytes, acknowledged };
}

/** An `Acknowledge` frame as encoders write it, alone. Undefined for every other frame: those are the library's to read. */
export function readAcknowledge(data: Uint8Array): Acknowledge | undefined {
	const reader = new Reader(data);
	const frame = reader.enter(3);
	const cursor = reader.number(1);
	const quiet = reader.ok && !reader.done;
	if (quiet && reader.number(2) !== 1) return undefined;
	reader.leave(frame);
	return reader.ok && reader.done ? { $typeName: "parley.v1.Acknowledge", cursor, quiet } : undefined;
}
