/** Frames from the conversation to a device, in bytes. */
import { create, fromBinary, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { ErrorCode } from "../../protocol/gen/common_pb.js";
import { ConversationDownSchema } from "../../protocol/gen/conversation_down_pb.js";
import { ConversationUpSchema, type Send } from "../../protocol/gen/conversation_up_pb.js";
import type { LogEntry } from "./store.ts";

/** Any frame down. */
export type DownFrame = NonNullable<MessageInitShape<typeof ConversationDownSchema>["frame"]>;

/** The bytes of a frame. */
export function encode(frame: DownFrame): Uint8Array {
	return toBinary(ConversationDownSchema, create(ConversationDownSchema, { frame }));
}

/** For a socket whose event met a fault of ours; it is closed with 4500 then (rule REFUSED-1). */
export const FAULT_FRAME: Uint8Array = encode({ case: "refused", value: { code: ErrorCode.INTERNAL } });

/** Rule ONCE-1: the same bytes for each repetition of a message. */
export function accepted(entry: LogEntry): Uint8Array {
	const { messageId, number, time_ms } = entry;
	return encode({ case: "accepted", value: { messageId, number, serverTimeMs: BigInt(time_ms) } });
}

/** The message in a payload of the log. */
export function sendOf(payload: Uint8Array): Send | undefined {
	const { frame } = fromBinary(ConversationUpSchema, payload);
	return frame.case === "send" ? frame.value : undefined;
}
