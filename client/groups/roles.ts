/** Who may do what in a group. Pure. */
import type { GroupState, Permission } from "./state.ts";

/** Accounts on the server's roster; undefined while it is not known. */
export type Present = ReadonlySet<string> | undefined;

export function isMember(state: GroupState, account: string): boolean {
	return state.members.some((member) => member.account === account);
}

/**
 * Whether an account is an admin: by the state, or because no admin is left on the roster and it is the first member of
 * the state that is (rule GROUP-14).
 */
export function isAdmin(state: GroupState, account: string, present: Present): boolean {
	if (state.members.some((member) => member.account === account && member.role === "admin")) return true;
	const here = state.members.filter((member) => present?.has(member.account) ?? true);
	return here[0]?.account === account && !here.some((member) => member.role === "admin");
}

/** Whether a member may do what the permission is for. */
export function permits(state: GroupState, account: string, permission: Permission, present: Present): boolean {
	switch (permission) {
		case "members":
			return isMember(state, account);
		case "admins":
			return isAdmin(state, account, present);
		default:
			return permission satisfies never;
	}
}
