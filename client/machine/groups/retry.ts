/** Who may ask for a group message again, and what else a request tells (rules RETRY-1, GROUP-16). */
import { isMember } from "../../groups/roles.ts";
import { findRosterDevice, removeHolder } from "../../store/group_roster.ts";
import { setWanted } from "../../store/groups.ts";
import type { Context } from "../context.ts";
import { groupState } from "./view.ts";

/** Whether a device was on the roster for which a message was encrypted, as the same installation as now. */
export function wasOnRoster(
	context: Context,
	peer: string,
	addressed: string | null,
	account: string,
	device: number,
	registration: number | undefined,
): boolean {
	const [word, version] = addressed?.split(" ") ?? [];
	const listed = findRosterDevice(context.store, peer, account, device);
	if (word !== "roster" || version === undefined || listed === undefined) return false;
	return listed.registration_id === registration && listed.since <= Number(version);
}

/** Who asks for a message may lack the sender key too: it is brought to the device once more. */
export function giveKeyAgain(context: Context, peer: string, account: string, device: number): void {
	const state = groupState(context, peer);
	if (state === undefined || !isMember(state, account)) return;
	removeHolder(context.store, peer, account, device);
	context.groups.complete.delete(peer);
	setWanted(context.store, peer, true);
	context.touched.add(peer);
}
