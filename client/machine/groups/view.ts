/** A group as the machine sees it now. */
import { isMember, type Present, permits } from "../../groups/roles.ts";
import { type GroupState, parseState } from "../../groups/state.ts";
import { conversation } from "../../store/conversations.ts";
import { rosterMembers } from "../../store/group_roster.ts";
import { findGroup } from "../../store/groups.ts";
import type { Context } from "../context.ts";

/** The last verified state; undefined before the first. */
export function groupState(context: Context, peer: string): GroupState | undefined {
	const row = findGroup(context.store, peer);
	if (row === undefined || row.state === null) return undefined;
	const known = context.groups.states.get(peer);
	if (known?.version === row.version) return known;
	const state = parseState(row.state);
	if (state === undefined) throw new Error("a group's state in the file can't be read");
	context.groups.states.set(peer, state);
	return state;
}

/** Accounts on the roster; undefined before the server has told it. */
export function presentAccounts(context: Context, peer: string): Present {
	const version = conversation(context.store, peer).roster_version;
	if (version === 0) return undefined;
	const known = context.groups.present.get(peer);
	if (known?.version === version) return known.accounts;
	const accounts = new Set(rosterMembers(context.store, peer));
	context.groups.present.set(peer, { version, accounts });
	return accounts;
}

/** Whether an account may send to the group, by the state that is known now. */
export function maySend(context: Context, peer: string, state: GroupState, account: string): boolean {
	return isMember(state, account) && permits(state, account, state.rules.send, presentAccounts(context, peer));
}
