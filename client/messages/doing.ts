/** What a person of this device sends and does: written here at once, and put into the outbox (rule CLIENT-2). */
import { fromBinary } from "@bufbuild/protobuf";
import { type Content, ContentSchema } from "../../protocol/gen/content_pb.js";
import { LIMITS } from "../../protocol/limits.ts";
import type { Context } from "../machine/context.ts";
import { storeTexts } from "../machine/sending.ts";
import { offerProfile } from "../profile/sharing.ts";
import { type ActionKind, acceptAction, addAction, findAction, limitActions, removeAction } from "../store/actions.ts";
import { conversation } from "../store/conversations.ts";
import { addDetails, startClock } from "../store/details.ts";
import { addMessage, findMessage } from "../store/messages.ts";
import { enqueue } from "../store/outbox.ts";
import { timerOf } from "../store/standings.ts";
import { acceptedAction } from "./accepted.ts";
import { bodyOf, isPermitted, showChange } from "./arriving.ts";
import { draftContent, hasParts, keptParts, wishContent, withParts } from "./contents.ts";
import { scheduleExpiry } from "./expiry.ts";
import { acceptPeer } from "./requests.ts";
import { applyTimer, timerPlace } from "./timer.ts";
import type { Draft, Wish } from "./wishes.ts";
import { takeBack, withdraw } from "./withdrawing.ts";

/** A message with formatting, a quote or a poll. */
export function sendMessage(context: Context, event: { id: string; peer: string; draft: Draft }): void {
	const { store, account } = context;
	const { id, peer, draft } = event;
	acceptPeer(context, peer);
	offerProfile(context, peer);
	const sentAtMs = context.environment.nowMs();
	const stamp = { id, sentAtMs, senderName: account.username };
	const bytes = draftContent(stamp, draft, timerOf(store, peer));
	storeTexts(context, peer);
	const content = fromBinary(ContentSchema, bytes);
	conversation(store, peer);
	const isNew = addMessage(store, {
		...{ peer, sender: account.accountId, sender_device: account.deviceId, id, outgoing: 1, number: null },
		body: bodyOf(content) ?? "",
		attachment: null,
		sent_at_ms: sentAtMs,
		server_time_ms: null,
		status: "queued",
	});
	if (isNew) {
		keepOwnParts(context, id, content);
		enqueue(store, id, peer, bytes, null);
	}
	openFor(context, peer);
}

/** An own message's content with the conversation's timer and the count of forwards, both of which are kept. */
export function completed(
	context: Context,
	id: string,
	peer: string,
	plain: Uint8Array<ArrayBuffer>,
	forwards: number,
): Uint8Array<ArrayBuffer> {
	const seconds = timerOf(context.store, peer);
	if (seconds === 0 && forwards === 0) return plain;
	const content = withParts(plain, { expireAfterSeconds: seconds, forwards: Math.min(forwards, LIMITS.forwards) });
	keepOwnParts(context, id, fromBinary(ContentSchema, content));
	return content;
}

function keepOwnParts(context: Context, id: string, content: Content): void {
	if (!hasParts(content)) return;
	addDetails(context.store, {
		...{ sender: context.account.accountId, id, content: keptParts(content), deleted: 0 },
		expire_after_seconds: content.expireAfterSeconds,
		expires_at_ms: null,
	});
}

/** A person does something with a message or the conversation. */
export function doWish(context: Context, event: { id: string; peer: string; wish: Wish }): void {
	const { store, account } = context;
	const { id, peer, wish } = event;
	const sentAtMs = context.environment.nowMs();
	const bytes = wishContent({ id, sentAtMs, senderName: account.username }, wish);
	// As every reader will see it: what can't be meant is not done here either.
	const action = acceptedAction(fromBinary(ContentSchema, bytes), account.accountId);
	if (action === undefined || !isPermitted(context, peer, account.accountId, action)) return;
	storeTexts(context, peer);
	acceptPeer(context, peer);
	offerProfile(context, peer);
	const { author, id: message } = action.kind === "timer" ? timerPlace(peer) : action.message;
	if (action.kind !== "timer" && findMessage(store, author, message)?.peer !== peer) return;
	const kind: ActionKind = action.kind;
	const row = {
		...{ actor: account.accountId, id, peer, author, message, kind, number: null, time_ms: sentAtMs },
		...{ content: bytes, waiting: 0 },
	};
	if (!addAction(store, row)) return;
	limitActions(store, row);
	conversation(store, peer);
	const unsent = action.kind === "delete" && takeBack(context, author, message);
	if (!unsent) {
		if (action.kind === "delete" && author === account.accountId) withdraw(context, action.message);
		enqueue(store, id, peer, bytes, null);
	}
	if (action.kind === "timer") applyTimer(context, peer);
	else showChange(context, author, message);
	openFor(context, peer);
}

/** The server has an own message: for the sender its time runs from now. */
export function onOwnAccepted(context: Context, id: string, timeMs: number): void {
	if (startClock(context.store, context.account.accountId, id, timeMs)) scheduleExpiry(context);
}

/** The server has what was done. */
export function onActionAccepted(context: Context, id: string, number: number, timeMs: number): void {
	const own = context.account.accountId;
	const row = findAction(context.store, own, id);
	if (row === undefined) return;
	const action = acceptedAction(fromBinary(ContentSchema, row.content), own);
	// The others judge it by its place in the log, where the group may have other rules and admins than when it was done.
	if (action === undefined || !isPermitted(context, row.peer, own, action)) {
		onActionFailed(context, id);
		context.notify({ type: "refused", peer: row.peer, code: "NOT_PERMITTED", messageId: id });
		return;
	}
	if (action.kind === "delete" && row.author !== own) withdraw(context, action.message);
	acceptAction(context.store, own, id, number, timeMs);
	if (row.kind === "timer") applyTimer(context, row.peer);
	else showChange(context, row.author, row.message);
}

/** What was done will never be at the server: it is undone here. */
export function onActionFailed(context: Context, id: string): void {
	const own = context.account.accountId;
	const row = findAction(context.store, own, id);
	if (row === undefined) return;
	removeAction(context.store, own, id);
	if (row.kind === "timer") applyTimer(context, row.peer);
	else showChange(context, row.author, row.message);
}

function openFor(context: Context, peer: string): void {
	if (!context.connection(peer).open) context.request({ type: "open-conversation", peer });
	context.touched.add(peer);
}

/** Whether a wish is within the limits of its form; the machine takes no other. */
export function isWithinLimits(wish: Wish): boolean {
	if (wish.kind === "edit") return Buffer.byteLength(wish.body) <= LIMITS.text_bytes;
	return (
		wish.kind !== "timer" ||
		(Number.isInteger(wish.seconds) && wish.seconds >= 0 && wish.seconds <= LIMITS.timer_seconds)
	);
}
