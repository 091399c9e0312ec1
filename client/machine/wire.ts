/**
 * What a text becomes on its way out, written by hand (see protocol/writing.ts). Tests compare it with the library's.
 */
import type { DeviceAddress, Envelope } from "../../protocol/gen/common_pb.js";
import type { Send } from "../../protocol/gen/conversation_up_pb.js";
import { uuidToBytes } from "../../protocol/ids.ts";
import { bytesLength, numberLength, varintLength, Writer } from "../../protocol/writing.ts";

const utf8 = new TextEncoder();

/** `Content` with a `Text` that has no formatting. `sentAtMs` is milliseconds since 1970, at most 2^53. */
export function textBytes(id: string, sentAtMs: number, body: string, senderName: string): Uint8Array<ArrayBuffer> {
	const sent = Math.max(0, Math.trunc(sentAtMs));
	const [text, name] = [utf8.encode(body), utf8.encode(senderName)];
	const length = bytesLength(text);
	const writer = new Writer(18 + numberLength(sent) + fieldLength(length) + bytesLength(name));
	writer.blob(1, uuidToBytes(id));
	writer.number(2, sent);
	writer.open(3, length);
	writer.blob(1, text);
	writer.blob(5, name);
	return writer.bytes;
}

/** `ConversationUp` with `Send`, of a message for single devices. */
export function sendBytes({ messageId, rosterVersion, envelopes }: Send): Uint8Array<ArrayBuffer> {
	let length = bytesLength(messageId) + numberLength(rosterVersion);
	for (const envelope of envelopes) length += fieldLength(envelopeLength(envelope));
	const writer = new Writer(fieldLength(length));
	writer.open(2, length);
	writer.blob(1, messageId);
	writer.number(2, rosterVersion);
	for (const envelope of envelopes) {
		writer.open(3, envelopeLength(envelope));
		if (envelope.to !== undefined) writeAddress(writer, envelope.to);
		writer.number(2, envelope.kind);
		writer.blob(3, envelope.ciphertext);
	}
	return writer.bytes;
}

/** A frame with an acknowledgement beside it. The frame itself is kept and repeated without. */
export function besideBytes(frame: Uint8Array, acknowledged: number): Uint8Array<ArrayBuffer> {
	const writer = new Writer(frame.length + numberLength(acknowledged));
	writer.copy(frame);
	writer.number(15, acknowledged);
	return writer.bytes;
}

/** The length of a field with a message in it, be it empty. */
function fieldLength(length: number): number {
	return 1 + varintLength(length) + length;
}

function envelopeLength({ to, kind, ciphertext }: Envelope): number {
	const address = to === undefined ? 0 : fieldLength(addressLength(to));
	return address + numberLength(kind) + bytesLength(ciphertext);
}

function addressLength({ account, device, registrationId }: DeviceAddress): number {
	return bytesLength(account) + numberLength(device) + numberLength(registrationId);
}

function writeAddress(writer: Writer, address: DeviceAddress): void {
	writer.open(1, addressLength(address));
	writer.blob(1, address.account);
	writer.number(2, address.device);
	writer.number(3, address.registrationId);
}
