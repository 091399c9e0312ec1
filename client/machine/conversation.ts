/** A conversation's socket: greeting, roster, watermarks, acknowledgements. */

import type { Roster, Watermark } from "../../protocol/gen/common_pb.js";
import type { ConversationDown, Entry, PeerTyping, Welcome } from "../../protocol/gen/conversation_down_pb.js";
import { uuidFromBytes } from "../../protocol/ids.ts";
import { LIMITS } from "../../protocol/limits.ts";
import { isGroup } from "../groups/state.ts";
import { onRead } from "../messages/expiry.ts";
import { greetPeer, isShown, onBlocking, onPeerPresence } from "../messages/presence.ts";
import { isRequest } from "../messages/requests.ts";
import { onWithdrawn } from "../messages/withdrawing.ts";
import { readReceipts } from "../store/account.ts";
import {
	advanceCursor,
	type ConversationRow,
	conversation,
	replaceRoster,
	setHot,
	setPeerWatermarks,
	setRead,
} from "../store/conversations.ts";
import { countGroupDevices } from "../store/group_roster.ts";
import { findGroup } from "../store/groups.ts";
import { raiseStatus, toStoredMessage } from "../store/messages.ts";
import { type Context, newConnection } from "./context.ts";
import { onGroupEntry } from "./groups/receiving.ts";
import { onGroupRoster, onRosterChange } from "./groups/roster.ts";
import { noteGroupWatermarks } from "./groups/watermarks.ts";
import { greetOrHold, onOwnClosed, release } from "./held.ts";
import { memberDevices } from "./members.ts";
import { onMissed } from "./missed.ts";
import { onEntry } from "./receiving.ts";
import { onRefused } from "./refusals.ts";
import { isPlausible } from "./rewind.ts";
import { onAccepted, resendEncrypted } from "./sending.ts";
import { share } from "./sync.ts";
import { besideBytes } from "./wire.ts";

export function onOpened(context: Context, peer: string): void {
	const { cursor, hot } = conversation(context.store, peer);
	if (hot === 0) setHot(context.store, peer, true);
	for (const [account, failed] of context.failedClaims) {
		if (account === peer || isGroup(peer)) context.failedClaims.set(account, { ...failed, waiting: false });
	}
	const connection = { ...newConnection(), open: true, acknowledged: cursor, news: context.connection(peer).news };
	context.connections.set(peer, connection);
	context.groups.caughtUp.delete(peer);
	context.groups.fetched.delete(peer);
	context.groups.rosterChanged(peer);
	greetOrHold(context, peer);
}

export function onClosed(context: Context, peer: string): void {
	context.connections.set(peer, { ...newConnection(), news: context.connection(peer).news });
	context.groups.caughtUp.delete(peer);
	if (peer === context.account.accountId) onOwnClosed(context);
}

/** The closing was answered: the conversation knows that this device is gone, and nudges it (rule NUDGE-3). */
export function onLeft(context: Context, peer: string): void {
	setHot(context.store, peer, false);
}

export async function onFrame(context: Context, peer: string, down: ConversationDown): Promise<void> {
	const { frame, delivered = 0, after = 0 } = down;
	switch (frame.case) {
		case "welcome":
			return onWelcome(context, peer, frame.value);
		case "entry":
			noteBeside(context, peer, frame.value, delivered, after);
			return isGroup(peer) ? onGroupEntry(context, peer, frame.value) : onEntry(context, peer, frame.value);
		case "caughtUp":
			return onCaughtUp(context, peer, frame.value.head);
		case "accepted":
			if (frame.value.messageId.length === 16) onAccepted(context, peer, frame.value);
			return;
		case "refused":
			return onRefused(context, peer, frame.value);
		case "watermark":
			return onWatermarks(context, peer, [frame.value]);
		case "roster":
			return onRoster(context, peer, frame.value);
		case "missed":
			return onMissed(context, peer, frame.value);
		case "typing":
			onTyping(context, peer, frame.value);
			return;
		case "rosterChange":
			if (isGroup(peer)) onRosterChange(context, peer, frame.value);
			return;
		case "watermarks":
			onWatermarks(context, peer, frame.value.watermarks);
			context.notify({ type: "watermarks", peer });
			return;
		case "blocking":
			return onBlocking(context, peer, frame.value.on);
		case "presence":
			return onPeerPresence(context, peer, frame.value);
		case "withdrawn":
			return onWithdrawn(context, peer, frame.value.messageId);
		case undefined:
			// A frame of a later version.
			return;
	}
}

function onWelcome(context: Context, peer: string, welcome: Welcome): void {
	const connection = context.connection(peer);
	connection.welcomed = true;
	connection.head = Math.max(connection.head, welcome.head);
	if (welcome.roster !== undefined) onRoster(context, peer, welcome.roster);
	onWatermarks(context, peer, welcome.watermarks);
	resendEncrypted(context, peer);
	greetPeer(context, peer, welcome);
	context.touched.add(peer);
}

/** How far the sender is, told beside its entry (rule DELIVERED-4). */
function noteBeside(context: Context, peer: string, entry: Entry, delivered: number, after: number): void {
	if (delivered === 0) return;
	const { senderAccount: account, senderDevice: device } = entry;
	onWatermarks(context, peer, [{ $typeName: "parley.v1.Watermark", account, device, delivered, read: 0, after }]);
}

function onRoster(context: Context, peer: string, roster: Roster): void {
	if (isGroup(peer)) {
		onGroupRoster(context, peer, roster);
		return;
	}
	if (roster.version < conversation(context.store, peer).roster_version) return;
	replaceRoster(context.store, peer, roster.version, memberDevices(context, peer, roster.devices));
	const connection = context.connection(peer);
	connection.deserted = !roster.members.some((member) => member.length === 16 && uuidFromBytes(member) === peer);
	connection.claimed.clear();
	context.touched.add(peer);
}

function onWatermarks(context: Context, peer: string, watermarks: readonly Watermark[]): void {
	const before = conversation(context.store, peer);
	for (const mark of watermarks) {
		const own = mark.account.length === 16 && uuidFromBytes(mark.account) === context.account.accountId;
		if (own) onOwnWatermark(context, peer, mark);
	}
	const { delivered, read } = isGroup(peer)
		? noteGroupWatermarks(context, peer, before, watermarks)
		: furthest(context, peer, before, watermarks);
	if (delivered === before.peer_delivered && read === before.peer_read) return;
	setPeerWatermarks(context.store, peer, delivered, read);
	// Only what has changed: a conversation that is never marked as read has a long way between the two.
	changeStatus(context, peer, { after: before.peer_read, upTo: read, status: "read" });
	changeStatus(context, peer, { after: Math.max(before.peer_delivered, read), upTo: delivered, status: "delivered" });
}

/** How far the other account of a conversation of two is; in one with oneself, the other devices. */
function furthest(
	context: Context,
	peer: string,
	before: ConversationRow,
	watermarks: readonly Watermark[],
): { delivered: number; read: number } {
	let delivered = before.peer_delivered;
	let read = before.peer_read;
	const peers: Watermark[] = [];
	for (const mark of watermarks) {
		const account = mark.account.length === 16 ? uuidFromBytes(mark.account) : "";
		const own = account === context.account.accountId && mark.device === context.account.deviceId;
		if (account !== peer || own) continue;
		read = Math.max(read, mark.read);
		delivered = Math.max(delivered, read);
		peers.push(mark);
	}
	// A device that came later says nothing of what was before its arrival: that is delivered once another has it. Those
	// that have been there for longer come first, and may close the gap.
	for (const mark of peers.sort((one, other) => one.after - other.after)) {
		if (mark.after <= delivered) delivered = Math.max(delivered, mark.delivered);
	}
	return { delivered, read };
}

/** What another device of the account has read is read here too (rule SYNC-1). */
function onOwnWatermark(context: Context, peer: string, { read }: Watermark): void {
	if (read <= conversation(context.store, peer).read || read > context.connection(peer).head) return;
	setRead(context.store, peer, read);
	onRead(context, peer, read, context.environment.nowMs());
	context.notify({ type: "synced", peer });
}

function changeStatus(context: Context, peer: string, change: Parameters<typeof raiseStatus>[2]): void {
	if (change.upTo <= change.after) return;
	for (const message of raiseStatus(context.store, peer, change)) {
		context.notify({ type: "message-changed", message: toStoredMessage(message) });
	}
}

function onCaughtUp(context: Context, peer: string, head: number): void {
	if (!isPlausible(context, peer, head)) return;
	const { cursor } = conversation(context.store, peer);
	const connection = context.connection(peer);
	// What is left up to the head is not for this device. While own sends are open it may be one of them.
	if (head > cursor && connection.inFlight.size === 0) advanceCursor(context.store, peer, head);
	context.groups.caughtUp.add(peer);
	context.notify({ type: "caught-up", peer, head });
	if (peer === context.account.accountId) release(context);
	sendNewsSeen(context, peer, head);
	context.touched.add(peer);
}

/**
 * Tells the account that its news was looked after: everything for this device up to `upTo` is stored (rule NUDGE-2).
 */
export function sendNewsSeen(context: Context, peer: string, upTo: number): void {
	const connection = context.connection(peer);
	if (connection.news === undefined || connection.news.upTo > upTo || !context.accountOpen) return;
	const value = { $typeName: "parley.v1.NewsSeen" as const, conversation: connection.news.conversation, upTo };
	context.sendAccount({ case: "seen", value });
	connection.news = undefined;
}

/**
 * One acknowledgement a step, after its commit: beside the step's last message where it has one (rule DELIVERED-4), or
 * else in a frame of its own. Own entries are acknowledged with the next foreign one, or 64 of them.
 */
export function acknowledge(context: Context, peer: string): void {
	const connection = context.connection(peer);
	if (!connection.welcomed) return;
	const { foreign } = connection;
	connection.foreign = false;
	const { cursor } = conversation(context.store, peer);
	const ahead = cursor - connection.acknowledged;
	if (ahead > 0 && rides(context, peer, cursor)) {
		connection.acknowledged = cursor;
		connection.arrived_bytes = 0;
		return;
	}
	if (ahead <= 0 || (!foreign && ahead < LIMITS.acknowledge_entries)) return;
	if (isGroup(peer) && ahead < LIMITS.acknowledge_entries && !mayAcknowledge(context, peer)) {
		connection.foreign = foreign;
		return;
	}
	connection.acknowledged = cursor;
	connection.arrived_bytes = 0;
	context.send(peer, {
		case: "acknowledge",
		value: { $typeName: "parley.v1.Acknowledge", cursor, quiet: isRequest(context, peer) },
	});
}

/**
 * Lets the acknowledgement go beside a message of this step. Not for what others are not to hear of (rule REQUEST-2).
 */
function rides(context: Context, peer: string, cursor: number): boolean {
	const last = context.requests.findLast((request) => request.type === "send-frame" && request.peer === peer);
	if (last?.type !== "send-frame" || last.frame.frame.case !== "send" || isRequest(context, peer)) return false;
	last.frame.acknowledged = cursor;
	if (last.bytes !== undefined) last.bytes = besideBytes(last.bytes, cursor);
	return true;
}

/**
 * Rule GROUP-8: all devices of a large group together acknowledge about a thousand times a second, or when half of what
 * may be on the way to one has come. Where it is too early, the group is looked after again when it isn't any more.
 */
function mayAcknowledge(context: Context, peer: string): boolean {
	const connection = context.connection(peer);
	const devices = countGroupDevices(context.store, peer);
	if (devices <= LIMITS.watermark_push_devices) return true;
	const pause_ms = devices;
	const now_ms = context.environment.nowMs();
	const waited_ms = now_ms - connection.acknowledgedAt_ms;
	// A clock that went back must not make this wait for ever.
	if (waited_ms >= pause_ms || waited_ms < 0 || connection.arrived_bytes >= shareOf(devices) / 2) {
		connection.acknowledgedAt_ms = now_ms;
		connection.waking = false;
		return true;
	}
	if (!connection.waking) context.request({ type: "wake", account: peer, afterMs: pause_ms - waited_ms });
	connection.waking = true;
	return false;
}

/** Bytes that may be on the way to each device of a conversation, in any case (rule DELIVERED-3). */
function shareOf(devices: number): number {
	return Math.max(LIMITS.window_bytes_least, LIMITS.windows_bytes / devices);
}

export function markRead(context: Context, peer: string, upTo: number): void {
	const state = conversation(context.store, peer);
	const position = Math.min(Math.trunc(upTo), state.cursor);
	if (position <= state.read) return;
	setRead(context.store, peer, position);
	onRead(context, peer, position, context.environment.nowMs());
	share(context, { case: "read", value: { conversation: peer, upTo: position } });
	if (!context.connection(peer).welcomed || !readReceipts(context.store) || isRequest(context, peer)) return;
	context.send(peer, { case: "read", value: { $typeName: "parley.v1.Read", upTo: position } });
}

function onTyping(context: Context, peer: string, { account, started }: PeerTyping): void {
	if (account.length !== 16) return;
	const who = uuidFromBytes(account);
	if (!isShown(context, peer, "typing")) return;
	if (isGroup(peer) || who === peer) context.notify({ type: "typing", peer, account: who, started });
}

/** Asks how far the members are, where the server doesn't say it by itself (rule WATERMARK-1). */
export function askWatermarks(context: Context, peer: string): void {
	if (!context.connection(peer).welcomed || findGroup(context.store, peer) === undefined) return;
	context.send(peer, { case: "watermarks", value: { $typeName: "parley.v1.WatermarksRequest" } });
}

/** Never stored, and dropped while there is no connection (rule EPHEMERAL-1). */
export function typing(context: Context, peer: string, started: boolean): void {
	if (!context.connection(peer).welcomed || !isShown(context, peer, "typing")) return;
	context.send(peer, { case: "typing", value: { $typeName: "parley.v1.Typing", started } });
}
