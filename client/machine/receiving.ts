/** From the wire to the file: entries, their order, and what can't be read. */
import { toBinary } from "@bufbuild/protobuf";
import { AttachmentSchema, type Content } from "../../protocol/gen/content_pb.js";
import type { Entry } from "../../protocol/gen/conversation_down_pb.js";
import { isUuidV7, uuidFromBytes } from "../../protocol/ids.ts";
import { acceptedPointer } from "../media/pointer.ts";
import { isAction } from "../messages/accepted.ts";
import { bodyOf, isOver, onAction, settleMessage } from "../messages/arriving.ts";
import { takeAway } from "../messages/expiry.ts";
import { acceptPeer, isRequest } from "../messages/requests.ts";
import { onProfile } from "../profile/sharing.ts";
import { usernameOrNothing } from "../signal/username.ts";
import { findAction } from "../store/actions.ts";
import { claimName } from "../store/contacts.ts";
import { advanceCursor, conversation } from "../store/conversations.ts";
import { isGone, whatWaits } from "../store/details.ts";
import {
	addMessage,
	fillPlaceholder,
	findMessage,
	type MessageRow,
	type NewMessage,
	removeMessage,
	setUnderKey,
	toStoredMessage,
} from "../store/messages.ts";
import { parseContent, timeMs } from "./content.ts";
import type { Context } from "./context.ts";
import { unacceptedKey } from "./identity.ts";
import type { MessageStatus } from "./interface.ts";
import { inItsPlace, isAskedFor } from "./missed.ts";
import { answerRetries, noteReadable, requestRetry } from "./retry.ts";
import { isPlausible } from "./rewind.ts";
import { statusOf } from "./sending.ts";
import { onSync } from "./sync.ts";

/** Stores an entry and moves the cursor. What is at or below the cursor is a repeat (rule DELIVERED-1). */
export async function onEntry(context: Context, peer: string, entry: Entry): Promise<void> {
	const { cursor } = conversation(context.store, peer);
	if (entry.number <= cursor || !isPlausible(context, peer, entry.number)) return;
	const account = entry.senderAccount.length === 16 ? uuidFromBytes(entry.senderAccount) : "";
	// The server may not bring a stranger into a conversation of two.
	if (account === peer || account === context.account.accountId) await openEntry(context, peer, account, entry);
	moveCursor(context, peer, entry.number);
}

async function openEntry(context: Context, peer: string, account: string, entry: Entry): Promise<void> {
	const device = entry.senderDevice;
	if (device < 1 || device > 127 || !isUuidV7(entry.messageId)) return;
	const opened = await context.cipher.open(account, device, entry.kind, entry.ciphertext);
	switch (opened.type) {
		case "repeated":
			// What is here already came again. A new entry under old keys is of a device whose file went back (rule RETRY-2).
			if (!isKnown(context, account, uuidFromBytes(entry.messageId))) askAgain(context, peer, account, entry);
			return;
		case "undecryptable":
			askAgain(context, peer, account, entry);
			return;
		case "plaintext": {
			const content = parseContent(opened.plaintext, context.conversationId(peer));
			if (context.failing.delete(`${account}.${device}`)) noteReadable(context, `${account}.${device}`);
			if (content === "misplaced") {
				context.notify({ type: "refused", peer, code: "WRONG_CONVERSATION", messageId: undefined });
			}
			// Asking again would bring the same.
			if (content === undefined || content === "misplaced") addPlaceholder(context, peer, account, entry);
			else onContent(context, peer, account, entry, content, unacceptedKey(context, account, opened.identityKey));
			return;
		}
	}
}

/** Whether a message, or something done with one, is here under this id. */
export function isKnown({ store }: Context, account: string, id: string): boolean {
	const message = findMessage(store, account, id) ?? findAction(store, account, id);
	return message !== undefined || isGone(store, account, id);
}

/** An entry that can't be read: a placeholder, a new session, and a request to its sender (rule RETRY-1). */
function askAgain(context: Context, peer: string, account: string, entry: Entry): void {
	const device = entry.senderDevice;
	// The next message, ours included, begins a new session.
	context.cipher.sessions.archive(account, device);
	context.connection(peer).claimed.delete(account);
	context.failing.add(`${account}.${device}`);
	addPlaceholder(context, peer, account, entry);
	// Asking would tell a stranger that the message has come.
	if (!isRequest(context, peer)) requestRetry(context, peer, `${account}.${device}`, entry.messageId);
}

/** What a decrypted content does here. `underKey`: the changed and not accepted identity key that it came under. */
export function onContent(
	context: Context,
	peer: string,
	account: string,
	arrived: Entry,
	content: Content,
	underKey: Uint8Array<ArrayBuffer> | null,
): void {
	const id = uuidFromBytes(content.messageId);
	const entry = inItsPlace(context, peer, account, id, arrived);
	if (isAction(content)) {
		if (account === context.account.accountId) acceptPeer(context, peer);
		const was = dropPlaceholder(context, peer, account, id);
		const place = { number: was?.number ?? entry.number, timeMs: was?.server_time_ms ?? timeMs(entry.serverTimeMs) };
		onAction(context, peer, account, place, content);
		return;
	}
	switch (content.kind.case) {
		case "text":
		case "attachment":
		case "poll": {
			const body = bodyOf(content);
			const pointer = content.kind.case === "attachment" ? acceptedPointer(content.kind.value) : undefined;
			if (body === undefined || (content.kind.case === "attachment" && pointer === undefined)) {
				// Asking again would bring the same.
				addPlaceholder(context, peer, account, entry);
				return;
			}
			const outgoing = account === context.account.accountId;
			if (outgoing) acceptPeer(context, peer);
			if (!outgoing) noteName(context, account, content.senderName);
			const message: NewMessage = {
				peer,
				sender: account,
				sender_device: entry.senderDevice,
				id,
				outgoing: outgoing ? 1 : 0,
				number: entry.number,
				body,
				attachment: pointer === undefined ? null : toBinary(AttachmentSchema, pointer),
				sent_at_ms: timeMs(content.sentAtMs),
				server_time_ms: timeMs(entry.serverTimeMs),
				status: outgoing ? statusHere(context, peer, entry.number) : "received",
			};
			const waits = whatWaits(context.store, account, id);
			const placed = content.expireAfterSeconds === 0 ? message : inPlace(context, message);
			if (isOver(context, placed, content, waits)) {
				// So that another resend does not come as something new.
				takeAway(context, { author: account, id });
				return;
			}
			const isNew = addMessage(context.store, message);
			const stored = isNew ? message : fillWith(context, message);
			if (stored === undefined) return;
			if (underKey !== null) setUnderKey(context.store, account, id, underKey);
			const changed = settleMessage(context, stored, content, waits);
			const row = changed ? findMessage(context.store, account, id) : undefined;
			const shown = toStoredMessage(row ?? { ...stored, under_key: underKey });
			context.notify({ type: isNew ? "message" : "message-changed", message: shown });
			return;
		}
		case "sync":
			dropPlaceholder(context, peer, account, id);
			if (account === context.account.accountId && peer === account)
				onSync(context, entry.senderDevice, content.kind.value);
			return;
		case "retryRequest":
			dropPlaceholder(context, peer, account, id);
			answerRetries(context, peer, account, entry.senderDevice, content.kind.value.messageIds);
			return;
		case "profile":
			dropPlaceholder(context, peer, account, id);
			// Whose a new key is, nobody has said yet.
			if (underKey === null) onProfile(context, peer, account, id, content.kind.value);
			return;
		case "senderKey":
			// Of groups; in a conversation of two it means nothing.
			return;
		case undefined:
			// For another device, of a kind that a later version knows, or instead of a resend that was lost.
			dropPlaceholder(context, peer, account, id);
			return;
	}
}

/** The message that could not be read, if the id is one's. */
function findPlaceholder(context: Context, peer: string, account: string, id: string): MessageRow | undefined {
	const known = findMessage(context.store, account, id);
	return known?.status === "undecryptable" && known.peer === peer ? known : undefined;
}

/** Whether the content takes the place of one that could not be read, or that was here before. */
export function isAwaited(context: Context, peer: string, account: string, content: Content): boolean {
	const id = uuidFromBytes(content.messageId);
	return findPlaceholder(context, peer, account, id) !== undefined || isAskedFor(context, peer, account, id);
}

/** A resent message takes the place of its placeholder (rule RETRY-1); undefined where there is none. */
function fillWith(context: Context, message: NewMessage): NewMessage | undefined {
	const known = findPlaceholder(context, message.peer, message.sender, message.id);
	if (known === undefined) return undefined;
	const filled = inPlaceOf(context, known, message);
	fillPlaceholder(context.store, known.row, filled);
	return filled;
}

/** A message as it stands where its placeholder is, if it has one. */
function inPlace(context: Context, message: NewMessage): NewMessage {
	const known = findPlaceholder(context, message.peer, message.sender, message.id);
	return known === undefined ? message : inPlaceOf(context, known, message);
}

function inPlaceOf(context: Context, { number, server_time_ms }: MessageRow, message: NewMessage): NewMessage {
	const status = message.outgoing === 1 ? statusHere(context, message.peer, number ?? 0) : message.status;
	return { ...message, number, server_time_ms, status };
}

/** What could not be read was no message. Returns its place. */
function dropPlaceholder(context: Context, peer: string, account: string, id: string): MessageRow | undefined {
	const placeholder = findPlaceholder(context, peer, account, id);
	if (placeholder === undefined) return undefined;
	removeMessage(context.store, placeholder.row);
	context.notify({ type: "message-removed", peer, id, sender: account });
	return placeholder;
}

/** How far an entry of another own device has come, by what the peer has said so far. */
function statusHere(context: Context, peer: string, number: number): MessageStatus {
	const { peer_delivered, peer_read } = conversation(context.store, peer);
	return statusOf(number, peer_delivered, peer_read);
}

/** Keeps what a stranger goes by, for the SDK to check; a contact has a name already. */
export function noteName(context: Context, account: string, text: string): void {
	const name = usernameOrNothing(text);
	if (name === undefined || context.claimedNames.get(account) === name) return;
	context.claimedNames.set(account, name);
	claimName(context.store, account, name);
}

/** Something that can't be read: shown until it is sent again (rule RETRY-1). */
export function addPlaceholder(context: Context, peer: string, account: string, entry: Entry): void {
	const serverTimeMs = timeMs(entry.serverTimeMs);
	const message: NewMessage = {
		peer,
		sender: account,
		sender_device: entry.senderDevice,
		id: uuidFromBytes(entry.messageId),
		outgoing: account === context.account.accountId ? 1 : 0,
		number: entry.number,
		body: null,
		attachment: null,
		sent_at_ms: serverTimeMs,
		server_time_ms: serverTimeMs,
		status: "undecryptable",
	};
	if (addMessage(context.store, message)) context.notify({ type: "message", message: toStoredMessage(message) });
}

/** Everything up to `to` is stored. */
export function moveCursor(context: Context, peer: string, to: number): void {
	advanceCursor(context.store, peer, to);
	context.connection(peer).foreign = true;
	context.touched.add(peer);
}
