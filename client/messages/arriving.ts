/**
 * Messages and what is done with them, as they come from the wire: in any order, with the same result (rule MESSAGE-4).
 */
import { toBinary } from "@bufbuild/protobuf";
import { type Content, ContentSchema } from "../../protocol/gen/content_pb.js";
import { uuidFromBytes } from "../../protocol/ids.ts";
import type { Context } from "../machine/context.ts";
import { type ActionRow, addAction, endWaiting, limitActions, limitWaiting } from "../store/actions.ts";
import { conversation } from "../store/conversations.ts";
import { addDetails, isGone, startClock, type Waits } from "../store/details.ts";
import { findMessage, type NewMessage, toStoredMessage } from "../store/messages.ts";
import { readTime } from "../store/read_times.ts";
import { type Action, acceptedAction, acceptedPoll, acceptedTimer, kindOf } from "./accepted.ts";
import { hasParts, keptParts } from "./contents.ts";
import { scheduleExpiry } from "./expiry.ts";
import { mayDeleteOthers, maySetTimer } from "./permissions.ts";
import { refreshMessage } from "./state.ts";
import { applyTimer, timerPlace } from "./timer.ts";

/** Where an entry stands: that of the placeholder where the content was sent again. */
export interface Place {
	number: number;
	timeMs: number;
}

/** Somebody has done something with a message or the conversation. */
export function onAction(context: Context, peer: string, actor: string, place: Place, content: Content): void {
	const { store } = context;
	const action = acceptedAction(content, actor);
	const kind = kindOf(content);
	if (action === undefined || kind === undefined) return;
	if (!isPermitted(context, peer, actor, action)) return;
	const target = action.kind === "timer" ? timerPlace(peer) : action.message;
	const { author, id: message } = target;
	if (isGone(store, author, message)) return;
	const known = action.kind === "timer" ? undefined : findMessage(store, author, message);
	// Nobody does something with a message of another conversation (rule MESSAGE-5).
	if (known !== undefined && known.peer !== peer) return;
	const waits = action.kind !== "timer" && (known === undefined || known.status === "undecryptable");
	const row: Omit<ActionRow, "addressed"> = {
		...{ actor, id: uuidFromBytes(content.messageId), peer, author, message, kind },
		number: place.number,
		time_ms: place.timeMs,
		content: toBinary(ContentSchema, content),
		waiting: waits ? 1 : 0,
	};
	if (!addAction(store, row)) return;
	limitActions(store, row);
	if (action.kind === "timer") applyTimer(context, peer);
	else if (waits) limitWaiting(store, peer);
	else showChange(context, author, message);
}

/** Whether somebody may do this, as the conversation stands at this place in the log. */
export function isPermitted(context: Context, peer: string, actor: string, action: Action): boolean {
	if (action.kind === "timer") return maySetTimer(context, peer, actor);
	if (action.kind !== "delete" || action.message.author === actor) return true;
	return mayDeleteOthers(context, peer, actor);
}

/** A message's text beside its file or poll; undefined where it is a poll that can't be one. */
export function bodyOf({ kind }: Content): string | undefined {
	switch (kind.case) {
		case "text":
			return kind.value.body;
		case "attachment":
			return kind.value.caption;
		case "poll":
			return acceptedPoll(kind.value)?.question;
		default:
			return undefined;
	}
}

/**
 * Whether a message that comes must not be shown: it was deleted here, or its time was over before it came (rule
 * TIMER-4).
 */
export function isOver(context: Context, message: NewMessage, content: Content, waits: Waits): boolean {
	if (waits.gone) return true;
	const expiresAtMs = clockStart(context, message);
	if (content.expireAfterSeconds === 0 || expiresAtMs === undefined) return false;
	return expiresAtMs + acceptedTimer(content.expireAfterSeconds) * 1000 <= context.environment.nowMs();
}

/**
 * The message's row is there: keeps what belongs to it, and applies what waited for it. Says whether the row may have
 * changed.
 */
export function settleMessage(context: Context, message: NewMessage, content: Content, waits: Waits): boolean {
	const { store } = context;
	const { sender, id } = message;
	if (hasParts(content)) {
		addDetails(store, {
			...{ sender, id, content: keptParts(content), deleted: 0 },
			expire_after_seconds: acceptedTimer(content.expireAfterSeconds),
			expires_at_ms: null,
		});
		const start = clockStart(context, message);
		if (start !== undefined && content.expireAfterSeconds > 0) {
			startClock(store, sender, id, start);
			scheduleExpiry(context);
		}
	}
	if (!waits.awaited) return false;
	endWaiting(store, sender, id);
	return refreshMessage(context, sender, id);
}

/**
 * From when a message's time runs: for the sender's devices from its sending, for readers from reading; undefined until
 * then.
 */
function clockStart(context: Context, message: NewMessage): number | undefined {
	const { number, server_time_ms } = message;
	if (message.outgoing === 1) return server_time_ms ?? undefined;
	if (number === null) return undefined;
	const readMs = readTime(context.store, message.peer, number);
	if (readMs !== undefined) return Math.max(readMs, server_time_ms ?? 0);
	// Another own device has read it, when is not known here: rather too early than too late.
	return number <= conversation(context.store, message.peer).read ? (server_time_ms ?? undefined) : undefined;
}

/** Brings a message to what was done with it, and tells. */
export function showChange(context: Context, author: string, id: string): void {
	if (!refreshMessage(context, author, id)) return;
	const row = findMessage(context.store, author, id);
	if (row !== undefined) context.notify({ type: "message-changed", message: toStoredMessage(row), acted: true });
}
