/** The end of this account's membership, and of what this device keeps of a group (rule GROUP-20). */

import { setRosterVersion } from "../../store/conversations.ts";
import { groupChanges, removeGroupChange } from "../../store/group_changes.ts";
import { forgetRoster } from "../../store/group_roster.ts";
import { findGroup, forgetGroup, isLocked, setMember } from "../../store/groups.ts";
import { messagesOf } from "../../store/messages.ts";
import { allOutbox, removeOutbox } from "../../store/outbox.ts";
import type { Context } from "../context.ts";
import { failMessage, storeTexts } from "../sending.ts";
import { deleteHere } from "../sync.ts";
import { parseIntention } from "./building.ts";
import { renewSenderKey } from "./roster.ts";

/** The server has shown this device out of the group, or does not know it there. */
export function onGroupGone(context: Context, peer: string): void {
	const { store } = context;
	if (isLocked(store, peer, context.account.accountId)) {
		forget(context, peer);
		context.notify({ type: "group-left", peer });
		return;
	}
	const row = findGroup(store, peer);
	if (row === undefined || row.member === 0) return;
	setMember(store, peer, false);
	renewSenderKey(context, peer);
	giveUp(context, peer);
	context.notify({ type: "group-left", peer });
}

/** What waits would otherwise leave when somebody adds the account again, long after its person was told that it can't. */
function giveUp(context: Context, peer: string): void {
	storeTexts(context, peer);
	for (const row of allOutbox(context.store, peer)) {
		if (row.target === null) failMessage(context, row, "NOT_ON_ROSTER");
		else removeOutbox(context.store, row.position);
	}
	for (const { id, intention } of groupChanges(context.store, peer)) {
		const what = parseIntention(intention).do;
		if (what === "leave" || what === "join") continue;
		removeGroupChange(context.store, id);
		context.notify({ type: "group-change-failed", peer, id, code: "not_a_member" });
	}
}

/** A person deletes a group that the account has left: its messages here and on the other devices, and all else here. */
export function deleteGroup(context: Context, peer: string): void {
	if (findGroup(context.store, peer)?.member !== 0) return;
	const names = messagesOf(context.store, peer).map(({ sender, id }) => ({ author: sender, id }));
	deleteHere(context, peer, names);
	forget(context, peer);
}

/** The place in the log stays: what comes after it may come again. */
function forget(context: Context, peer: string): void {
	const { store } = context;
	forgetGroup(store, peer);
	forgetRoster(store, peer);
	// With the next connection the server says the whole roster again.
	setRosterVersion(store, peer, 0);
}
