/** Ids on the wire are bytes, in code and in URLs text: UUIDs (RFC 9562) and hex. */

const HEX = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, "0"));

/** Of an id's hex; see `letters`. */
const idLetters: number[] = new Array(32).fill(0);

/** Lower-case hex of some bytes. */
export function toHex(bytes: Uint8Array): string {
	if (bytes.length !== 16) return grown(bytes);
	for (let index = 0; index < 16; index++) {
		const byte = bytes[index] ?? 0;
		idLetters[index * 2] = letter(byte >> 4);
		idLetters[index * 2 + 1] = letter(byte & 0xf);
	}
	return String.fromCharCode(...idLetters);
}

function grown(bytes: Uint8Array): string {
	let text = "";
	for (const byte of bytes) text += HEX[byte];
	return text;
}

/** Bytes of a hex text. Throws a RangeError for anything else. */
export function fromHex(text: string): Uint8Array<ArrayBuffer> {
	if (text.length % 2 !== 0 || !/^[0-9a-f]*$/i.test(text)) throw new RangeError("not hex");
	const bytes = new Uint8Array(text.length / 2);
	for (let index = 0; index < bytes.length; index++) {
		bytes[index] = (hexDigit(text.charCodeAt(index * 2)) << 4) | hexDigit(text.charCodeAt(index * 2 + 1));
	}
	return bytes;
}

/** The value of a hex digit in ASCII, which has the value in its low bits, and letters 9 below theirs. */
export function hexDigit(code: number): number {
	return (code & 0xf) + (code > 0x40 ? 9 : 0);
}

/** Where in the text form of a UUID each byte stands. */
const PLACES = [0, 2, 4, 6, 9, 11, 14, 16, 19, 21, 24, 26, 28, 30, 32, 34] as const;
const DASH = 0x2d;
/** Filled and read in one go: a text made at once costs a tenth of one that grows. */
const letters: number[] = new Array(36).fill(DASH);

/** The text form of a 16-byte UUID. Throws a RangeError for another length. */
export function uuidFromBytes(bytes: Uint8Array): string {
	if (bytes.length !== 16) throw new RangeError("a UUID has 16 bytes");
	for (let index = 0; index < 16; index++) {
		const byte = bytes[index] ?? 0;
		const place = PLACES[index] ?? 0;
		letters[place] = letter(byte >> 4);
		letters[place + 1] = letter(byte & 0xf);
	}
	return String.fromCharCode(...letters);
}

/** The ASCII code of a hex digit. */
function letter(value: number): number {
	return value < 10 ? 0x30 + value : 0x57 + value;
}

/** The 16 bytes of a UUID in text form. Throws a RangeError for anything else. */
export function uuidToBytes(text: string): Uint8Array<ArrayBuffer> {
	if (!UUID_PATTERN.test(text)) throw new RangeError("not a UUID");
	const bytes = new Uint8Array(16);
	for (let index = 0; index < 16; index++) {
		const place = PLACES[index] ?? 0;
		bytes[index] = (hexDigit(text.charCodeAt(place)) << 4) | hexDigit(text.charCodeAt(place + 1));
	}
	return bytes;
}

/** A UUID in lower-case text form. */
export const UUID_PATTERN = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;

/** Whether some bytes are a UUIDv7 (RFC 9562, 5.7): 16 bytes with that version and variant. */
export function isUuidV7(bytes: Uint8Array): boolean {
	return bytes.length === 16 && (bytes[6] ?? 0) >> 4 === 7 && (bytes[8] ?? 0) >> 6 === 2;
}

/**
 * A UUIDv7 that is greater than the one before it, so that one device's ids grow also when its clock goes back.
 * `now_ms` is milliseconds since 1970, `random` 10 random bytes, `previous` the device's last id.
 */
export function nextUuidV7(now_ms: number, random: Uint8Array, previous?: Uint8Array): Uint8Array<ArrayBuffer> {
	const previous_ms = previous === undefined ? -1 : timeOfUuidV7(previous);
	const time_ms = Math.max(0, now_ms, previous_ms + 1);
	const id = new Uint8Array(16);
	id.set(random.subarray(0, 10), 6);
	for (let index = 5, rest = time_ms; index >= 0; index--) {
		id[index] = rest % 256;
		rest = Math.floor(rest / 256);
	}
	id[6] = ((id[6] ?? 0) & 0x0f) | 0x70;
	id[8] = ((id[8] ?? 0) & 0x3f) | 0x80;
	return id;
}

function timeOfUuidV7(id: Uint8Array): number {
	let time_ms = 0;
	for (let index = 0; index < 6; index++) time_ms = time_ms * 256 + (id[index] ?? 0);
	return time_ms;
}

/**
 * A group's id, in hex: SHA-256 over a label and 32 random bytes of its founder's choice, so that nobody can choose the
 * address of somebody else's conversation (rule GROUP-7).
 */
export async function groupId(seed: Uint8Array): Promise<string> {
	const label = new TextEncoder().encode("parley group v1");
	const input = new Uint8Array(label.length + 32);
	input.set(label);
	input.set(seed.subarray(0, 32), label.length);
	return toHex(new Uint8Array(await crypto.subtle.digest("SHA-256", input)));
}

/**
 * The address of the one-to-one conversation of two accounts, in hex: SHA-256 over a label and both account ids in
 * ascending order, so that both members reach the same object without a lookup (rule CONVERSATION-1).
 */
export async function directConversationId(one: string, other: string): Promise<string> {
	return toHex(new Uint8Array(await crypto.subtle.digest("SHA-256", directConversationInput(one, other))));
}

/** What the address is the hash of, for those who have SHA-256 at hand without waiting. */
export function directConversationInput(one: string, other: string): Uint8Array<ArrayBuffer> {
	const [low, high] = one < other ? [one, other] : [other, one];
	const label = new TextEncoder().encode("parley direct conversation v1");
	const input = new Uint8Array(label.length + 32);
	input.set(label);
	input.set(uuidToBytes(low), label.length);
	input.set(uuidToBytes(high), label.length + 16);
	return input;
}
