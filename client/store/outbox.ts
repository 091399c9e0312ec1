/** What waits for the server, in the order in which it is sent. */
import type { Store } from "./database.ts";

export type OutboxRow = {
	position: number;
	/** The id on the wire. */
	id: string;
	peer: string;
	/** Serialised `Content`; empty for a text, which is in `messages` under the same id. */
	content: Uint8Array<ArrayBuffer>;
	/** `account.device` of the only device that gets the content, or null for all. */
	target: string | null;
	/** The encrypted frame: once it is here, exactly these bytes are sent (rule CLIENT-1). */
	frame: Uint8Array<ArrayBuffer> | null;
	roster_version: number;
	attempts: number;
};

export function enqueue(
	store: Store,
	id: string,
	peer: string,
	content: Uint8Array<ArrayBuffer>,
	target: string | null,
): void {
	store.run("INSERT INTO outbox (id, peer, content, target) VALUES (?, ?, ?, ?)", [id, peer, content, target]);
}

/** Puts a text, whose message is stored already, at the end. */
export function enqueueText(store: Store, id: string, peer: string): void {
	store.run("INSERT INTO outbox (id, peer, content) VALUES (?, ?, x'')", [id, peer]);
}

/** As `enqueueText`, with its frame. */
export function enqueueEncryptedText(
	store: Store,
	id: string,
	peer: string,
	frame: Uint8Array<ArrayBuffer>,
	rosterVersion: number,
): void {
	store.run("INSERT INTO outbox (id, peer, content, frame, roster_version, attempts) VALUES (?, ?, x'', ?, ?, 1)", [
		id,
		peer,
		frame,
		rosterVersion,
	]);
}

export function outboxEntry(store: Store, id: string): OutboxRow | undefined {
	return store.get<OutboxRow>("SELECT * FROM outbox WHERE id = ?", [id]);
}

/**
 * Encrypted and not accepted, in order; a group's sender keys before what can't be read without them (rule GROUP-12).
 */
export function encryptedOutbox(store: Store, peer: string): OutboxRow[] {
	return store.all<OutboxRow>(
		"SELECT * FROM outbox WHERE peer = ? AND frame IS NOT NULL ORDER BY target IS NOT 'keys', position",
		[peer],
	);
}

/** Whether frames with sender keys are under way that were encrypted for another roster than this one. */
export function hasOlderKeys(store: Store, peer: string, rosterVersion: number): boolean {
	const older =
		"SELECT position FROM outbox WHERE peer = ? AND target = 'keys' AND frame IS NOT NULL AND roster_version <> ?";
	return store.get(older, [peer, rosterVersion]) !== undefined;
}

/** The next ones to encrypt, in order. */
export function waitingOutbox(store: Store, peer: string, limit: number): OutboxRow[] {
	return store.all<OutboxRow>("SELECT * FROM outbox WHERE peer = ? AND frame IS NULL ORDER BY position LIMIT ?", [
		peer,
		limit,
	]);
}

export function allOutbox(store: Store, peer: string): OutboxRow[] {
	return store.all<OutboxRow>("SELECT * FROM outbox WHERE peer = ? ORDER BY position", [peer]);
}

export function setFrame(store: Store, position: number, frame: Uint8Array<ArrayBuffer>, rosterVersion: number): void {
	store.run("UPDATE outbox SET frame = ?, roster_version = ?, attempts = attempts + 1 WHERE position = ?", [
		frame,
		rosterVersion,
		position,
	]);
}

/** An attempt that brought no frame. */
export function countAttempt(store: Store, position: number): void {
	store.run("UPDATE outbox SET attempts = attempts + 1 WHERE position = ?", [position]);
}

export function dropFrame(store: Store, position: number): void {
	store.run("UPDATE outbox SET frame = NULL WHERE position = ?", [position]);
}

/** Removes what was accepted; false when it does not wait (any more) in this conversation. */
export function removeAccepted(store: Store, id: string, peer: string): boolean {
	return store.run("DELETE FROM outbox WHERE id = ? AND peer = ?", [id, peer]) > 0;
}

export function removeOutbox(store: Store, position: number): void {
	store.run("DELETE FROM outbox WHERE position = ?", [position]);
}
