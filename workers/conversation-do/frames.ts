/** Frames from the conversation to a device, in bytes. */
import { create, fromBinary, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { ErrorCode } from "../../protocol/gen/common_pb.js";
import { ConversationDownSchema } from "../../protocol/gen/conversation_down_pb.js";
import { ConversationUpSchema, type Send } from "../../protocol/gen/conversation_up_pb.js";
import { readSend } from "./wire.ts";

/** Any frame down. */
export type DownFrame = NonNullable<MessageInitShape<typeof ConversationDownSchema>["frame"]>;

/** The bytes of a frame. */
export function encode(frame: DownFrame): Uint8Array {
	return toBinary(ConversationDownSchema, create(ConversationDownSchema, { frame }));
}

/** For a socket whose event met a fault of ours; it is closed with 4500 then (rule REFUSED-1). */
export const FAULT_FRAME: Uint8Array = encode({ case: "refused", value: { code: ErrorCode.INTERNAL } });

/** The message in a payload of the log. */
export function sendOf(payload: Uint8Array): Send | undefined {
	const read = readSend(payload);
	if (read !== undefined) return read.send;
	const { frame } = fromBinary(ConversationUpSchema, payload);
	return frame.case === "send" ? frame.value : undefined;
}
