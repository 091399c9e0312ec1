/** From bytes to a frame that keeps the protocol: nothing after this looks at a frame's form again (rule REFUSED-1). */
import { fromBinary } from "@bufbuild/protobuf";
import { ErrorCode } from "../../protocol/gen/common_pb.js";
import { type ConversationUp, ConversationUpSchema, type Send } from "../../protocol/gen/conversation_up_pb.js";
import { isUuidV7, toHex } from "../../protocol/ids.ts";
import { LIMITS } from "../../protocol/limits.ts";
import { readSend } from "./wire.ts";

/** A frame with one of its cases set. */
export type UpFrame = Exclude<ConversationUp["frame"], { case: undefined }>;

/** Why a frame is refused. */
export interface Refusal {
	code: ErrorCode;
	messageId?: Uint8Array;
	limit?: number;
}

const MALFORMED: Refusal = { code: ErrorCode.MALFORMED };

/** Whether reading ended with a refusal. */
export function isRefusal(read: UpFrame | Refusal): read is Refusal {
	return "code" in read;
}

/** Reads a WebSocket message. Text is no frame; "ping" has been answered by the runtime before it comes here. */
export function readFrame(data: Uint8Array | string): UpFrame | Refusal {
	if (data.length > LIMITS.frame_bytes) return { code: ErrorCode.FRAME_TOO_LARGE, limit: LIMITS.frame_bytes };
	if (typeof data === "string") return MALFORMED;
	const send = readSend(data);
	const frame: ConversationUp["frame"] | undefined = send === undefined ? decode(data) : { case: "send", value: send };
	if (frame === undefined || frame.case === undefined) return MALFORMED;
	if (frame.case === "withdraw" && !isUuidV7(frame.value.messageId)) return MALFORMED;
	return frame.case === "send" ? (checkSend(frame.value) ?? frame) : frame;
}

function decode(data: Uint8Array): ConversationUp["frame"] | undefined {
	try {
		return fromBinary(ConversationUpSchema, data).frame;
	} catch {
		return undefined;
	}
}

function checkSend(send: Send): Refusal | undefined {
	if (!isUuidV7(send.messageId)) return MALFORMED;
	// Changes come through the api, which reads the devices of new members.
	if (send.change !== undefined) return MALFORMED;
	let bytes = send.shared.length;
	const seen = new Set<string>();
	for (const { to, kind, ciphertext } of send.envelopes) {
		if (to === undefined || to.account.length !== 16) return MALFORMED;
		if (to.device < 1 || to.device > 127 || to.registrationId < 1 || to.registrationId > 16_380) return MALFORMED;
		// Kinds are open enums on the wire: a newer one would be stored and then not understood.
		if ((kind !== 1 && kind !== 2) || ciphertext.length === 0) return MALFORMED;
		bytes += ciphertext.length;
		if (send.envelopes.length > 1) seen.add(`${toHex(to.account)}.${to.device}`);
	}
	if (send.envelopes.length > 1 && seen.size !== send.envelopes.length) return MALFORMED;
	if (bytes <= LIMITS.message_ciphertext_bytes) return undefined;
	return {
		code: ErrorCode.MESSAGE_TOO_LARGE,
		messageId: send.messageId,
		limit: LIMITS.message_ciphertext_bytes,
	};
}
