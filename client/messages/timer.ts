/** The conversation's timer of disappearing messages, changed by a message (rule TIMER-1). */
import { fromBinary } from "@bufbuild/protobuf";
import { ContentSchema } from "../../protocol/gen/content_pb.js";
import type { Context } from "../machine/context.ts";
import { type ActionRow, actionsOf } from "../store/actions.ts";
import { setTimer, timerOf } from "../store/standings.ts";
import { acceptedAction } from "./accepted.ts";
import type { MessageName } from "./wishes.ts";

/** Where changes of a conversation's timer stand among what is done with messages. */
export function timerPlace(peer: string): MessageName {
	return { author: "", id: peer };
}

/** The last change in the log counts; own ones that the server doesn't have yet come after it. */
export function applyTimer(context: Context, peer: string): void {
	const { store } = context;
	const { author, id } = timerPlace(peer);
	let newest: ActionRow | undefined;
	for (const row of actionsOf(store, peer, author, id)) if (newest === undefined || isAfter(row, newest)) newest = row;
	const action =
		newest === undefined ? undefined : acceptedAction(fromBinary(ContentSchema, newest.content), newest.actor);
	// A change that failed leaves what was before it.
	const seconds = action?.kind === "timer" ? action.seconds : 0;
	if (seconds === timerOf(store, peer)) return;
	setTimer(store, peer, seconds);
	context.notify({ type: "timer-changed", peer, by: newest?.actor ?? context.account.accountId, seconds });
}

function isAfter(one: ActionRow, other: ActionRow): boolean {
	const [a, b] = [one.number ?? Number.POSITIVE_INFINITY, other.number ?? Number.POSITIVE_INFINITY];
	return a === b ? one.id > other.id : a > b;
}
