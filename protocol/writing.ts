/**
 * Writes Protocol Buffers by hand, for the few messages that each text causes: the library's reflection costs as much as
 * all the rest that is done with them. Who writes so has a test that the bytes are the library's.
 */

import { hexDigit } from "./ids.ts";

/** What follows a field's tag: a number, or a length and so many bytes. */
export const VARINT = 0;
export const BYTES = 2;

/** A field's tag in Protocol Buffers' wire format. */
export const tag = (field: number, type: typeof VARINT | typeof BYTES): number => (field << 3) | type;

/** The length of a number below 2^53 as a varint. */
export function varintLength(value: number): number {
	let length = 1;
	for (let rest = value; rest >= 0x80; rest = Math.floor(rest / 0x80)) length += 1;
	return length;
}

/** The length of a field with a number below 2^53; proto3 leaves out zeros. */
export function numberLength(value: number): number {
	return value === 0 ? 0 : 1 + varintLength(value);
}

/** The length of a field with bytes or a text; proto3 leaves out empty ones. */
export function bytesLength(bytes: Uint8Array): number {
	return bytes.length === 0 ? 0 : 1 + varintLength(bytes.length) + bytes.length;
}

/** Frames are cut from larger pieces of memory, one after the other: to make a buffer costs as much as to fill it. */
const PIECE_BYTES = 64 * 1024;
let piece = new ArrayBuffer(0);
let used = 0;

/** New bytes, all 0. A piece is never used twice: what was sent may be on its way for long. */
function take(length: number): Uint8Array<ArrayBuffer> {
	if (length > PIECE_BYTES / 4) return new Uint8Array(length);
	if (used + length > piece.byteLength) {
		piece = new ArrayBuffer(PIECE_BYTES);
		used = 0;
	}
	const bytes = new Uint8Array(piece, used, length);
	used += length;
	return bytes;
}

/** Writes fields one after the other into as many bytes as they need. */
export class Writer {
	readonly bytes: Uint8Array<ArrayBuffer>;
	#at = 0;

	constructor(length: number) {
		this.bytes = take(length);
	}

	/** Bytes as they are: a message that was encoded before. */
	copy(encoded: Uint8Array): void {
		this.bytes.set(encoded, this.#at);
		this.#at += encoded.length;
	}

	/** The beginning of a message in field `field`, also of an empty one. */
	open(field: number, length: number): void {
		this.bytes[this.#at++] = tag(field, BYTES);
		this.#varint(length);
	}

	number(field: number, value: number): void {
		if (value === 0) return;
		this.bytes[this.#at++] = tag(field, VARINT);
		this.#varint(value);
	}

	blob(field: number, value: Uint8Array): void {
		if (value.length === 0) return;
		this.open(field, value.length);
		this.bytes.set(value, this.#at);
		this.#at += value.length;
	}

	/** Bytes that are given in hex. */
	hex(field: number, text: string): void {
		this.open(field, text.length / 2);
		for (let index = 0; index < text.length; index += 2) {
			this.bytes[this.#at++] = (hexDigit(text.charCodeAt(index)) << 4) | hexDigit(text.charCodeAt(index + 1));
		}
	}

	#varint(value: number): void {
		let rest = value;
		while (rest >= 0x80) {
			this.bytes[this.#at++] = (rest % 0x80) | 0x80;
			rest = Math.floor(rest / 0x80);
		}
		this.bytes[this.#at++] = rest;
	}
}
