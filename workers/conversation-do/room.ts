/** What the parts of a conversation work on together, and what happens when its roster changes. */
import { ErrorCode } from "../../protocol/gen/common_pb.js";
import { uuidToBytes } from "../../protocol/ids.ts";
import { encode } from "./frames.ts";
import type { Log } from "./log.ts";
import type { Nudges } from "./nudges.ts";
import type { Output } from "./output.ts";
import { type Device, toAddress } from "./roster.ts";
import type { Session, Sessions } from "./sessions.ts";
import type { Shares } from "./shares.ts";
import type { Persisted } from "./state.ts";

export interface Room {
	readonly state: Persisted;
	readonly log: Log;
	readonly shares: Shares;
	readonly nudges: Nudges;
	readonly sessions: Sessions;
	readonly out: Output;
}

/** The session's device, if it is on the roster with this registration. */
export function deviceOf(room: Room, session: Session): Device | undefined {
	return room.state.roster?.get(session.key);
}

/** Rule ROSTER-3. */
export function remove(room: Room, session: Session): void {
	room.out.refuse(session, ErrorCode.NOT_ON_ROSTER);
	room.out.close(session, 4403);
}

/** Who was on the roster before a change. */
export interface Before {
	version: number;
	members: readonly string[];
	devices: readonly Device[];
}

/** The roster as it is, before a change. */
export function beforeOf({ roster, devices }: Persisted): Before {
	return { version: roster?.version ?? 0, members: roster?.members ?? [], devices };
}

/**
 * Removed devices lose their sockets, the others hear of the change: in a group as a difference, since a roster of 2,048
 * devices for each of 2,048 sockets would be 150 MB.
 */
export function rosterChanged(room: Room, before: Before): void {
	const { roster, group } = room.state;
	if (roster === undefined) return;
	room.state.save();
	for (const session of [...room.sessions]) if (deviceOf(room, session) === undefined) remove(room, session);
	// Who left holds up no wipe any more (rule KEPT-1).
	room.log.wipe();
	room.log.once.prune((sender) => roster.get(sender) !== undefined);
	if (roster.version === before.version) return;
	if (group === undefined) {
		room.out.pushToOthers(undefined, encode({ case: "roster", value: roster.frame() }));
		return;
	}
	const known = new Set(before.devices);
	const members = new Set(before.members);
	const value = {
		version: roster.version,
		added: roster.devices.filter((device) => !known.has(device)).map(toAddress),
		removed: before.devices.filter(({ key }) => roster.get(key) === undefined).map(toAddress),
		membersAdded: roster.members.filter((member) => !members.has(member)).map(uuidToBytes),
		membersRemoved: before.members.filter((member) => !roster.members.includes(member)).map(uuidToBytes),
	};
	room.out.pushToOthers(undefined, encode({ case: "rosterChange", value }));
}
