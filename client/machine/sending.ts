/** From the outbox to the wire: encryption, the window, and answers of the server. */
import { create, fromBinary } from "@bufbuild/protobuf";
import { type DeviceAddress, DeviceAddressSchema, type Envelope, EnvelopeKind } from "../../protocol/gen/common_pb.js";
import type { Accepted } from "../../protocol/gen/conversation_down_pb.js";
import { type ConversationUp, ConversationUpSchema, type Send } from "../../protocol/gen/conversation_up_pb.js";
import { uuidFromBytes, uuidToBytes } from "../../protocol/ids.ts";
import { onActionAccepted, onActionFailed, onOwnAccepted, sendMessage } from "../messages/doing.ts";
import { acceptPeer } from "../messages/requests.ts";
import { offerProfile } from "../profile/sharing.ts";
import { setActionAddressed } from "../store/actions.ts";
import { addOwnNumber, advanceCursor, conversation, type RosterDevice, rosterDevices } from "../store/conversations.ts";
import {
	addMessage,
	findMessage,
	type NewMessage,
	setAccepted,
	setAddressed,
	setFailed,
	toStoredMessage,
} from "../store/messages.ts";
import {
	countAttempt,
	encryptedOutbox,
	enqueueEncryptedText,
	enqueueText,
	type OutboxRow,
	removeAccepted,
	removeOutbox,
	setFrame,
	waitingOutbox,
} from "../store/outbox.ts";
import { timerOf } from "../store/standings.ts";
import { emptyContent, plaintextOf, timeMs } from "./content.ts";
import type { Connection, Context } from "./context.ts";
import { isBlocked } from "./identity.ts";
import type { MessageStatus } from "./interface.ts";
import { isPlausible } from "./rewind.ts";
import { sendBytes, textBytes } from "./wire.ts";

/** Frames of one conversation that are sent and not answered. */
export const WINDOW = 128;
/** How often one message is encrypted anew for a changed roster before it counts as failed. */
export const ATTEMPTS = 8;

/** What a device gets for which libsignal can't encrypt. */
const UNREADABLE = { kind: EnvelopeKind.SESSION, ciphertext: new Uint8Array(1) };

/** Takes a text into the step, whose end stores it (rule CLIENT-2). The same id twice is one message. */
export function sendText(context: Context, event: { id: string; peer: string; body: string }): void {
	const { id, peer, body } = event;
	acceptPeer(context, peer);
	offerProfile(context, peer);
	if (timerOf(context.store, peer) > 0) {
		sendMessage(context, { id, peer, draft: { body } });
		return;
	}
	const message: NewMessage = {
		peer,
		sender: context.account.accountId,
		sender_device: context.account.deviceId,
		id,
		outgoing: 1,
		number: null,
		body,
		attachment: null,
		sent_at_ms: context.environment.nowMs(),
		server_time_ms: null,
		status: "queued",
	};
	conversation(context.store, peer);
	const texts = context.texts.get(peer);
	if (texts === undefined) context.texts.set(peer, [message]);
	else texts.push(message);
	if (!context.connection(peer).open) context.request({ type: "open-conversation", peer });
	context.touched.add(peer);
}

/** Puts this step's texts to a peer into the outbox. Called before anything else is put there, for their order. */
export function storeTexts(context: Context, peer: string): void {
	for (const text of context.texts.get(peer) ?? []) {
		if (addMessage(context.store, text)) enqueueText(context.store, text.id, peer);
	}
	context.texts.delete(peer);
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
	request(context, row, fromBinary(ConversationUpSchema, frame), frame);
}

function request(context: Context, { id, peer }: Sendable, frame: ConversationUp, bytes: Uint8Array): void {
	context.connection(peer).inFlight.add(id);
	context.request({ type: "send-frame", peer, frame, bytes });
}

type Sendable = Pick<OutboxRow, "id" | "peer">;

/** Stores this step's texts, and encrypts and sends as much of the outbox and of them as may go now, in order. */
export async function pump(context: Context, peer: string): Promise<void> {
	const connection = context.connection(peer);
	const room = roomToSend(context, connection, peer);
	if (room > 0 && !connection.deserted) await pumpInto(context, connection, peer, room);
	storeTexts(context, peer);
	if (room === 0 || !connection.deserted) return;
	for (const row of waitingOutbox(context.store, peer, room)) failMessage(context, row, "MEMBER_GONE");
}

/** How many messages may be encrypted for a conversation now. */
function roomToSend(context: Context, connection: Connection, peer: string): number {
	if (!connection.welcomed || isBlocked(context, peer)) return 0;
	if (connection.held) resendEncrypted(context, peer);
	if (connection.stale && connection.inFlight.size > 0) return 0;
	connection.stale = false;
	return Math.max(0, WINDOW - connection.inFlight.size);
}

/** For whom to encrypt, in the roster's state. */
interface Target {
	devices: readonly ReadyDevice[];
	rosterVersion: number;
}

/** `address`: as its envelopes name it. */
type ReadyDevice = RosterDevice & { address: DeviceAddress };

async function pumpInto(context: Context, connection: Connection, peer: string, room: number): Promise<void> {
	const waiting = waitingOutbox(context.store, peer, room);
	const texts = context.texts.get(peer) ?? [];
	if (waiting.length + texts.length === 0) return;
	const devices = readyDevices(context, connection, peer);
	if (devices === undefined) return;
	const target = { devices, rosterVersion: conversation(context.store, peer).roster_version };
	for (const row of waiting) {
		if (row.attempts >= ATTEMPTS) failMessage(context, row, "STALE_ROSTER");
		else if (!(await encryptRow(context, row, target))) {
			// New prekeys begin new sessions; what waits goes after it, in order.
			readyDevices(context, connection, peer);
			return;
		}
	}
	for (let left = room - waiting.length; left > 0; left--) {
		const text = texts.shift();
		if (text === undefined) return;
		if (!(await encryptText(context, text, target))) {
			readyDevices(context, connection, peer);
			return;
		}
	}
}

/**
 * The devices to encrypt for; undefined while prekeys are on the way, or where the roster lists no device of the peer.
 */
function readyDevices(context: Context, connection: Connection, peer: string): ReadyDevice[] | undefined {
	const roster = rosterDevices(context.store, peer);
	const devices = roster.filter((device) => !isOwn(context, device));
	// Encrypted for nobody a message would count as accepted, and as delivered soon.
	if (!devices.some((device) => device.account === peer)) return isNote(context, peer, roster) ? [] : undefined;
	const now = context.now();
	const ready: ReadyDevice[] = [];
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
		const registrationId = session?.remoteRegistrationId() ?? device.registration_id;
		const account = uuidToBytes(device.account);
		const address = create(DeviceAddressSchema, { account, device: device.device, registrationId });
		ready.push({ ...device, registration_id: registrationId, address });
	}
	return waiting ? undefined : ready;
}

/** Whether what is written there is a note to oneself, and no other device is there to read it (rule CONVERSATION-3). */
function isNote(context: Context, peer: string, roster: readonly RosterDevice[]): boolean {
	return peer === context.account.accountId && roster.length === 1;
}

/** Asks for an account's prekeys, unless that is under way or waits after a failure. */
export function claim(context: Context, account: string): void {
	if (context.claims.has(account) || context.failedClaims.get(account)?.waiting === true) return;
	context.claims.add(account);
	context.request({ type: "claim-prekeys", account });
}

function isOwn(context: Context, device: { account: string; device: number }): boolean {
	return device.account === context.account.accountId && device.device === context.account.deviceId;
}

/** Returns false where nothing could be encrypted for the peer and the row has to wait for new sessions. */
async function encryptRow(context: Context, row: OutboxRow, target: Target): Promise<boolean> {
	const { store } = context;
	const send = await encryptSend(context, row, contentOf(context, row), target);
	if (send === undefined) {
		countAttempt(store, row.position);
		if (row.attempts + 1 < ATTEMPTS) return false;
		failMessage(context, row, "ENCRYPTION_FAILED");
		return true;
	}
	const bytes = sendBytes(send);
	setFrame(store, row.position, bytes, target.rosterVersion);
	if (row.target === null) noteAddressees(context, row.id, addressList(target.devices));
	request(context, row, upWith(send), bytes);
	return true;
}

/** Stores a text of this step together with its frame, if it is not there already. Returns as `encryptRow` does. */
async function encryptText(context: Context, text: NewMessage, target: Target): Promise<boolean> {
	const { store } = context;
	if (!addMessage(store, text, addressList(target.devices))) return true;
	const send = await encryptSend(context, { ...text, target: null }, textOf(context, text), target);
	if (send === undefined) {
		setAddressed(store, text.sender, text.id, "");
		enqueueText(store, text.id, text.peer);
		return false;
	}
	const bytes = sendBytes(send);
	enqueueEncryptedText(store, text.id, text.peer, bytes, target.rosterVersion);
	request(context, text, upWith(send), bytes);
	return true;
}

function upWith(send: Send): ConversationUp {
	return { $typeName: "parley.v1.ConversationUp", frame: { case: "send", value: send } };
}

/** A row's serialised content: a text's is made of its message. */
export function contentOf(context: Context, row: OutboxRow): Uint8Array {
	if (row.content.length > 0) return row.content;
	const message = findMessage(context.store, context.account.accountId, row.id);
	return message === undefined ? emptyContent(row.id) : textOf(context, message);
}

function textOf(context: Context, message: NewMessage): Uint8Array {
	return textBytes(message.id, message.sent_at_ms, message.body ?? "", context.account.username);
}

/** Undefined where nothing could be encrypted for the peer. */
async function encryptSend(
	context: Context,
	row: Sendable & Pick<OutboxRow, "target">,
	content: Uint8Array,
	{ devices, rosterVersion }: Target,
): Promise<Send | undefined> {
	const conversationId = context.conversationId(row.peer);
	const meant = plaintextOf(content, conversationId);
	const nothing = row.target === null ? meant : plaintextOf(emptyContent(row.id), conversationId);
	const now = context.now();
	const envelopes: Envelope[] = [];
	let sealedForPeer = devices.length === 0;
	for (const device of devices) {
		const plaintext = row.target === `${device.account}.${device.device}` ? meant : nothing;
		const cipher = await context.cipher.seal(device.account, device.device, plaintext, now);
		// Each device of the roster has to get something; this one will ask for the message (rule RETRY-1).
		const sealed = cipher ?? UNREADABLE;
		if (cipher === undefined) endSession(context, row.peer, device);
		else sealedForPeer ||= device.account === row.peer;
		const { kind, ciphertext } = sealed;
		envelopes.push({ $typeName: "parley.v1.Envelope", to: device.address, kind, ciphertext });
	}
	if (!sealedForPeer) return undefined;
	const messageId = uuidToBytes(row.id);
	return { $typeName: "parley.v1.Send", messageId, rosterVersion, envelopes, shared: new Uint8Array(0) };
}

/** For whom something was encrypted: only they may ask for it again (rule ROSTER-3). */
export function noteAddressees(context: Context, id: string, addressed: string): void {
	const { store, account } = context;
	if (!setAddressed(store, account.accountId, id, addressed)) {
		setActionAddressed(store, account.accountId, id, addressed);
	}
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
	const { store } = context;
	if (!isPlausible(context, peer, accepted.number)) return;
	const id = uuidFromBytes(accepted.messageId);
	settle(context, peer, id);
	if (!removeAccepted(store, id, peer)) return;
	const { cursor, peer_delivered, peer_read } = conversation(store, peer);
	if (accepted.number === cursor + 1) advanceCursor(store, peer, accepted.number);
	else if (accepted.number > cursor) addOwnNumber(store, peer, accepted.number);
	const message = setAccepted(store, context.account.accountId, id, {
		number: accepted.number,
		serverTimeMs: timeMs(accepted.serverTimeMs),
		status: statusOf(accepted.number, peer_delivered, peer_read),
	});
	if (message === undefined) {
		onActionAccepted(context, id, accepted.number, timeMs(accepted.serverTimeMs));
		return;
	}
	onOwnAccepted(context, id, timeMs(accepted.serverTimeMs));
	context.notify({ type: "message-changed", message: toStoredMessage(message) });
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
		setFailed(context.store, message);
		context.notify({ type: "message-changed", message: toStoredMessage({ ...message, status: "failed" }) });
	} else onActionFailed(context, row.id);
	context.notify({ type: "refused", peer: row.peer, code, messageId: row.id });
}
