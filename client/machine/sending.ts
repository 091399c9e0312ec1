/** From the outbox to the wire: encryption, the window, and answers of the server. */
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { type Envelope, EnvelopeKind, EnvelopeSchema } from "../../protocol/gen/common_pb.js";
import type { Accepted } from "../../protocol/gen/conversation_down_pb.js";
import { ConversationUpSchema } from "../../protocol/gen/conversation_up_pb.js";
import { uuidFromBytes, uuidToBytes } from "../../protocol/ids.ts";
import { addOwnNumber, advanceCursor, conversation, type RosterDevice, rosterDevices } from "../store/conversations.ts";
import { addMessage, findMessage, setAccepted, setAddressed, setStatus, toStoredMessage } from "../store/messages.ts";
import {
	countAttempt,
	encryptedOutbox,
	enqueue,
	type OutboxRow,
	outboxEntry,
	removeOutbox,
	setFrame,
	waitingOutbox,
} from "../store/outbox.ts";
import { emptyContent, plaintextOf, textContent } from "./content.ts";
import type { Connection, Context } from "./context.ts";
import { isBlocked } from "./identity.ts";
import type { MessageStatus } from "./interface.ts";
import { isPlausible } from "./rewind.ts";

/** Frames of one conversation that are sent and not answered. */
const WINDOW = 32;
/** How often one message is encrypted anew for a changed roster before it counts as failed. */
const ATTEMPTS = 8;

/** What a device gets for which libsignal can't encrypt. */
const UNREADABLE = { kind: EnvelopeKind.SESSION, ciphertext: new Uint8Array(1) };

/** Writes a text into the outbox (rule CLIENT-2). The same id twice is one message. */
export function sendText(context: Context, event: { id: string; peer: string; body: string }): void {
	const sentAtMs = context.environment.nowMs();
	const message = {
		peer: event.peer,
		sender: context.account.accountId,
		sender_device: context.account.deviceId,
		id: event.id,
		outgoing: 1,
		number: null,
		body: event.body,
		attachment: null,
		sent_at_ms: sentAtMs,
		server_time_ms: null,
		status: "queued" as const,
	};
	conversation(context.store, event.peer);
	if (addMessage(context.store, message)) {
		enqueue(
			context.store,
			event.id,
			event.peer,
			textContent(event.id, sentAtMs, event.body, context.account.username),
			null,
		);
	}
	if (!context.connection(event.peer).open) context.request({ type: "open-conversation", peer: event.peer });
	context.touched.add(event.peer);
}

/** Sends what is encrypted already, with the same bytes: it may have been accepted before (rules ONCE-1, CLIENT-1). */
export function resendEncrypted(context: Context, peer: string): void {
	const connection = context.connection(peer);
	connection.held = isBlocked(context, peer);
	if (connection.held) return;
	for (const row of encryptedOutbox(context.store, peer)) transmit(context, row, row.frame);
}

/** Sends again what was refused for its rate. */
export function resendLimited(context: Context, peer: string): void {
	const connection = context.connection(peer);
	if (!connection.welcomed || connection.limited.size === 0 || isBlocked(context, peer)) return;
	for (const row of encryptedOutbox(context.store, peer)) {
		if (connection.limited.has(row.id)) transmit(context, row, row.frame);
	}
	connection.limited.clear();
}

function transmit(context: Context, row: OutboxRow, frame: Uint8Array | null): void {
	if (frame === null) return;
	context.connection(row.peer).inFlight.add(row.id);
	context.request({ type: "send-frame", peer: row.peer, frame: fromBinary(ConversationUpSchema, frame) });
}

/** Encrypts and sends as much of the outbox as may go now. */
export async function pump(context: Context, peer: string): Promise<void> {
	const connection = context.connection(peer);
	if (!connection.welcomed || isBlocked(context, peer)) return;
	if (connection.held) resendEncrypted(context, peer);
	if (connection.stale && connection.inFlight.size > 0) return;
	connection.stale = false;
	const room = WINDOW - connection.inFlight.size;
	if (room <= 0) return;
	const waiting = waitingOutbox(context.store, peer, room);
	if (waiting.length === 0) return;
	if (connection.deserted) {
		for (const row of waiting) failMessage(context, row, "MEMBER_GONE");
		return;
	}
	const devices = readyDevices(context, connection, peer);
	if (devices === undefined) return;
	const version = conversation(context.store, peer).roster_version;
	for (const row of waiting) {
		if (row.attempts >= ATTEMPTS) failMessage(context, row, "STALE_ROSTER");
		else if (!(await encryptRow(context, row, devices, version))) {
			// New prekeys begin new sessions; what waits goes after it, in order.
			readyDevices(context, connection, peer);
			return;
		}
	}
}

/** The devices to encrypt for; undefined while prekeys are on the way, or where the roster lists no device of the peer. */
function readyDevices(context: Context, connection: Connection, peer: string): RosterDevice[] | undefined {
	const devices = rosterDevices(context.store, peer).filter((device) => !isOwn(context, device));
	// Encrypted for nobody a message would count as accepted, and as delivered soon.
	if (!devices.some((device) => device.account === peer)) return undefined;
	const now = context.now();
	const ready: RosterDevice[] = [];
	let waiting = false;
	for (const device of devices) {
		const session = context.cipher.currentSession(device.account, device.device, now);
		const fits = session !== undefined && session.remoteRegistrationId() === device.registration_id;
		if (!fits && !connection.claimed.has(device.account)) {
			waiting = true;
			claim(context, device.account);
			continue;
		}
		// After a claim the server's word on the device stands, be it another installation than on this roster.
		ready.push({ ...device, registration_id: session?.remoteRegistrationId() ?? device.registration_id });
	}
	return waiting ? undefined : ready;
}

function claim(context: Context, account: string): void {
	if (context.claims.has(account) || context.failedClaims.get(account)?.waiting === true) return;
	context.claims.add(account);
	context.request({ type: "claim-prekeys", account });
}

function isOwn(context: Context, device: { account: string; device: number }): boolean {
	return device.account === context.account.accountId && device.device === context.account.deviceId;
}

/** Returns false where nothing could be encrypted for the peer and the row has to wait for new sessions. */
async function encryptRow(
	context: Context,
	row: OutboxRow,
	devices: readonly RosterDevice[],
	version: number,
): Promise<boolean> {
	const conversationId = context.conversationId(row.peer);
	const content = plaintextOf(row.content, conversationId);
	const nothing = row.target === null ? content : plaintextOf(emptyContent(row.id), conversationId);
	const now = context.now();
	const envelopes: Envelope[] = [];
	let sealedForPeer = false;
	for (const device of devices) {
		const meant = row.target === null || row.target === `${device.account}.${device.device}`;
		const cipher = await context.cipher.seal(device.account, device.device, meant ? content : nothing, now);
		// Each device of the roster has to get something; this one will ask for the message (rule RETRY-1).
		const sealed = cipher ?? UNREADABLE;
		if (cipher === undefined) endSession(context, row.peer, device);
		else sealedForPeer ||= device.account === row.peer;
		const to = {
			account: uuidToBytes(device.account),
			device: device.device,
			registrationId: device.registration_id,
		};
		envelopes.push(create(EnvelopeSchema, { to, kind: sealed.kind, ciphertext: sealed.ciphertext }));
	}
	if (!sealedForPeer) {
		countAttempt(context.store, row.position);
		if (row.attempts + 1 < ATTEMPTS) return false;
		failMessage(context, row, "ENCRYPTION_FAILED");
		return true;
	}
	const frame = create(ConversationUpSchema, {
		frame: {
			case: "send",
			value: { $typeName: "parley.v1.Send", messageId: uuidToBytes(row.id), rosterVersion: version, envelopes },
		},
	});
	setFrame(context.store, row.position, toBinary(ConversationUpSchema, frame), version);
	if (row.target === null) setAddressed(context.store, context.account.accountId, row.id, addressList(devices));
	context.connection(row.peer).inFlight.add(row.id);
	context.request({ type: "send-frame", peer: row.peer, frame });
	return true;
}

/** A session with which libsignal can't encrypt is replaced before the next message. */
function endSession(context: Context, peer: string, { account, device }: RosterDevice): void {
	context.cipher.sessions.archive(account, device);
	context.connection(peer).claimed.delete(account);
}

/** `account.device.registration` of each, between spaces. */
function addressList(devices: readonly RosterDevice[]): string {
	return devices.map((device) => `${device.account}.${device.device}.${device.registration_id}`).join(" ");
}

/** The server has the entry. Repetitions change nothing. */
export function onAccepted(context: Context, peer: string, accepted: Accepted): void {
	if (!isPlausible(context, peer, accepted.number)) return;
	const id = uuidFromBytes(accepted.messageId);
	const row = outboxEntry(context.store, id);
	settle(context, peer, id);
	if (row === undefined || row.peer !== peer) return;
	removeOutbox(context.store, row.position);
	const state = conversation(context.store, peer);
	if (accepted.number === state.cursor + 1) advanceCursor(context.store, peer, state.cursor, accepted.number);
	else if (accepted.number > state.cursor) {
		addOwnNumber(context.store, peer, accepted.number);
	}
	const message = findMessage(context.store, context.account.accountId, id);
	if (message === undefined) return;
	const status = statusOf(accepted.number, state.peer_delivered, state.peer_read);
	const serverTimeMs = Number(accepted.serverTimeMs);
	setAccepted(context.store, message.row, accepted.number, serverTimeMs, status);
	context.notify({
		type: "message-changed",
		message: toStoredMessage({ ...message, number: accepted.number, server_time_ms: serverTimeMs, status }),
	});
}

/** How far an own message has come, by the peer's watermarks (rule WATERMARK-1). */
export function statusOf(number: number, delivered: number, read: number): MessageStatus {
	if (number <= read) return "read";
	return number <= delivered ? "delivered" : "sent";
}

/** A send was answered: there is room for another. */
export function settle(context: Context, peer: string, id: string): void {
	const connection = context.connection(peer);
	connection.inFlight.delete(id);
	connection.limited.delete(id);
	context.touched.add(peer);
}

/** Gives a message up, visibly. */
export function failMessage(context: Context, row: OutboxRow, code: string): void {
	removeOutbox(context.store, row.position);
	settle(context, row.peer, row.id);
	const message = findMessage(context.store, context.account.accountId, row.id);
	if (message !== undefined) {
		setStatus(context.store, message.row, "failed");
		context.notify({ type: "message-changed", message: toStoredMessage({ ...message, status: "failed" }) });
	}
	context.notify({ type: "refused", peer: row.peer, code, messageId: row.id });
}
