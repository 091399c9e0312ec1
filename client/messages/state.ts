/** A message's state in the file: folded from what was done with it, written where it differs, and told. */
import { fromBinary } from "@bufbuild/protobuf";
import { ContentSchema } from "../../protocol/gen/content_pb.js";
import type { Context } from "../machine/context.ts";
import { forgetResends } from "../machine/retry.ts";
import { claimHold } from "../media/claiming.ts";
import { type ActionRow, actionsOf, removeActionsOf } from "../store/actions.ts";
import type { Store } from "../store/database.ts";
import { addDetails, contentOfDetails, type DetailsRow, emptyDetails, findDetails } from "../store/details.ts";
import { clearMessage, findMessage, type MessageRow, setBody } from "../store/messages.ts";
import { acceptedAction, acceptedPoll } from "./accepted.ts";
import { textParts } from "./contents.ts";
import { type Done, type Folded, fold, type Original } from "./fold.ts";
import { mayDelete } from "./permissions.ts";
import { fromWire } from "./ranges.ts";

/** All that is known of a message, as it is now. Undefined where it isn't here. */
export function messageState(
	store: Store,
	sender: string,
	id: string,
): { message: MessageRow; details: DetailsRow | undefined; original: Original; folded: Folded } | undefined {
	const message = findMessage(store, sender, id);
	if (message === undefined || message.status === "undecryptable") return undefined;
	const details = findDetails(store, sender, id);
	const original = originalOf(message, details);
	const done = actionsOf(store, message.peer, sender, id).flatMap(toDone);
	return { message, details, original, folded: fold(original, done, mayDelete(message.peer)) };
}

/** Brings a message's row to what was done with it; says whether that is a change. */
export function refreshMessage(context: Context, sender: string, id: string): boolean {
	const { store } = context;
	const state = messageState(store, sender, id);
	if (state === undefined) return false;
	const { message, details, original, folded } = state;
	if (details?.deleted === 1) {
		removeActionsOf(store, sender, id);
		return false;
	}
	if (folded.deletedBy !== undefined) {
		store.wipe();
		forgetResends(context, { author: sender, id });
		keepOriginal(store, message, details);
		emptyDetails(store, sender, id);
		claimHold(store, message);
		clearMessage(store, message.row);
		removeActionsOf(store, sender, id);
		return true;
	}
	const body = folded.versions.at(-1)?.body ?? original.body;
	if (body !== message.body) {
		keepOriginal(store, message, details);
		setBody(store, message.row, body);
	}
	return true;
}

/** Before the row changes: the text as it was sent is kept beside it. */
function keepOriginal(store: Store, message: MessageRow, details: DetailsRow | undefined): void {
	if (details !== undefined) return;
	addDetails(store, {
		sender: message.sender,
		id: message.id,
		content: textParts(message.body ?? ""),
		deleted: 0,
		expire_after_seconds: 0,
		expires_at_ms: null,
	});
}

function originalOf(message: MessageRow, details: DetailsRow | undefined): Original {
	const parts = details === undefined ? undefined : contentOfDetails(details);
	const text = parts?.kind.case === "text" ? parts.kind.value : undefined;
	const poll = parts?.kind.case === "poll" ? acceptedPoll(parts.kind.value) : undefined;
	const body = text?.body ?? message.body ?? "";
	return {
		author: message.sender,
		timeMs: message.server_time_ms ?? message.sent_at_ms,
		body,
		ranges: fromWire(text?.ranges ?? [], body),
		poll,
	};
}

function toDone({ id, actor, number, time_ms, content }: ActionRow): Done[] {
	const action = acceptedAction(fromBinary(ContentSchema, content), actor);
	return action === undefined ? [] : [{ id, actor, number: number ?? undefined, timeMs: time_ms, action }];
}
