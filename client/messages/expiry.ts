/** Messages that disappear (rules TIMER-2 to TIMER-4), and what is deleted on this device alone. */
import type { Context } from "../machine/context.ts";
import { forgetResends } from "../machine/retry.ts";
import { claimHold } from "../media/claiming.ts";
import { removeActionsOf } from "../store/actions.ts";
import { capClocks, expired, markGone, nextExpiry, removeDetails, startClocks } from "../store/details.ts";
import { findMessage, removeMessage } from "../store/messages.ts";
import type { MessageName } from "./wishes.ts";
import { takeBack, withdraw } from "./withdrawing.ts";

/** The user has read up to here, on this device or another: the time of others' messages runs since then. */
export function onRead(context: Context, peer: string, upTo: number, atMs: number): void {
	if (startClocks(context.store, peer, context.account.accountId, upTo, atMs) > 0) scheduleExpiry(context);
}

/** Asks to be called when the next message's time is over. */
export function scheduleExpiry(context: Context): void {
	const atMs = nextExpiry(context.store);
	if (atMs !== undefined) context.request({ type: "tick-at", atMs });
}

/** Removes what has had its time. */
export function removeExpired(context: Context): void {
	const now = context.environment.nowMs();
	capClocks(context.store, now);
	const over = expired(context.store, now);
	for (const { sender, id } of over) {
		// What everybody has is not at the server any more.
		const name = { author: sender, id };
		const row = findMessage(context.store, sender, id);
		if (row?.status === "sent") withdraw(context, name);
		if (row !== undefined) claimHold(context.store, row);
		takeAway(context, name);
	}
	scheduleExpiry(context);
}

/** A message is gone from this device, with all that was done with it, and does not come back. */
export function takeAway(context: Context, { author, id }: MessageName): void {
	const { store } = context;
	const row = findMessage(store, author, id);
	store.wipe();
	takeBack(context, author, id);
	forgetResends(context, { author, id });
	markGone(store, author, id, context.environment.nowMs());
	removeDetails(store, author, id);
	removeActionsOf(store, author, id);
	if (row === undefined) return;
	removeMessage(store, row.row);
	context.notify({ type: "message-removed", peer: row.peer, id, sender: author });
}
