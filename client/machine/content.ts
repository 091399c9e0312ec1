import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { type Attachment, type Content, ContentSchema } from "../../protocol/gen/content_pb.js";
import { isUuidV7, uuidToBytes } from "../../protocol/ids.ts";
import { unpad } from "./padding.ts";

/** A serialised text. `sentAtMs` is milliseconds since 1970 by this device's clock, `senderName` the own username. */
export function textContent(id: string, sentAtMs: number, body: string, senderName: string): Uint8Array<ArrayBuffer> {
	return serialise(id, sentAtMs, { case: "text", value: { $typeName: "parley.v1.Text", body } }, senderName);
}

/** As `textContent`, for a file. */
export function fileContent(
	id: string,
	sentAtMs: number,
	pointer: Attachment,
	senderName: string,
): Uint8Array<ArrayBuffer> {
	return serialise(id, sentAtMs, { case: "attachment", value: pointer }, senderName);
}

/** A serialised request for the message with the wire id `wanted`. */
export function retryContent(id: string, sentAtMs: number, wanted: Uint8Array): Uint8Array<ArrayBuffer> {
	return serialise(id, sentAtMs, {
		case: "retryRequest",
		value: { $typeName: "parley.v1.RetryRequest", messageId: wanted },
	});
}

/** What a device gets for whom an entry is not meant, since each device has to get an envelope. */
export function emptyContent(id: string): Uint8Array<ArrayBuffer> {
	return serialise(id, 0, { case: undefined });
}

/** A decrypted content; undefined when it isn't one. */
export function parseContent(plaintext: Uint8Array): Content | undefined {
	const bytes = unpad(plaintext);
	if (bytes === undefined) return undefined;
	try {
		const content = fromBinary(ContentSchema, bytes);
		return isUuidV7(content.messageId) ? content : undefined;
	} catch {
		return undefined;
	}
}

function serialise(id: string, sentAtMs: number, kind: Content["kind"], senderName = ""): Uint8Array<ArrayBuffer> {
	const sent = BigInt(Math.max(0, Math.trunc(sentAtMs)));
	const content = create(ContentSchema, { messageId: uuidToBytes(id), sentAtMs: sent, kind, senderName });
	return toBinary(ContentSchema, content);
}
