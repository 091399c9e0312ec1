/** Who blocks whom, who is there, and what is told of it to nobody (rules BLOCK-1 to BLOCK-3, PRESENCE-1, REQUEST-2). */
import { create, toBinary } from "@bufbuild/protobuf";
import { ErrorCode } from "../../protocol/gen/common_pb.js";
import { ConversationUpSchema, type Presence, type Send } from "../../protocol/gen/conversation_up_pb.js";
import { uuidFromBytes, uuidToBytes } from "../../protocol/ids.ts";
import { encode } from "./frames.ts";
import type { Room } from "./room.ts";
import type { Device } from "./roster.ts";
import type { Session } from "./sessions.ts";
import type { Persisted } from "./state.ts";

// Blocking.

/** The account blocks the other one, or no longer does. On disk before anybody hears of it. */
export function block(room: Room, session: Session, device: Device, on: boolean): void {
	const { state, sessions, out } = room;
	// In a group it would part one member from the rest; with oneself there is nobody to block.
	if (state.group !== undefined || state.roster === undefined || state.roster.founders < 2) {
		out.refuse(session, ErrorCode.NOT_PERMITTED);
		return;
	}
	const before = onlineAccounts(room);
	const changed = state.blocks.has(device.account) !== on;
	if (on) state.blocks.add(device.account);
	else state.blocks.delete(device.account);
	if (changed) state.save();
	const bytes = encode({ case: "blocking", value: { on } });
	for (const each of sessions) {
		if (each.state.greeted && each.state.account === device.account) out.push(each, bytes);
	}
	// While the other one blocks too, nothing passes between the two, and nobody is to learn what the other has changed.
	if (!changed || state.blocks.size !== (on ? 1 : 0)) return;
	// The blocked one sees somebody leave, and after the end somebody come: as on every day.
	for (const [account, fleeting] of before) {
		const value = { account: uuidToBytes(account), online: !on, fleeting };
		for (const each of sessions) {
			if (each.state.greeted && each.state.account !== account) out.push(each, encode({ case: "presence", value }));
		}
	}
}

/** Accounts that don't get what an account sends; undefined where there are none. */
export function blockersOf(state: Persisted, sender: string): ReadonlySet<string> | undefined {
	if (state.blocks.size === 0) return undefined;
	const blockers = new Set([...state.blocks].filter((account) => account !== sender));
	return blockers.size === 0 ? undefined : blockers;
}

/**
 * The message without its parts for those who block its sender: they are on no disk, so that no unblocking brings them.
 */
export function withoutThem(message: Send, blockers: ReadonlySet<string>): Send {
	const envelopes = message.envelopes.filter(({ to }) => to !== undefined && !blockers.has(uuidFromBytes(to.account)));
	return { ...message, envelopes };
}

/** A message as it is kept. */
export function payloadOf(message: Send): Uint8Array {
	return toBinary(ConversationUpSchema, create(ConversationUpSchema, { frame: { case: "send", value: message } }));
}

// What is told of a device.

/** The device has come so far: says whether others are to hear of it. Those that it blocks hear of nothing. */
export function tell(state: Persisted, device: Device, cursor: number, quiet: boolean): boolean {
	if (quiet || cursor <= device.told || state.blocks.has(device.account)) return false;
	device.told = cursor;
	return true;
}

/** Frames that are never stored: to everybody else who listens, but not between two of whom one blocks the other. */
export function pushEphemeral(room: Room, session: Session, bytes: Uint8Array): void {
	if (room.state.blocks.size === 0) {
		room.out.pushToOthers(session, bytes);
		return;
	}
	for (const other of room.sessions) {
		const ours = other.state.account === session.state.account;
		if (ours && other !== session && other.state.greeted) room.out.push(other, bytes);
	}
}

// Presence.

/** Somebody says that they are there, or that they leave. In a group it would be too many frames. */
export function presence(room: Room, session: Session, { online, fleeting }: Presence): void {
	const { state } = session;
	if (room.state.group !== undefined) return;
	if ((state.online ?? false) === online && (state.fleeting ?? false) === fleeting) return;
	session.state = { ...state, online, fleeting };
	room.out.effects.push({ type: "attach", socket: session.state });
	showPresence(room, session.state);
}

/** A socket has gone: so has its user, unless another of their devices is there. */
export function leave(room: Room, session: Session): void {
	if (session.state.online === true) showPresence(room, session.state);
}

/** The other accounts that are there, for one that comes. */
export function othersOnline(room: Room, account: string): Uint8Array[] {
	if (room.state.blocks.size > 0) return [];
	return [...onlineAccounts(room).keys()].filter((one) => one !== account).map(uuidToBytes);
}

function showPresence(room: Room, { account, fleeting }: Session["state"]): void {
	if (room.state.blocks.size > 0) return;
	const there = onlineAccounts(room).get(account);
	const online = there !== undefined;
	const value = { account: uuidToBytes(account), online, fleeting: there === true || fleeting === true };
	const bytes = encode({ case: "presence", value });
	for (const other of room.sessions) {
		if (other.state.greeted && other.state.account !== account) room.out.push(other, bytes);
	}
}

/** Accounts that are there, and whether that is not to be noted: one of their devices is enough to say so. */
function onlineAccounts(room: Room): Map<string, boolean> {
	const accounts = new Map<string, boolean>();
	for (const { state } of room.sessions) {
		if (state.online === true)
			accounts.set(state.account, accounts.get(state.account) === true || state.fleeting === true);
	}
	return accounts;
}
