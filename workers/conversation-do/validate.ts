/** From bytes to a frame that keeps the protocol: nothing after this looks at a frame's form again (rule REFUSED-1). */
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { ErrorCode } from "../../protocol/gen/common_pb.js";
import { type ConversationUp, ConversationUpSchema, type Send } from "../../protocol/gen/conversation_up_pb.js";
import { isUuidV7, toHex } from "../../protocol/ids.ts";
import { LIMITS } from "../../protocol/limits.ts";
import { readAcknowledge, readSend } from "./wire.ts";

/** A frame with one of its cases set. */
export type UpFrame = Exclude<ConversationUp["frame"], { case: undefined }>;

/** A frame and what came with it. */
export interface FrameRead {
	frame: UpFrame;
	/** The `Send` without what rides along: what the log keeps. Empty for other frames. */
	payload: Uint8Array;
	/** An acknowledgement that rides along; 0 for none (rule DELIVERED-4). */
	acknowledged: number;
}

/** Why a frame is refused. */
export interface Refusal {
	code: ErrorCode;
	messageId?: Uint8Array;
	limit?: number;
}

const NOTHING = new Uint8Array(0);
const MALFORMED: Refusal = { code: ErrorCode.MALFORMED };

/** Whether reading ended with a refusal. */
export function isRefusal(read: FrameRead | Refusal): read is Refusal {
	return "code" in read;
}

/** Reads a WebSocket message. Text is no frame; "ping" has been answered by the runtime before it comes here. */
export function readFrame(data: Uint8Array | string): FrameRead | Refusal {
	if (data.length > LIMITS.frame_bytes) return { code: ErrorCode.FRAME_TOO_LARGE, limit: LIMITS.frame_bytes };
	if (typeof data === "string") return MALFORMED;
	const read = readSend(data);
	if (read === undefined) {
		const value = readAcknowledge(data);
		if (value !== undefined) return { frame: { case: "acknowledge", value }, payload: NOTHING, acknowledged: 0 };
		return decode(data);
	}
	const refusal = checkSend(read.send);
	if (refusal !== undefined) return refusal;
	const payload = read.bytes === data.length ? data : data.subarray(0, read.bytes);
	return { frame: { case: "send", value: read.send }, payload, acknowledged: read.acknowledged };
}

/** Frames that are rare, and `Send` as only some encoders write it. */
function decode(data: Uint8Array): FrameRead | Refusal {
	const up = parse(data);
	if (up === undefined || up.frame.case === undefined) return MALFORMED;
	const { frame, acknowledged = 0 } = up;
	if (frame.case === "withdraw" && !isUuidV7(frame.value.messageId)) return MALFORMED;
	// It rides on what costs a turn anyway.
	if (frame.case !== "send") return acknowledged === 0 ? { frame, payload: NOTHING, acknowledged } : MALFORMED;
	const refusal = checkSend(frame.value);
	if (refusal !== undefined) return refusal;
	const payload = acknowledged === 0 ? data : toBinary(ConversationUpSchema, create(ConversationUpSchema, { frame }));
	return { frame, payload, acknowledged };
}

function parse(data: Uint8Array): ConversationUp | undefined {
	try {
		return fromBinary(ConversationUpSchema, data);
	} catch {
		return undefined;
	}
}

function checkSend(send: Send): Refusal | undefined {
	if (!isUuidV7(send.messageId)) return MALFORMED;
	// Changes come through the api, which reads the devices of new members.
	if (send.change !== undefined) return MALFORMED;
	let bytes = send.shared.length;
	const { length } = send.envelopes;
	const seen = length > 1 ? new Set<string>() : undefined;
	for (const { to, kind, ciphertext } of send.envelopes) {
		if (to === undefined || to.account.length !== 16) return MALFORMED;
		if (to.device < 1 || to.device > 127 || to.registrationId < 1 || to.registrationId > 16_380) return MALFORMED;
		// Kinds are open enums on the wire: a newer one would be stored and then not understood.
		if ((kind !== 1 && kind !== 2) || ciphertext.length === 0) return MALFORMED;
		bytes += ciphertext.length;
		seen?.add(`${toHex(to.account)}.${to.device}`);
	}
	if (seen !== undefined && seen.size !== length) return MALFORMED;
	if (bytes <= LIMITS.message_ciphertext_bytes) return undefined;
	return {
		code: ErrorCode.MESSAGE_TOO_LARGE,
		messageId: send.messageId,
		limit: LIMITS.message_ciphertext_bytes,
	};
}
