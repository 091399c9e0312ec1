/** What somebody else's content says, once everything is cut off or dropped that can't be meant (rule MESSAGE-5). */
import type { Content } from "../../protocol/gen/content_pb.js";
import type { MessageRef, Poll } from "../../protocol/gen/message_pb.js";
import { isUuidV7, uuidFromBytes } from "../../protocol/ids.ts";
import { LIMITS } from "../../protocol/limits.ts";
import type { ActionKind } from "../store/actions.ts";
import { fromWire } from "./ranges.ts";
import type { MessageName, PollDraft, TextRange } from "./wishes.ts";

/** What was done, with which message. */
export type Action =
	| { kind: "reaction"; message: MessageName; emoji: string }
	| { kind: "edit"; message: MessageName; body: string; ranges: TextRange[] }
	| { kind: "delete"; message: MessageName }
	| { kind: "vote"; message: MessageName; options: number[] }
	| { kind: "close"; message: MessageName }
	| { kind: "timer"; seconds: number };

/** The kinds of content that do something with a message that is there. */
export function isAction(content: Content): boolean {
	return kindOf(content) !== undefined;
}

/** The kind of an action; undefined for other content. */
export function kindOf({ kind }: Content): ActionKind | undefined {
	switch (kind.case) {
		case "reaction":
		case "edit":
		case "vote":
		case "timer":
			return kind.case;
		case "deletion":
			return "delete";
		case "pollClose":
			return "close";
		default:
			return undefined;
	}
}

/** An action of an account; undefined where it is none, or can't be meant. */
export function acceptedAction({ kind }: Content, actor: string): Action | undefined {
	switch (kind.case) {
		case "reaction": {
			const message = nameOf(kind.value.target);
			const { emoji } = kind.value;
			if (message === undefined || (emoji !== "" && !isEmoji(emoji))) return undefined;
			return { kind: "reaction", message, emoji };
		}
		case "edit": {
			const { messageId, body, ranges } = kind.value;
			if (!isUuidV7(messageId) || Buffer.byteLength(body) > LIMITS.text_bytes) return undefined;
			// Nobody can name the message of somebody else here (rule EDIT-2).
			const message = { author: actor, id: uuidFromBytes(messageId) };
			return { kind: "edit", message, body, ranges: fromWire(ranges, body) };
		}
		case "deletion": {
			const message = nameOf(kind.value.target);
			return message === undefined ? undefined : { kind: "delete", message };
		}
		case "vote": {
			const message = nameOf(kind.value.poll);
			if (message === undefined || kind.value.options.length > LIMITS.poll_options) return undefined;
			return { kind: "vote", message, options: [...new Set(kind.value.options)] };
		}
		case "pollClose":
			if (!isUuidV7(kind.value.messageId)) return undefined;
			return { kind: "close", message: { author: actor, id: uuidFromBytes(kind.value.messageId) } };
		case "timer":
			return { kind: "timer", seconds: acceptedTimer(kind.value.seconds) };
		default:
			return undefined;
	}
}

/** A poll; undefined where it can't be one (rule POLL-1). */
export function acceptedPoll({ question, options, multiple }: Poll): PollDraft | undefined {
	if (question === "" || Buffer.byteLength(question) > LIMITS.poll_question_bytes) return undefined;
	if (options.length < 2 || options.length > LIMITS.poll_options) return undefined;
	if (options.some((option) => option === "" || Buffer.byteLength(option) > LIMITS.poll_option_bytes)) return undefined;
	return new Set(options).size === options.length ? { question, options, multiple } : undefined;
}

/** Seconds until a message disappears, no longer than the longest (rule TIMER-1). */
export function acceptedTimer(seconds: number): number {
	return Math.min(seconds, LIMITS.timer_seconds);
}

/** The message that a reference names; undefined where it names none. */
export function nameOf(reference: MessageRef | undefined): MessageName | undefined {
	if (reference?.author.length !== 16 || !isUuidV7(reference.messageId)) return undefined;
	return { author: uuidFromBytes(reference.author), id: uuidFromBytes(reference.messageId) };
}

const GRAPHEMES = new Intl.Segmenter("en", { granularity: "grapheme" });

/** One emoji, also of a later Unicode version than this one's (rule REACTION-2). */
export function isEmoji(text: string): boolean {
	if (Buffer.byteLength(text) > LIMITS.reaction_bytes) return false;
	if (!/\p{Extended_Pictographic}|\p{Regional_Indicator}|\u20e3/u.test(text)) return false;
	return [...GRAPHEMES.segment(text)].length === 1;
}
