/** The end of this account's membership. */
import { findGroup, setMember } from "../../store/groups.ts";
import type { Context } from "../context.ts";
import { renewSenderKey } from "./roster.ts";

/** The server has shown this device out of the group, or does not know it there. */
export function onGroupGone(context: Context, peer: string): void {
	const row = findGroup(context.store, peer);
	if (row === undefined || row.member === 0) return;
	setMember(context.store, peer, false);
	renewSenderKey(context, peer);
	context.notify({ type: "group-left", peer });
}
