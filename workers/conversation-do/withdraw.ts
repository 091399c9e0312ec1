/** An entry's ciphertexts are taken back by who sent it (rule DELETE-3). */
import { ErrorCode } from "../../protocol/gen/common_pb.js";
import { toHex } from "../../protocol/ids.ts";
import { encode, sendOf } from "./frames.ts";
import { RETRY_AFTER_MS } from "./pace.ts";
import type { Room } from "./room.ts";
import type { Device } from "./roster.ts";
import type { Session } from "./sessions.ts";

/** Answered in the same way where there is nothing to remove any more: the client asks until it is answered. */
export function withdraw(room: Room, session: Session, device: Device, messageId: Uint8Array): void {
	const { log, out } = room;
	const entry = log.once.find(toHex(messageId), log.head, session.pace);
	if (entry === "costly") {
		out.refuse(session, ErrorCode.RATE_LIMITED, { messageId, retryAfterMs: RETRY_AFTER_MS });
		return;
	}
	if (entry !== undefined && !mayWithdraw(room, device, entry.sender)) {
		out.refuse(session, ErrorCode.NOT_PERMITTED, { messageId });
		return;
	}
	const row = entry === undefined ? undefined : log.rows(entry.number - 1, 1)[0];
	if (row !== undefined && row.number === entry?.number && row.payload !== null) {
		// A change is part of the group's history, which is the same for all.
		if (sendOf(row.payload)?.change !== undefined) {
			out.refuse(session, ErrorCode.NOT_PERMITTED, { messageId });
			return;
		}
		if (row.payload.length > 0) log.withdraw(row.number);
	}
	out.push(session, encode({ case: "withdrawn", value: { messageId } }));
}

/** Any device of the account that sent it, and the admins of a group. */
function mayWithdraw({ state }: Room, device: Device, sender: string): boolean {
	return sender.startsWith(`${device.account}/`) || state.group?.permits(device.account, "admins") === true;
}
