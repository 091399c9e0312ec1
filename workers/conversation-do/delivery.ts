/** Entries on their way to devices (rules DELIVERED-1 to DELIVERED-3, KEPT-2, RETRY-3). */
import { create, toBinary } from "@bufbuild/protobuf";
import { type Envelope, EnvelopeKind } from "../../protocol/gen/common_pb.js";
import { type MissedEntry, MissedEntrySchema, MissedSchema } from "../../protocol/gen/conversation_down_pb.js";
import type { Send } from "../../protocol/gen/conversation_up_pb.js";
import { GroupChangeSchema } from "../../protocol/gen/group_pb.js";
import { fromHex } from "../../protocol/ids.ts";
import { LIMITS } from "../../protocol/limits.ts";
import type { Effect } from "./events.ts";
import { encode, sendOf } from "./frames.ts";
import type { Log } from "./log.ts";
import { type Device, parseSender, sameBytes } from "./roster.ts";
import type { Session } from "./sessions.ts";
import type { LogEntry } from "./store.ts";
import { type Beside, entryFrame } from "./wire.ts";

/** Rows read at once: a row has 128 KiB at most. */
const CHUNK = 32;

/** Who sent an entry. */
export interface Sender {
	key: string;
	account: Uint8Array;
	device: number;
}

/** A device's part of an entry. */
type Part = Pick<Envelope, "kind" | "ciphertext">;

/** What is the same for every device, if it is: a group's message or change. */
export function wholeOf({ shared, change }: Send): Part | undefined {
	if (shared.length > 0) return { kind: EnvelopeKind.SENDER_KEY, ciphertext: shared };
	if (change === undefined) return undefined;
	return { kind: EnvelopeKind.CHANGE, ciphertext: toBinary(GroupChangeSchema, change) };
}

/**
 * A new entry, from memory, to a session that has everything before it. Others get it from the log later. Where its
 * ciphertext is the same for everybody (`whole_bytes` long) the caller sends it to all whose answer here is yes. `beside`: the
 * sender's watermark, to be said with it.
 */
export function deliver(
	session: Session,
	entry: LogEntry,
	send: Send,
	sender: Sender,
	whole_bytes: number | undefined,
	beside: Beside | undefined,
	effects: Effect[],
): boolean {
	if (!session.state.caughtUp) return false;
	if (session.key === sender.key) {
		session.position = entry.number;
		return false;
	}
	if (!session.hasRoom()) {
		session.state = { ...session.state, caughtUp: false };
		effects.push({ type: "attach", socket: session.state });
		return false;
	}
	session.position = entry.number;
	if (whole_bytes !== undefined) {
		session.sent(entry.number, whole_bytes);
		session.beside = entry.number;
		return true;
	}
	const envelope = envelopeFor(send, session);
	if (envelope === undefined) return false;
	session.beside = entry.number;
	sendEntry(session, entry, sender, envelope, effects, beside);
	return false;
}

/** Sends from the log what the window has room for; CaughtUp at its end (rule DELIVERED-2). */
export function pump(log: Log, device: Device, session: Session, effects: Effect[]): void {
	while (session.position < log.head) {
		const rows = log.rows(session.position, CHUNK);
		for (const row of rows) {
			if (!session.hasRoom()) return;
			// A gap: wiped by age, and its row is gone.
			if (row.number > session.position + 1) missed(session, session.position + 1, row.number - 1, effects);
			session.position = row.number;
			if (row.sender === device.key) continue;
			if (row.payload === null) {
				// Neither acknowledged nor waited for: it was not for this device (rule BLOCK-1).
				if (row.number > device.cursor && row.number <= device.passed) continue;
				// What it has acknowledged it had: its file went back to an old copy (rule RETRY-3).
				missed(session, row.number, row.number, effects, row.number <= device.cursor ? row : undefined);
				continue;
			}
			const send = sendOf(row.payload);
			const envelope = send === undefined ? undefined : (wholeOf(send) ?? envelopeFor(send, session));
			if (envelope !== undefined) sendEntry(session, row, parseSender(row.sender), envelope, effects);
		}
		if (rows.length === 0) break;
	}
	session.state = { ...session.state, caughtUp: true };
	effects.push({ type: "attach", socket: session.state });
	push(session, encode({ case: "caughtUp", value: { head: log.head } }), effects);
}

/** Rule KEPT-2. Ranges that follow each other become one frame. `named`: the entry, for a device that had it. */
function missed(session: Session, from: number, to: number, effects: Effect[], named?: LogEntry): void {
	const open = session.missed;
	const goesOn = open !== undefined && effects.at(-1) === open.effect && open.value.to === from - 1;
	if (goesOn && open.value.entries.length < LIMITS.named_entries) {
		open.value.to = to;
		if (named !== undefined) open.value.entries.push(nameOf(named));
		open.effect.bytes = encode({ case: "missed", value: open.value });
		return;
	}
	const value = create(MissedSchema, { from, to, entries: named === undefined ? [] : [nameOf(named)] });
	const effect = { type: "send" as const, socket: session.state.id, bytes: encode({ case: "missed", value }) };
	session.missed = { value, effect };
	effects.push(effect);
}

function nameOf({ number, time_ms, messageId, sender }: LogEntry): MissedEntry {
	const { account, device } = parseSender(sender);
	return create(MissedEntrySchema, {
		...{ number, serverTimeMs: BigInt(time_ms), messageId: fromHex(messageId) },
		...{ senderAccount: account, senderDevice: device },
	});
}

function sendEntry(
	session: Session,
	entry: LogEntry,
	sender: { account: Uint8Array; device: number },
	envelope: Part,
	effects: Effect[],
	beside?: Beside,
): void {
	session.sent(entry.number, envelope.ciphertext.length);
	push(session, entryFrame(entry, sender, envelope, beside), effects);
}

function push(session: Session, bytes: Uint8Array, effects: Effect[]): void {
	effects.push({ type: "send", socket: session.state.id, bytes });
}

function envelopeFor(message: Send, session: Session): Envelope | undefined {
	const { device, registrationId } = session.state;
	return message.envelopes.find(
		({ to }) =>
			to !== undefined &&
			to.device === device &&
			to.registrationId === registrationId &&
			sameBytes(to.account, session.accountBytes),
	);
}
