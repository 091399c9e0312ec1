/** Where each conversation stands, and the devices on its roster. */
import type { Store } from "./database.ts";
import { Remembered } from "./remembered.ts";

export type ConversationRow = {
	peer: string;
	roster_version: number;
	/** Everything up to here is stored. */
	cursor: number;
	/** How far the user has read. */
	read: number;
	peer_delivered: number;
	peer_read: number;
	/** 1 from the opening of the connection until the server has agreed to its end. */
	hot: number;
};

export type RosterDevice = { account: string; device: number; registration_id: number };

/** Rows of a step and those before it; `changed` are the ones that are not written yet. */
interface Rows {
	rows: Map<string, ConversationRow>;
	changed: Set<string>;
	/** Conversations that are known to have no row in `own_numbers`. */
	gapless: Set<string>;
}

/** Every frame asks for its conversation several times, and most move it: it is read once and written once a step. */
const ROWS = new Remembered((): Rows => ({ rows: new Map(), changed: new Set(), gapless: new Set() }));
const ROWS_MAX = 256;

/** Where a conversation stands, changes of the running step included. Begins it where there is none. */
export function conversation(store: Store, peer: string): ConversationRow {
	const { rows } = ROWS.of(store);
	const known = rows.get(peer);
	if (known !== undefined) return known;
	let row = store.get<ConversationRow>("SELECT * FROM conversations WHERE peer = ?", [peer]);
	if (row === undefined) {
		store.run("INSERT INTO conversations (peer) VALUES (?)", [peer]);
		row = { peer, roster_version: 0, cursor: 0, read: 0, peer_delivered: 0, peer_read: 0, hot: 0 };
	}
	rows.set(peer, row);
	return row;
}

function change(store: Store, peer: string, values: Partial<ConversationRow>): void {
	const row = { ...conversation(store, peer), ...values };
	const { rows, changed } = ROWS.of(store);
	rows.set(peer, row);
	changed.add(peer);
}

/** Writes what the step has changed. Called before its commit (rule CLIENT-1). */
export function flushConversations(store: Store): void {
	const { rows, changed, gapless } = ROWS.of(store);
	for (const peer of changed) {
		const { roster_version, cursor, read, peer_delivered, peer_read, hot } = conversation(store, peer);
		store.run(
			`UPDATE conversations SET roster_version = ?, cursor = ?, read = ?, peer_delivered = ?, peer_read = ?, hot = ?
			 WHERE peer = ?`,
			[roster_version, cursor, read, peer_delivered, peer_read, hot, peer],
		);
	}
	changed.clear();
	if (rows.size <= ROWS_MAX) return;
	rows.clear();
	gapless.clear();
}

/** Notes that the server may count this device as connected, or that it no longer does (rule NUDGE-3). */
export function setHot(store: Store, peer: string, hot: boolean): void {
	change(store, peer, { hot: hot ? 1 : 0 });
}

export function hotConversations(store: Store): string[] {
	flushConversations(store);
	return store.all<{ peer: string }>("SELECT peer FROM conversations WHERE hot = 1").map(({ peer }) => peer);
}

/** Conversations of which something is read, and how far. */
export function readPositions(store: Store): { peer: string; read: number }[] {
	flushConversations(store);
	return store.all<{ peer: string; read: number }>("SELECT peer, read FROM conversations WHERE read > 0 ORDER BY peer");
}

/** Whether any roster that is known lists another device of the account. */
export function knowsOwnDevices(store: Store, own: { accountId: string; deviceId: number }): boolean {
	const sql = "SELECT 1 AS value FROM roster_devices WHERE account = ? AND device <> ? LIMIT 1";
	return store.value<number>(sql, [own.accountId, own.deviceId]) !== undefined;
}

export function setRead(store: Store, peer: string, read: number): void {
	change(store, peer, { read: Math.max(conversation(store, peer).read, read) });
}

export function setPeerWatermarks(store: Store, peer: string, delivered: number, read: number): void {
	change(store, peer, { peer_delivered: delivered, peer_read: read });
}

export function rosterDevices(store: Store, peer: string): RosterDevice[] {
	return store.all<RosterDevice>(
		"SELECT account, device, registration_id FROM roster_devices WHERE peer = ? ORDER BY account, device",
		[peer],
	);
}

export function replaceRoster(store: Store, peer: string, version: number, devices: readonly RosterDevice[]): void {
	store.run("DELETE FROM roster_devices WHERE peer = ?", [peer]);
	for (const device of devices) putRosterDevice(store, peer, device);
	setRosterVersion(store, peer, version);
}

export function putRosterDevice(store: Store, peer: string, device: RosterDevice): void {
	store.run("INSERT OR REPLACE INTO roster_devices (peer, account, device, registration_id) VALUES (?, ?, ?, ?)", [
		peer,
		device.account,
		device.device,
		device.registration_id,
	]);
}

export function removeRosterDevice(store: Store, peer: string, account: string, device: number): void {
	store.run("DELETE FROM roster_devices WHERE peer = ? AND account = ? AND device = ?", [peer, account, device]);
}

export function setRosterVersion(store: Store, peer: string, version: number): void {
	change(store, peer, { roster_version: version });
}

/** Moves the cursor to `number` if it is ahead, and on over own entries that follow. */
export function advanceCursor(store: Store, peer: string, number: number): void {
	const before = conversation(store, peer).cursor;
	let cursor = Math.max(before, number);
	if (hasOwnNumbers(store, peer)) {
		if (cursor > before) store.run("DELETE FROM own_numbers WHERE peer = ? AND number <= ?", [peer, cursor]);
		while (store.run("DELETE FROM own_numbers WHERE peer = ? AND number = ?", [peer, cursor + 1]) > 0) cursor++;
	}
	if (cursor > before) change(store, peer, { cursor });
}

function hasOwnNumbers(store: Store, peer: string): boolean {
	const { gapless } = ROWS.of(store);
	if (gapless.has(peer)) return false;
	const first = store.get<{ number: number }>("SELECT number FROM own_numbers WHERE peer = ? LIMIT 1", [peer]);
	if (first === undefined) gapless.add(peer);
	return first !== undefined;
}

/**
 * The log ends at `head`, before what was seen of it: goes back to the last message that is stored up to there, and
 * takes on the roster and the watermarks that the server says next. Returns the new cursor.
 */
export function rewind(store: Store, peer: string, head: number): number {
	const newest = "SELECT MAX(number) AS value FROM messages WHERE peer = ? AND number <= ?";
	const cursor = store.value<number | null>(newest, [peer, head]) ?? 0;
	store.run("DELETE FROM own_numbers WHERE peer = ?", [peer]);
	// Messages after the head keep their place: behind those up to the head, before those that come.
	store.run("UPDATE messages SET number = ? WHERE peer = ? AND number > ?", [head, peer, head]);
	const { read, peer_delivered, peer_read } = conversation(store, peer);
	change(store, peer, {
		cursor,
		read: Math.min(read, cursor),
		peer_delivered: Math.min(peer_delivered, head),
		peer_read: Math.min(peer_read, head),
		roster_version: 0,
	});
	return cursor;
}

export function addOwnNumber(store: Store, peer: string, number: number): void {
	ROWS.of(store).gapless.delete(peer);
	store.run("INSERT OR IGNORE INTO own_numbers (peer, number) VALUES (?, ?)", [peer, number]);
}
