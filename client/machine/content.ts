/** What is encrypted: contents, as they are made and read. */
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import {
	type Attachment,
	type Content,
	ContentSchema,
	type Profile,
	SenderKeySchema,
	type Sync,
} from "../../protocol/gen/content_pb.js";
import { isUuidV7, uuidToBytes } from "../../protocol/ids.ts";
import { sameBytes } from "../signal/bytes.ts";
import { pad, unpad } from "./padding.ts";

/** A serialised file. `sentAtMs` is milliseconds since 1970 by this device's clock, `senderName` the own username. */
export function fileContent(
	id: string,
	sentAtMs: number,
	pointer: Attachment,
	senderName: string,
): Uint8Array<ArrayBuffer> {
	return serialise(id, sentAtMs, { case: "attachment", value: pointer }, senderName);
}

/** What one device tells the others of its account. */
export function syncContent(id: string, sentAtMs: number, sync: Sync): Uint8Array<ArrayBuffer> {
	return serialise(id, sentAtMs, { case: "sync", value: sync });
}

/** A serialised request for the messages with the wire ids `wanted`. */
export function retryContent(id: string, sentAtMs: number, ...wanted: Uint8Array[]): Uint8Array<ArrayBuffer> {
	return serialise(id, sentAtMs, {
		case: "retryRequest",
		value: { $typeName: "parley.v1.RetryRequest", messageIds: wanted },
	});
}

/**
 * A serialised `SenderKey`: the group's key and timer, what opens this device's messages from now on, and who sends
 * them.
 */
export function senderKeyContent(
	id: string,
	sentAtMs: number,
	groupKey: Uint8Array,
	distribution: Uint8Array,
	timerSeconds: number,
	{ senderName, profile }: { senderName: string; profile: Profile | undefined },
	made: { author: Uint8Array; authorKey: Uint8Array } | undefined,
): Uint8Array<ArrayBuffer> {
	const value = create(SenderKeySchema, { groupKey, distribution, timerSeconds, ...made });
	if (profile !== undefined) value.profile = profile;
	return serialise(id, sentAtMs, { case: "senderKey", value }, senderName);
}

/** What a device gets for whom an entry is not meant, since each device has to get an envelope. */
export function emptyContent(id: string): Uint8Array<ArrayBuffer> {
	return serialise(id, 0, { case: undefined });
}

/**
 * The plaintext of a serialised content: bound to its conversation (rule CLIENT-5) and padded (rule PAD-1). In Protocol
 * Buffers serialised messages that follow each other are one, so the content need not be read again.
 */
export function plaintextOf(content: Uint8Array, conversation: Uint8Array): Uint8Array<ArrayBuffer> {
	return pad(content, bindingTo(conversation));
}

/** By the id's array, which is one for all messages of a conversation. */
const bindings = new WeakMap<Uint8Array, Uint8Array>();

function bindingTo(conversation: Uint8Array): Uint8Array {
	const known = bindings.get(conversation);
	if (known !== undefined) return known;
	const binding = toBinary(ContentSchema, create(ContentSchema, { conversation }));
	bindings.set(conversation, binding);
	return binding;
}

/** A decrypted content; undefined when it isn't one, `misplaced` when it was written for another conversation. */
export function parseContent(plaintext: Uint8Array, conversation: Uint8Array): Content | "misplaced" | undefined {
	const bytes = unpad(plaintext);
	if (bytes === undefined) return undefined;
	try {
		const content = fromBinary(ContentSchema, bytes);
		if (!isUuidV7(content.messageId)) return undefined;
		return sameBytes(content.conversation, conversation) ? content : "misplaced";
	} catch {
		return undefined;
	}
}

/** The last moment that a `Date` can hold, in milliseconds since 1970. */
const LAST_MS = 8_640_000_000_000_000n;

/** A time as somebody else says it: what no clock can show would end programs that write it as a date. */
export function timeMs(said: bigint): number {
	return Number(said < LAST_MS ? said : LAST_MS);
}

function serialise(id: string, sentAtMs: number, kind: Content["kind"], senderName = ""): Uint8Array<ArrayBuffer> {
	const sent = BigInt(Math.max(0, Math.trunc(sentAtMs)));
	const content = create(ContentSchema, { messageId: uuidToBytes(id), sentAtMs: sent, kind, senderName });
	return toBinary(ContentSchema, content);
}
