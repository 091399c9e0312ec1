/** Messages of strangers are requests until the user accepts them or writes to them (rules REQUEST-1 to REQUEST-3). */
import { create } from "@bufbuild/protobuf";
import { Standing, SyncItemSchema } from "../../protocol/gen/content_pb.js";
import { uuidToBytes } from "../../protocol/ids.ts";
import { isGroup } from "../groups/state.ts";
import type { Context } from "../machine/context.ts";
import { askForMissing } from "../machine/missed.ts";
import { requestRetry } from "../machine/retry.ts";
import { dropProfile } from "../profile/sharing.ts";
import { privacySwitch, readReceipts } from "../store/account.ts";
import { conversation } from "../store/conversations.ts";
import { messagesOf } from "../store/messages.ts";
import { isAccepted, setAcceptedPeer } from "../store/standings.ts";
import { keepItem, standingThing } from "../store/synced.ts";
import type { MessageName } from "./wishes.ts";

/** Whether what comes from a peer is a request: then nobody is told that it has come or was read. */
export function isRequest(context: Context, peer: string): boolean {
	if (isGroup(peer) || peer === context.account.accountId) return false;
	const accepted = context.accepted.get(peer) ?? isAccepted(context.store, peer);
	context.accepted.set(peer, accepted);
	return !accepted && privacySwitch(context.store, "message_requests");
}

/** The user accepts the peer, or writes to them: receipts begin, and what could not be read is asked for. */
export function acceptPeer(context: Context, peer: string): void {
	if (context.accepted.get(peer) === true) return;
	const wasRequest = isRequest(context, peer);
	setAcceptedPeer(context.store, peer);
	context.accepted.set(peer, true);
	noteAccepted(context, peer);
	if (!wasRequest) return;
	const { cursor, read } = conversation(context.store, peer);
	for (const { sender, sender_device, id, status } of messagesOf(context.store, peer)) {
		if (status === "undecryptable") requestRetry(context, peer, `${sender}.${sender_device}`, uuidToBytes(id));
	}
	askForMissing(context, peer);
	if (!context.connection(peer).welcomed) return;
	if (cursor > 0) {
		context.send(peer, { case: "acknowledge", value: { $typeName: "parley.v1.Acknowledge", cursor, quiet: false } });
	}
	if (read === 0 || !readReceipts(context.store)) return;
	context.send(peer, { case: "read", value: { $typeName: "parley.v1.Read", upTo: read } });
}

/**
 * For a device that is new. Those that are there see by themselves that the user writes, and are told what was
 * accepted.
 */
function noteAccepted(context: Context, peer: string): void {
	if (isGroup(peer) || peer === context.account.accountId) return;
	const value = { conversation: peer, standing: Standing.ACCEPTED, on: true };
	const changedMs = BigInt(context.environment.nowMs());
	const item = create(SyncItemSchema, { changedMs, kind: { case: "standing", value } });
	keepItem(context.store, standingThing(peer, Standing.ACCEPTED), item, context.account.deviceId);
}

/** The user declines: what is shown of the stranger goes. Returns the messages that are to go too. */
export function deleteRequest(context: Context, peer: string): MessageName[] {
	if (!isRequest(context, peer)) return [];
	const names = messagesOf(context.store, peer).map(({ sender, id }) => ({ author: sender, id }));
	dropProfile(context, peer);
	return names;
}
