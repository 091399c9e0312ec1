/** What devices have stored: by frames of its own, or beside a message (rules DELIVERED-1, DELIVERED-4, KEPT-1). */
import { ErrorCode } from "../../protocol/gen/common_pb.js";
import type { Acknowledge } from "../../protocol/gen/conversation_up_pb.js";
import { pump } from "./delivery.ts";
import { tell } from "./privacy.ts";
import { deviceOf, type Room } from "./room.ts";
import type { Device } from "./roster.ts";
import type { Session } from "./sessions.ts";
import { pushesWatermarks, pushWatermark } from "./watermarks.ts";
import { type Beside, NOT_BESIDE } from "./wire.ts";

/**
 * A frame of its own: everything that others said beside their messages is completed with it. Not in a large group, where
 * a thousand devices would each write an attachment and look for what can be wiped. Answers whether `settled` is to come.
 */
export function acknowledge(room: Room, session: Session, device: Device, frame: Acknowledge): boolean {
	const { cursor, quiet } = frame;
	if (!isPossible(room, session, cursor)) return false;
	// What was said quietly may be said again aloud.
	if (cursor <= session.state.cursor && (quiet || session.state.quiet !== true)) return false;
	const told = take(room, session, device, frame);
	session.attached = false;
	const large = !pushesWatermarks(room.state);
	if (!large) settle(room);
	if (told) pushPaced(room, session, device);
	if (!session.state.caughtUp) pump(room.log, device, session, room.out.effects);
	return large || session.pushed !== "nothing";
}

/**
 * In a group one watermark of a device at once, and what comes after it in the same second at the second's end: devices
 * that acknowledge a stream of messages to each other would be more frames than the messages (rule GROUP-8).
 */
function pushPaced(room: Room, session: Session, device: Device): void {
	if (session.pushed === "nothing") pushWatermark(room, session, device);
	if (room.state.group === undefined) return;
	session.pushed = session.pushed === "nothing" ? "the newest" : "an older one";
}

/** The device's last watermark, where it is held back. */
export function pushHeld(room: Room, session: Session): void {
	const device = session.pushed === "an older one" ? deviceOf(room, session) : undefined;
	session.pushed = "nothing";
	if (device !== undefined) pushWatermark(room, session, device);
}

/** A second after something was left for it. */
export function settled(room: Room): void {
	settle(room);
	for (const session of room.sessions) pushHeld(room, session);
}

/**
 * Before the message beside which it came, whatever becomes of that. Returns what is to be said beside the message's entry,
 * for `ridden` too, which says it by itself to those who don't get the entry; undefined where nothing was acknowledged.
 */
export function ride(room: Room, session: Session, device: Device, cursor: number): Beside | undefined {
	if (cursor === 0 || !isPossible(room, session, cursor)) return undefined;
	if (cursor <= session.state.cursor && session.state.quiet !== true) return undefined;
	const told = take(room, session, device, { quiet: false, cursor });
	session.attached = false;
	return told && pushesWatermarks(room.state) ? { delivered: device.told, after: device.arrived } : NOT_BESIDE;
}

/**
 * After the message. `before`: the head before it. Rows are wiped many at once, or when nobody is there to complete it.
 * How far the devices are is kept for a hibernation by the `settled` that is to come: there is none before it.
 */
export function ridden(room: Room, session: Session, device: Device, beside: Beside, before: number): void {
	if (beside.delivered > 0) pushWatermark(room, session, device, before);
	const { log } = room;
	const heard = log.head > before && isHeard(room, session);
	if (!heard) settle(room);
	else if (log.due >= RIDDEN_ENTRIES) log.settle();
	if (!session.state.caughtUp) pump(log, device, session, room.out.effects);
}

/** Whether another device has been sent the newest entry. */
function isHeard({ log, sessions }: Room, session: Session): boolean {
	for (const other of sessions) if (other !== session && other.position === log.head) return true;
	return false;
}

/** Wipes what was left for later, and keeps for a hibernation how far the devices are that said it beside a message. */
export function settle(room: Room): void {
	room.log.settle();
	for (const session of room.sessions) {
		if (session.attached) continue;
		session.attached = true;
		room.out.effects.push({ type: "attach", socket: session.state });
	}
}

/** Entries whose ciphertexts may stay although all devices have them, while another one is there that has something to say. */
const RIDDEN_ENTRIES = 16;

function isPossible(room: Room, session: Session, cursor: number): boolean {
	const { head } = room.log;
	if (cursor <= head) return true;
	room.out.refuse(session, ErrorCode.CURSOR_BEYOND_HEAD, { limit: head });
	return false;
}

/** Says whether others are to hear of it. */
function take(
	room: Room,
	session: Session,
	device: Device,
	{ cursor, quiet }: Omit<Acknowledge, "$typeName">,
): boolean {
	session.state = { ...session.state, cursor: Math.max(cursor, session.state.cursor), quiet };
	session.arrived(cursor);
	if (session.position < cursor) session.position = cursor;
	if (cursor > device.cursor) room.log.acknowledged(device, cursor);
	return tell(room.state, device, cursor, quiet);
}
