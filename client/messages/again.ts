/** An own message as it was sent, for a device that could not read it (rule RETRY-1). */
import { create, fromBinary } from "@bufbuild/protobuf";
import { AttachmentSchema, type Content, ContentSchema, TextSchema } from "../../protocol/gen/content_pb.js";
import { emptyContent } from "../machine/content.ts";
import type { Context } from "../machine/context.ts";
import { contentOfDetails, findDetails } from "../store/details.ts";
import type { MessageRow } from "../store/messages.ts";
import { messageContent } from "./contents.ts";

/** The first text, before any edit: those are asked for by themselves. Nothing of a message that was deleted. */
export function sentBefore(context: Context, message: MessageRow): Uint8Array<ArrayBuffer> {
	const { sender, id, attachment, body } = message;
	const details = findDetails(context.store, sender, id);
	if (details?.deleted === 1) return emptyContent(id);
	const parts = details === undefined ? create(ContentSchema) : contentOfDetails(details);
	const stamp = { id, sentAtMs: message.sent_at_ms, senderName: context.account.username };
	return messageContent(stamp, kindOf(attachment, parts, body ?? ""), parts);
}

function kindOf(attachment: Uint8Array | null, parts: Content, body: string): Content["kind"] {
	if (attachment !== null) return { case: "attachment", value: fromBinary(AttachmentSchema, attachment) };
	if (parts.kind.case !== undefined) return parts.kind;
	return { case: "text", value: create(TextSchema, { body }) };
}
