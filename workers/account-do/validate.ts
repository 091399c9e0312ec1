/** What comes in is checked here, before anything is read or written for it. */
import { fromBinary } from "@bufbuild/protobuf";
import { type AccountUp, AccountUpSchema } from "../../protocol/gen/account_pb.js";
import { UUID_PATTERN } from "../../protocol/ids.ts";
import { LIMITS } from "../../protocol/limits.ts";
import type { ConversationReference } from "./interface.ts";

/** A frame of this protocol. */
export type UpFrame = Exclude<AccountUp["frame"], { case: undefined }>;

/** Reads a frame that a device sent (rule REFUSED-1). */
export function readFrame(message: string | ArrayBuffer): UpFrame | "malformed" | "too_large" {
	// A text's length in bytes is at least its length; no text is a frame, so that is enough to name the refusal.
	const bytes = typeof message === "string" ? message.length : message.byteLength;
	if (bytes > LIMITS.frame_bytes) return "too_large";
	if (typeof message === "string") return "malformed";
	const frame = decode(new Uint8Array(message));
	switch (frame?.case) {
		case "hello":
			return frame;
		case "seen":
			return frame.value.conversation.length === 32 ? frame : "malformed";
		case undefined:
			return "malformed";
		default:
			return frame satisfies never;
	}
}

function decode(bytes: Uint8Array): AccountUp["frame"] | undefined {
	try {
		return fromBinary(AccountUpSchema, bytes).frame;
	} catch {
		return undefined;
	}
}

/** Throws a RangeError for a device id that libsignal would not take. */
export function checkDevice(device: number): void {
	if (!Number.isInteger(device) || device < 1 || device > 127) throw new RangeError("a device is 1 to 127");
}

/** Throws a RangeError for a reference that could not be sent to a device. */
export function checkReference(reference: ConversationReference): void {
	if (!/^[0-9a-f]{64}$/.test(reference.conversation)) throw new RangeError("a conversation is 64 hex digits");
	if (reference.peer !== "" && !UUID_PATTERN.test(reference.peer)) throw new RangeError("a peer is a UUID");
}

/** Throws a RangeError for a number that is no entry's. */
export function checkEntry(upTo: number): void {
	if (!Number.isInteger(upTo) || upTo < 1 || upTo > 0xffff_ffff) throw new RangeError("entries count from 1");
}
