/** What the server refuses, and how the machine repairs it. */
import { ErrorCode, type Refused, type RosterDifference } from "../../protocol/gen/common_pb.js";
import { uuidFromBytes } from "../../protocol/ids.ts";
import { isGroup } from "../groups/state.ts";
import { onWithdrawn } from "../messages/withdrawing.ts";
import { conversation, putRosterDevice, removeRosterDevice, setRosterVersion } from "../store/conversations.ts";
import { dropFrame, outboxEntry } from "../store/outbox.ts";
import { onLimited } from "./again.ts";
import type { Context } from "./context.ts";
import { onGroupRefusedFrame } from "./groups/group.ts";
import { memberDevices } from "./members.ts";
import { goBack } from "./rewind.ts";
import { failMessage, settle } from "./sending.ts";

export function onRefused(context: Context, peer: string, refused: Refused): void {
	const messageId = refused.messageId.length === 16 ? uuidFromBytes(refused.messageId) : undefined;
	const found = messageId === undefined ? undefined : outboxEntry(context.store, messageId);
	const row = found?.peer === peer ? found : undefined;
	if (isGroup(peer) && onGroupRefusedFrame(context, peer, refused, row)) return;
	switch (refused.code) {
		case ErrorCode.STALE_ROSTER:
			if (refused.difference !== undefined) applyDifference(context, peer, refused.difference);
			if (row !== undefined) {
				// Each frame in flight gets this answer of its own; until then the server may have its old bytes.
				dropFrame(context.store, row.position);
				context.connection(peer).stale = true;
				settle(context, peer, row.id);
			}
			return;
		case ErrorCode.MESSAGE_TOO_LARGE:
		case ErrorCode.MESSAGE_ID_CONFLICT:
		case ErrorCode.MESSAGE_ID_TOO_OLD:
		case ErrorCode.MEMBER_GONE:
		case ErrorCode.MALFORMED:
		case ErrorCode.FRAME_TOO_LARGE:
			if (row !== undefined) failMessage(context, row, ErrorCode[refused.code]);
			else notice(context, peer, refused.code, messageId);
			return;
		case ErrorCode.NOT_PERMITTED:
			if (row !== undefined) failMessage(context, row, ErrorCode[refused.code]);
			else onWithdrawn(context, peer, refused.messageId);
			return;
		case ErrorCode.CURSOR_BEYOND_HEAD:
			if (!goBack(context, peer, refused.limit)) notice(context, peer, refused.code, messageId);
			return;
		case ErrorCode.RATE_LIMITED:
		case ErrorCode.CONVERSATION_FULL:
			if (row === undefined) notice(context, peer, refused.code, messageId);
			else onLimited(context, peer, row.id, refused.retryAfterMs);
			return;
		case ErrorCode.UNSPECIFIED:
		case ErrorCode.UNSUPPORTED_VERSION:
		case ErrorCode.HELLO_EXPECTED:
		case ErrorCode.NOT_ON_ROSTER:
		case ErrorCode.SUPERSEDED:
		case ErrorCode.INTERNAL:
			notice(context, peer, refused.code, messageId);
			return;
	}
}

function notice(context: Context, peer: string, code: ErrorCode, messageId: string | undefined): void {
	context.notify({ type: "refused", peer, code: ErrorCode[code] ?? String(code), messageId });
}

function applyDifference(context: Context, peer: string, difference: RosterDifference): void {
	const { store, cipher } = context;
	// A late answer to a frame of before: the roster here is newer.
	if (difference.version < conversation(store, peer).roster_version) return;
	for (const device of memberDevices(context, peer, [...difference.missing, ...difference.reregistered])) {
		putRosterDevice(store, peer, device);
	}
	for (const { account, device } of memberDevices(context, peer, difference.gone)) {
		removeRosterDevice(store, peer, account, device);
		cipher.sessions.archive(account, device);
	}
	setRosterVersion(store, peer, difference.version);
	context.connection(peer).claimed.clear();
}
