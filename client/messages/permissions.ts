/** Who may do what with others' messages and with a conversation. In a conversation of two nobody is above the other. */
import { isAdmin, permits } from "../groups/roles.ts";
import { isGroup } from "../groups/state.ts";
import type { Context } from "../machine/context.ts";
import { groupState, presentAccounts } from "../machine/groups/view.ts";
import type { MayDelete } from "./fold.ts";

/** Whether an account may delete others' messages for everyone now: a group's admins (rule DELETE-4). */
export function mayDeleteOthers(context: Context, peer: string, account: string): boolean {
	const state = isGroup(peer) ? groupState(context, peer) : undefined;
	return state !== undefined && isAdmin(state, account, presentAccounts(context, peer));
}

/** Whether an account may set the timer now: either of two, and who may edit a group (rule TIMER-1). */
export function maySetTimer(context: Context, peer: string, account: string): boolean {
	if (!isGroup(peer)) return true;
	const state = groupState(context, peer);
	return state !== undefined && permits(state, account, state.rules.edit, presentAccounts(context, peer));
}

/** For what is in the file: it came there only if its actor might do it at that place in the log. */
export function mayDelete(peer: string): MayDelete {
	return () => isGroup(peer);
}
