/** Contents as they are sent: messages with all that belongs to them, and what is done with messages. */
import { create, toBinary } from "@bufbuild/protobuf";
import { type Content, ContentSchema, TextSchema } from "../../protocol/gen/content_pb.js";
import {
	DeletionSchema,
	EditSchema,
	type MessageRef,
	MessageRefSchema,
	PollCloseSchema,
	PollSchema,
	ReactionSchema,
	TimerSchema,
	VoteSchema,
} from "../../protocol/gen/message_pb.js";
import { uuidToBytes } from "../../protocol/ids.ts";
import { LIMITS } from "../../protocol/limits.ts";
import { toWire } from "./ranges.ts";
import type { Draft, MessageName, Wish } from "./wishes.ts";

/** Who sends, and when by its clock. */
export interface Stamp {
	id: string;
	sentAtMs: number;
	senderName: string;
}

/** A message as a person has written it, which disappears so long after it was read; 0: it stays. */
export function draftContent(stamp: Stamp, draft: Draft, expireAfterSeconds: number): Uint8Array<ArrayBuffer> {
	const { body, ranges, replyTo, forwards, poll } = draft;
	const kind: Content["kind"] =
		poll === undefined
			? { case: "text", value: create(TextSchema, { body, ranges: toWire(ranges ?? [], body) }) }
			: { case: "poll", value: create(PollSchema, { ...poll, options: [...poll.options] }) };
	return serialise(stamp, kind, {
		...(replyTo === undefined ? {} : { replyTo: reference(replyTo) }),
		forwards: Math.min(forwards ?? 0, LIMITS.forwards),
		expireAfterSeconds,
	});
}

/** What a person does with a message or a conversation. */
export function wishContent(stamp: Stamp, wish: Wish): Uint8Array<ArrayBuffer> {
	return serialise(stamp, wishKind(wish));
}

/** A serialised content with these parts. In Protocol Buffers what follows belongs to it. */
export function withParts(
	content: Uint8Array<ArrayBuffer>,
	parts: Pick<Content, "expireAfterSeconds" | "forwards">,
): Uint8Array<ArrayBuffer> {
	return new Uint8Array(Buffer.concat([content, toBinary(ContentSchema, create(ContentSchema, parts))]));
}

/** What is kept of a content beside the message's row: all of it but the file. */
export function keptParts(content: Content): Uint8Array<ArrayBuffer> {
	const { kind, replyTo, forwards, expireAfterSeconds } = content;
	const kept: Content["kind"] = kind.case === "text" || kind.case === "poll" ? kind : { case: undefined };
	const parts = create(ContentSchema, { kind: kept, forwards, expireAfterSeconds });
	if (replyTo !== undefined) parts.replyTo = replyTo;
	return toBinary(ContentSchema, parts);
}

/** Whether a content has more than a plain text or a file. */
export function hasParts(content: Content): boolean {
	const { kind, replyTo, forwards, expireAfterSeconds } = content;
	if (kind.case === "poll" || (kind.case === "text" && kind.value.ranges.length > 0)) return true;
	return replyTo !== undefined || forwards > 0 || expireAfterSeconds > 0;
}

/** A message with these parts. */
export function messageContent(
	stamp: Stamp,
	kind: Content["kind"],
	{ replyTo, forwards, expireAfterSeconds }: Pick<Content, "replyTo" | "forwards" | "expireAfterSeconds">,
): Uint8Array<ArrayBuffer> {
	return serialise(stamp, kind, { ...(replyTo === undefined ? {} : { replyTo }), forwards, expireAfterSeconds });
}

/** A plain text as it is kept. */
export function textParts(body: string): Uint8Array<ArrayBuffer> {
	return toBinary(
		ContentSchema,
		create(ContentSchema, { kind: { case: "text", value: create(TextSchema, { body }) } }),
	);
}

function wishKind(wish: Wish): Content["kind"] {
	switch (wish.kind) {
		case "reaction":
			return {
				case: "reaction",
				value: create(ReactionSchema, { target: reference(wish.message), emoji: wish.emoji }),
			};
		case "edit": {
			const { message, body, ranges } = wish;
			const value = { messageId: uuidToBytes(message.id), body, ranges: toWire(ranges, body) };
			return { case: "edit", value: create(EditSchema, value) };
		}
		case "delete":
			return { case: "deletion", value: create(DeletionSchema, { target: reference(wish.message) }) };
		case "vote":
			return {
				case: "vote",
				value: create(VoteSchema, { poll: reference(wish.message), options: [...wish.options] }),
			};
		case "close":
			return {
				case: "pollClose",
				value: create(PollCloseSchema, { messageId: uuidToBytes(wish.message.id) }),
			};
		case "timer":
			return { case: "timer", value: create(TimerSchema, { seconds: wish.seconds }) };
		default:
			return wish satisfies never;
	}
}

function reference({ author, id }: MessageName): MessageRef {
	return create(MessageRefSchema, { author: uuidToBytes(author), messageId: uuidToBytes(id) });
}

function serialise(
	{ id, sentAtMs, senderName }: Stamp,
	kind: Content["kind"],
	parts: Partial<Pick<Content, "replyTo" | "forwards" | "expireAfterSeconds">> = {},
): Uint8Array<ArrayBuffer> {
	const sent = BigInt(Math.max(0, Math.trunc(sentAtMs)));
	const content = create(ContentSchema, { messageId: uuidToBytes(id), sentAtMs: sent, kind, senderName, ...parts });
	return toBinary(ContentSchema, content);
}
