/** From a message to an entry of the log that is on its way to everybody (rules ONCE-1, ROSTER-1, GROUP-1). */
import { ErrorCode } from "../../protocol/gen/common_pb.js";
import type { Send } from "../../protocol/gen/conversation_up_pb.js";
import { toHex } from "../../protocol/ids.ts";
import { deliver, wholeOf } from "./delivery.ts";
import { encode } from "./frames.ts";
import { checksumOf } from "./once.ts";
import { RETRY_AFTER_MS } from "./pace.ts";
import { blockersOf, payloadOf, withoutThem } from "./privacy.ts";
import type { Room } from "./room.ts";
import type { Device, Roster } from "./roster.ts";
import type { Session } from "./sessions.ts";
import type { LogEntry } from "./store.ts";
import { accepted, type Beside, entryFrame } from "./wire.ts";

/** When a sender looks again whether others have fetched what waits. */
const FULL_MS = 60_000;

/** A frame that is refused leaves nothing behind (rule REFUSED-1). */
export function send(
	room: Room,
	session: Session,
	device: Device,
	message: Send,
	payload: Uint8Array,
	beside: Beside | undefined,
	now_ms: number,
): void {
	const { state, log, out } = room;
	const { roster } = state;
	if (roster === undefined) return;
	const { messageId } = message;
	const id = toHex(messageId);
	const checksum = checksumOf(message);
	// Before the roster: a repetition is answered whatever the roster is by now (rule ONCE-1).
	const known = log.once.look(id, device.key, checksum, log.head, session.pace);
	switch (known.is) {
		case "repeated":
			out.push(session, accepted(known.entry));
			return;
		case "conflict":
			out.refuse(session, ErrorCode.MESSAGE_ID_CONFLICT, { messageId, limit: known.entry.number });
			return;
		case "forgotten":
			out.refuse(session, ErrorCode.MESSAGE_ID_TOO_OLD, { messageId });
			return;
		case "costly":
			out.refuse(session, ErrorCode.RATE_LIMITED, { messageId, retryAfterMs: RETRY_AFTER_MS });
			return;
		case "new":
			break;
		default:
			known satisfies never;
	}
	if (
		!(state.group === undefined
			? fitsPair(room, roster, session, device, message)
			: fitsGroup(room, roster, session, device, message))
	)
		return;
	const limit = room.shares.against(device.account, payload.length, now_ms);
	if (limit !== undefined) {
		out.refuse(session, ErrorCode.CONVERSATION_FULL, { messageId, limit, retryAfterMs: FULL_MS });
		return;
	}
	// Nobody else is there to read it (rule KEPT-1).
	const alone = roster.devices.length === 1;
	const empty = message.envelopes.length === 0 && (message.shared.length === 0 || alone);
	const blockers = blockersOf(state, device.account);
	const kept = blockers === undefined ? message : withoutThem(message, blockers);
	const bytes = blockers === undefined ? payload : payloadOf(kept);
	const entry = log.append(device.key, id, checksum, empty ? null : bytes, now_ms);
	if (blockers !== undefined) log.passOver(entry.number, blockers);
	out.push(session, accepted(entry));
	push(room, entry, device, kept, beside, now_ms);
}

/** A new entry to everybody who is here; who is not gets its nudge. */
export function push(
	room: Room,
	entry: LogEntry,
	sender: { key: string; accountBytes: Uint8Array; device: number },
	message: Send,
	beside: Beside | undefined,
	now_ms: number,
): void {
	const from = { key: sender.key, account: sender.accountBytes, device: sender.device };
	const whole = wholeOf(message);
	// What is the same for everybody is encoded once.
	const frame =
		whole === undefined ? undefined : { bytes: entryFrame(entry, from, whole, beside), size: whole.ciphertext.length };
	const sockets: number[] = [];
	for (const session of room.sessions) {
		if (!session.state.greeted) continue;
		if (deliver(session, entry, message, from, frame?.size, beside, room.out.effects)) sockets.push(session.state.id);
	}
	if (frame !== undefined && sockets.length > 0) {
		room.out.effects.push({ type: "sendAll", sockets, bytes: frame.bytes });
	}
	room.nudges.appended(room.log.head, now_ms, room.out.effects);
}

/** Rules ROSTER-1 and ROSTER-2. */
function fitsPair({ out }: Room, roster: Roster, session: Session, device: Device, message: Send): boolean {
	const { messageId } = message;
	if (message.shared.length > 0) out.refuse(session, ErrorCode.MALFORMED, { messageId });
	else if (roster.deserted) out.refuse(session, ErrorCode.MEMBER_GONE, { messageId });
	else if (roster.fits(message, device)) return true;
	else out.refuse(session, ErrorCode.STALE_ROSTER, { messageId, difference: roster.difference(message, device) });
	return false;
}

/** Rules GROUP-1 and GROUP-3. */
function fitsGroup({ state, out }: Room, roster: Roster, session: Session, device: Device, message: Send): boolean {
	const { messageId } = message;
	const { group } = state;
	const forAll = message.shared.length > 0;
	if (forAll === message.envelopes.length > 0) out.refuse(session, ErrorCode.MALFORMED, { messageId });
	else if (forAll && group?.permits(device.account, group.json.rules.send) !== true) {
		out.refuse(session, ErrorCode.NOT_PERMITTED, { messageId });
	} else if (message.rosterVersion === roster.version && (forAll || roster.addresses(message, device))) return true;
	else {
		out.push(session, encode({ case: "roster", value: roster.frame() }));
		const difference = { version: roster.version };
		out.refuse(session, ErrorCode.STALE_ROSTER, { messageId, difference });
	}
	return false;
}
