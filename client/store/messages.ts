/** Messages as they are kept, and as programs see them. */
import { fromBinary } from "@bufbuild/protobuf";
import { AttachmentSchema } from "../../protocol/gen/content_pb.js";
import type { MessageStatus, StoredMessage } from "../machine/interface.ts";
import { storedFile } from "../media/pointer.ts";
import type { Store } from "./database.ts";

export type MessageRow = {
	row: number;
	peer: string;
	sender: string;
	sender_device: number;
	id: string;
	outgoing: number;
	number: number | null;
	body: string | null;
	sent_at_ms: number;
	server_time_ms: number | null;
	status: MessageStatus;
	/** For whom it was encrypted, as `account.device.registration` between spaces: only they may ask for it again. */
	addressed: string | null;
	/** Serialised `Attachment`. */
	attachment: Uint8Array<ArrayBuffer> | null;
	/** The changed identity key that it came under, until somebody accepts that key. */
	under_key: Uint8Array<ArrayBuffer> | null;
};

export type NewMessage = Omit<MessageRow, "row" | "addressed" | "under_key">;

export function toStoredMessage(row: NewMessage & Partial<Pick<MessageRow, "under_key">>): StoredMessage {
	return {
		id: row.id,
		peer: row.peer,
		sender: row.sender,
		outgoing: row.outgoing === 1,
		// What the server never had keeps a place, which is no number of an entry.
		number: row.server_time_ms === null ? undefined : (row.number ?? undefined),
		body: row.body ?? undefined,
		sentAtMs: row.sent_at_ms,
		serverTimeMs: row.server_time_ms ?? undefined,
		status: row.status,
		underChangedKey: (row.under_key ?? null) !== null,
		file: row.attachment === null ? undefined : storedFile(fromBinary(AttachmentSchema, row.attachment)),
	};
}

/** Adds a message; `addressed` as in its row. Returns false when the sender's id is there already. */
export function addMessage(store: Store, message: NewMessage, addressed: string | null = null): boolean {
	const changes = store.run(
		`INSERT INTO messages (peer, sender, sender_device, id, outgoing, number, body, sent_at_ms, server_time_ms, status,
		 attachment, addressed) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (sender, id) DO NOTHING`,
		[
			message.peer,
			message.sender,
			message.sender_device,
			message.id,
			message.outgoing,
			message.number,
			message.body,
			message.sent_at_ms,
			message.server_time_ms,
			message.status,
			message.attachment,
			addressed,
		],
	);
	return changes > 0;
}

export function findMessage(store: Store, sender: string, id: string): MessageRow | undefined {
	return store.get<MessageRow>("SELECT * FROM messages WHERE sender = ? AND id = ?", [sender, id]);
}

/** Puts the resent message into the place of a placeholder (rule RETRY-1). */
export function fillPlaceholder(store: Store, row: number, message: NewMessage): void {
	const { body, attachment, sent_at_ms, status } = message;
	store.run("UPDATE messages SET body = ?, attachment = ?, sent_at_ms = ?, status = ? WHERE row = ?", [
		body,
		attachment,
		sent_at_ms,
		status,
		row,
	]);
}

/** The text as it is now, after an edit. */
export function setBody(store: Store, row: number, body: string): void {
	store.run("UPDATE messages SET body = ? WHERE row = ?", [body, row]);
}

/** Nothing of the message is left but its place. */
export function clearMessage(store: Store, row: number): void {
	store.run("UPDATE messages SET body = '', attachment = NULL WHERE row = ?", [row]);
}

export function setAttachment(store: Store, row: number, attachment: Uint8Array<ArrayBuffer>): void {
	store.run("UPDATE messages SET attachment = ? WHERE row = ?", [attachment, row]);
}

export function removeMessage(store: Store, row: number): void {
	store.run("DELETE FROM messages WHERE row = ?", [row]);
}

/** The server has an own message. Returns it, unless there is none of this id. */
export function setAccepted(
	store: Store,
	sender: string,
	id: string,
	accepted: { number: number; serverTimeMs: number; status: MessageStatus },
): MessageRow | undefined {
	return store.get<MessageRow>(
		"UPDATE messages SET number = ?, server_time_ms = ?, status = ? WHERE sender = ? AND id = ? RETURNING *",
		[accepted.number, accepted.serverTimeMs, accepted.status, sender, id],
	);
}

/** The message will never be sent: from now on it stands behind what was there when that was known. */
export function setFailed(store: Store, { row, peer }: Pick<MessageRow, "row" | "peer">): void {
	store.run(
		`UPDATE messages SET status = 'failed',
		 number = COALESCE(number, (SELECT MAX(number) FROM messages WHERE peer = ?), 0) WHERE row = ?`,
		[peer, row],
	);
}

/** Marks a message as come under a key that nobody has accepted. */
export function setUnderKey(store: Store, sender: string, id: string, key: Uint8Array<ArrayBuffer>): void {
	store.run("UPDATE messages SET under_key = ? WHERE sender = ? AND id = ?", [key, sender, id]);
}

/** A person has accepted the key: what came under it is the contact's own. */
export function acceptUnderKey(store: Store, sender: string, key: Uint8Array<ArrayBuffer>): void {
	store.run("UPDATE messages SET under_key = NULL WHERE peer = ? AND sender = ? AND under_key = ?", [
		sender,
		sender,
		key,
	]);
}

/** Own messages after the log's head that nobody is known to have: the server has lost them. */
export function failBeyond(store: Store, peer: string, head: number): void {
	store.run(
		"UPDATE messages SET status = 'failed' WHERE peer = ? AND number > ? AND outgoing = 1 AND status = 'sent'",
		[peer, head],
	);
}

/** For whom the message was encrypted: only they may ask for it again. Returns false where it is no message. */
export function setAddressed(store: Store, sender: string, id: string, addressed: string): boolean {
	return store.run("UPDATE messages SET addressed = ? WHERE sender = ? AND id = ?", [addressed, sender, id]) > 0;
}

/** Nobody may ask for what was sent to a peer until now. */
export function forgetAddressees(store: Store, peer: string): void {
	store.run("UPDATE messages SET addressed = NULL WHERE peer = ? AND addressed IS NOT NULL", [peer]);
	store.run("UPDATE actions SET addressed = NULL WHERE peer = ? AND addressed IS NOT NULL", [peer]);
}

/** Own messages with numbers in (after, upTo] have come so far. Returns those that had not before, in order. */
export function raiseStatus(
	store: Store,
	peer: string,
	{ after, upTo, status }: { after: number; upTo: number; status: "delivered" | "read" },
): MessageRow[] {
	const rows = store.all<MessageRow & { number: number }>(
		`UPDATE messages SET status = ? WHERE peer = ? AND number > ? AND number <= ? AND outgoing = 1
		 AND status IN ('sent', 'delivered') AND status <> ? RETURNING *`,
		[status, peer, after, upTo, status],
	);
	return rows.sort((one, other) => one.number - other.number);
}

/** All that is here of a conversation. */
export function messagesOf(store: Store, peer: string): MessageRow[] {
	return store.all<MessageRow>("SELECT * FROM messages WHERE peer = ?", [peer]);
}
