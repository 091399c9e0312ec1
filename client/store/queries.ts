/** What the SDK reads beside the machine. Nothing here writes. */
import type { StoredMessage } from "../machine/interface.ts";
import type { Store } from "./database.ts";
import { findIdentity } from "./identities.ts";
import { type MessageRow, toStoredMessage } from "./messages.ts";

/** In the place of `m`: what has not disappeared by a time (rule TIMER-4). */
const STILL_THERE = `NOT EXISTS (SELECT 1 FROM details d WHERE d.sender = m.sender AND d.id = m.id
	AND d.expires_at_ms IS NOT NULL AND d.expires_at_ms <= ?)`;

/** The newest `limit` messages of a conversation, oldest first; queued ones stand at the end. */
export function history(store: Store, peer: string, limit: number, nowMs = 0): StoredMessage[] {
	const rows = store.all<MessageRow>(
		`SELECT * FROM messages m WHERE peer = ? AND ${STILL_THERE}
		 ORDER BY COALESCE(number, 4294967296) DESC, row DESC LIMIT ?`,
		[peer, nowMs, limit],
	);
	return rows.reverse().map(toStoredMessage);
}

/** Of which something is here: conversations with messages, and groups, those that were left too. */
export function conversationPeers(store: Store): string[] {
	return store
		.all<{ peer: string }>(
			`SELECT peer FROM conversations c WHERE EXISTS (SELECT 1 FROM messages m WHERE m.peer = c.peer)
			 UNION SELECT peer FROM groups WHERE version > 0`,
		)
		.map(({ peer }) => peer);
}

/** The last message of a conversation; queued ones come after those that the server has. */
export function newestMessage(store: Store, peer: string, nowMs: number): StoredMessage | undefined {
	const newest = (which: string): MessageRow | undefined =>
		store.get<MessageRow>(
			`SELECT * FROM messages m WHERE peer = ? AND ${which} AND ${STILL_THERE} ORDER BY number DESC, row DESC LIMIT 1`,
			[peer, nowMs],
		);
	const row = newest("number IS NULL") ?? newest("number IS NOT NULL");
	return row === undefined ? undefined : toStoredMessage(row);
}

/** Messages of others that the user has not read on any device. */
export function unreadCount(store: Store, peer: string, nowMs: number): number {
	const sql = `SELECT COUNT(*) AS value FROM messages m
		WHERE peer = ? AND number > ? AND outgoing = 0 AND ${STILL_THERE}`;
	return store.value<number>(sql, [peer, positions(store, peer).read, nowMs]) ?? 0;
}

/** Received and not read, and stored after the row `shown`: what came while a command ran that prints nothing. */
export function unshown(store: Store, shown: number, nowMs: number): StoredMessage[] {
	const rows = store.all<MessageRow>(
		`SELECT m.* FROM messages m JOIN conversations c ON c.peer = m.peer
		 WHERE m.row > ? AND m.outgoing = 0 AND m.number > c.read AND ${STILL_THERE} ORDER BY m.row`,
		[shown, nowMs],
	);
	return rows.map(toStoredMessage);
}

/** The last row of all messages. */
export function lastRow(store: Store): number {
	return store.value<number>("SELECT MAX(row) AS value FROM messages") ?? 0;
}

/** A message by its id; the own one, should two senders have used the same id. */
export function message(store: Store, id: string, nowMs = 0): StoredMessage | undefined {
	const row = store.get<MessageRow>(
		`SELECT * FROM messages m WHERE id = ? AND ${STILL_THERE} ORDER BY outgoing DESC LIMIT 1`,
		[id, nowMs],
	);
	return row === undefined ? undefined : toStoredMessage(row);
}

/** A message of a conversation by its author and id. */
export function messageBy(
	store: Store,
	peer: string,
	{ author, id }: { author: string; id: string },
	nowMs: number,
): StoredMessage | undefined {
	const row = store.get<MessageRow>(
		`SELECT * FROM messages m WHERE sender = ? AND id = ? AND peer = ? AND ${STILL_THERE}`,
		[author, id, peer, nowMs],
	);
	return row === undefined ? undefined : toStoredMessage(row);
}

/** The messages whose ids begin or end like this, two at most. */
export function namedMessages(store: Store, part: string, nowMs: number): StoredMessage[] {
	const rows = store.all<MessageRow>(
		`SELECT * FROM messages m WHERE (id LIKE ? OR id LIKE ?) AND ${STILL_THERE} LIMIT 2`,
		[`${part}%`, `%${part}`, nowMs],
	);
	return rows.map(toStoredMessage);
}

/** The serialised `Attachment` of a message; undefined where there is none. */
export function attachmentOf(store: Store, id: string): Uint8Array<ArrayBuffer> | undefined {
	const sql = "SELECT attachment AS value FROM messages WHERE id = ? ORDER BY outgoing DESC LIMIT 1";
	return store.value<Uint8Array<ArrayBuffer> | null>(sql, [id]) ?? undefined;
}

/** One-time prekeys that nobody has used yet, by this device's own count. */
export function prekeyCounts(store: Store): { oneTimePreKeys: number; oneTimeKyberPreKeys: number } {
	return {
		oneTimePreKeys: store.value<number>("SELECT COUNT(*) AS value FROM ec_prekeys") ?? 0,
		oneTimeKyberPreKeys: store.value<number>("SELECT COUNT(*) AS value FROM kyber_prekeys WHERE last_resort = 0") ?? 0,
	};
}

/** Peers for whom something waits: their conversations are opened after a start. */
export function conversationsWithOutbox(store: Store): string[] {
	return store
		.all<{ peer: string }>(
			`SELECT peer, MIN(position) AS first FROM (SELECT peer, position FROM outbox UNION ALL
			 SELECT peer, 9223372036854775807 FROM withdrawals UNION ALL
			 SELECT peer, 9223372036854775807 FROM standings WHERE block_due = 1) GROUP BY peer ORDER BY first`,
		)
		.map((row) => row.peer);
}

export function pendingOutboxCount(store: Store, peer: string): number {
	return store.value<number>("SELECT COUNT(*) AS value FROM outbox WHERE peer = ?", [peer]) ?? 0;
}

/** Where a conversation stands; zeros before the first entry. */
export function positions(store: Store, peer: string): { cursor: number; read: number } {
	return (
		store.get<{ cursor: number; read: number }>("SELECT cursor, read FROM conversations WHERE peer = ?", [peer]) ?? {
			cursor: 0,
			read: 0,
		}
	);
}

export type IdentityState = "unknown" | "unverified" | "verified" | "blocked";

/** What is known of a peer's identity key. `blocked`: a changed key waits for a person (rule CLIENT-3). */
export function identityState(store: Store, account: string): IdentityState {
	const row = findIdentity(store, account);
	if (row === undefined) return "unknown";
	if (row.pending_key !== null) return "blocked";
	return row.verified === 1 ? "verified" : "unverified";
}
