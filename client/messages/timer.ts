/** The conversation's timer of disappearing messages, changed by a message (rule TIMER-1). */
import { create, fromBinary } from "@bufbuild/protobuf";
import { ContentSchema, type SyncItem, SyncItemSchema } from "../../protocol/gen/content_pb.js";
import type { Context } from "../machine/context.ts";
import { groupState } from "../machine/groups/view.ts";
import { type ActionRow, actionsOf, changedTimers } from "../store/actions.ts";
import type { Store } from "../store/database.ts";
import { setTimer, timerOf } from "../store/standings.ts";
import { keepItem, syncedTimer, timerThing } from "../store/synced.ts";
import { acceptedAction, acceptedTimer } from "./accepted.ts";
import { maySetTimer } from "./permissions.ts";
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
	// Where nothing has changed since this device came, or the change has failed: as it was before.
	const seconds = action?.kind === "timer" ? action.seconds : syncedTimer(store, peer);
	if (seconds === timerOf(store, peer)) return;
	setTimer(store, peer, seconds);
	if (newest === undefined) context.notify({ type: "synced", peer });
	else context.notify({ type: "timer-changed", peer, by: newest.actor, seconds });
}

function isAfter(one: ActionRow, other: ActionRow): boolean {
	const [a, b] = [one.number ?? Number.POSITIVE_INFINITY, other.number ?? Number.POSITIVE_INFINITY];
	return a === b ? one.id > other.id : a > b;
}

/**
 * A member says how a group's timer stands, to who has come later than its last change (rule TIMER-5). The first word
 * counts, of who might set it, as far as the group's rules are known already.
 */
export function learnTimer(context: Context, peer: string, account: string, seconds: number): void {
	if (seconds === 0 || (groupState(context, peer) !== undefined && !maySetTimer(context, peer, account))) return;
	const value = { conversation: peer, seconds: acceptedTimer(seconds) };
	const item = create(SyncItemSchema, { changedMs: 1n, kind: { case: "timer", value } });
	if (keepItem(context.store, timerThing(peer), item, 0)) applyTimer(context, peer);
}

/** How the timers stand, for another own device that is new. */
export function knownTimers(store: Store): SyncItem[] {
	return changedTimers(store).map(({ peer, changed_ms }) => {
		const value = { conversation: peer, seconds: timerOf(store, peer) };
		return create(SyncItemSchema, { changedMs: BigInt(changed_ms), kind: { case: "timer", value } });
	});
}
