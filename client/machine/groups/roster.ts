/** Who is on a group's roster, and what follows when somebody comes or goes (rules GROUP-13, GROUP-16). */
import type { DeviceAddress, Roster } from "../../../protocol/gen/common_pb.js";
import type { RosterChange } from "../../../protocol/gen/conversation_down_pb.js";
import { uuidFromBytes } from "../../../protocol/ids.ts";
import {
	conversation,
	type RosterDevice,
	removeRosterDevice,
	rosterDevices,
	setRosterVersion,
} from "../../store/conversations.ts";
import {
	addRosterMember,
	forgetGroupDevices,
	groupsWith,
	putGroupDevice,
	removeRosterMember,
	rosterMembers,
} from "../../store/group_roster.ts";
import { endSenderKey, setWanted } from "../../store/groups.ts";
import type { Context } from "../context.ts";

/** The whole roster, at the beginning of a connection or after a stale send. */
export function onGroupRoster(context: Context, peer: string, roster: Roster): void {
	const { store } = context;
	if (roster.version < conversation(store, peer).roster_version) return;
	const devices = roster.devices.flatMap(parseDevice);
	const now = new Set(devices.map(nameOf));
	const gone = rosterDevices(store, peer).filter((device) => !now.has(nameOf(device)));
	const members = new Set(roster.members.flatMap(parseAccount));
	for (const account of rosterMembers(store, peer)) if (!members.has(account)) removeRosterMember(store, peer, account);
	for (const account of members) addRosterMember(store, peer, account);
	changeDevices(context, peer, roster.version, devices, gone);
}

/** One step of the roster. After a gap it is left alone: the next send is answered with the whole roster. */
export function onRosterChange(context: Context, peer: string, change: RosterChange): void {
	const { store } = context;
	if (change.version !== conversation(store, peer).roster_version + 1) return;
	for (const account of change.membersRemoved.flatMap(parseAccount)) removeRosterMember(store, peer, account);
	for (const account of change.membersAdded.flatMap(parseAccount)) addRosterMember(store, peer, account);
	changeDevices(context, peer, change.version, change.added.flatMap(parseDevice), change.removed.flatMap(parseDevice));
}

/** An account shows another identity key: it gets nothing of before, and the next message has a new key. */
export function onMemberIdentityChanged(context: Context, account: string): void {
	for (const peer of groupsWith(context.store, account)) {
		forgetGroupDevices(context.store, peer, account);
		renewSenderKey(context, peer);
	}
}

export function renewSenderKey(context: Context, peer: string): void {
	endSenderKey(context.store, peer);
	context.groups.rosterChanged(peer);
	context.touched.add(peer);
}

function changeDevices(
	context: Context,
	peer: string,
	version: number,
	present: readonly RosterDevice[],
	gone: readonly RosterDevice[],
): void {
	const { store, account: own } = context;
	const before = new Map(rosterDevices(store, peer).map((device) => [nameOf(device), device.registration_id]));
	const replaced = present.some(
		(device) => before.has(nameOf(device)) && before.get(nameOf(device)) !== device.registration_id,
	);
	// A new device of this account learns the group from its sisters.
	const sister = present.some(
		(device) => device.account === own.accountId && device.device !== own.deviceId && !before.has(nameOf(device)),
	);
	for (const { account, device } of gone) removeRosterDevice(store, peer, account, device);
	for (const device of present) putGroupDevice(store, peer, device, version);
	setRosterVersion(store, peer, version);
	context.connection(peer).claimed.clear();
	context.groups.rosterChanged(peer);
	if (gone.length > 0 || replaced) renewSenderKey(context, peer);
	if (sister) setWanted(store, peer, true);
	context.touched.add(peer);
}

function nameOf({ account, device }: RosterDevice): string {
	return `${account}.${device}`;
}

function parseDevice({ account, device, registrationId }: DeviceAddress): RosterDevice[] {
	const inRange = device >= 1 && device <= 127 && registrationId >= 1 && registrationId <= 16_380;
	return parseAccount(account).flatMap((id) =>
		inRange ? [{ account: id, device, registration_id: registrationId }] : [],
	);
}

function parseAccount(account: Uint8Array): string[] {
	return account.length === 16 ? [uuidFromBytes(account)] : [];
}
