import type { Store } from "./database.ts";

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

export function conversation(store: Store, peer: string): ConversationRow {
	const row = store.get<ConversationRow>("SELECT * FROM conversations WHERE peer = ?", [peer]);
	if (row !== undefined) return row;
	store.run("INSERT INTO conversations (peer) VALUES (?)", [peer]);
	return { peer, roster_version: 0, cursor: 0, read: 0, peer_delivered: 0, peer_read: 0, hot: 0 };
}

/** Notes that the server may count this device as connected, or that it no longer does (rule NUDGE-3). */
export function setHot(store: Store, peer: string, hot: boolean): void {
	store.run("UPDATE conversations SET hot = ? WHERE peer = ?", [hot ? 1 : 0, peer]);
}

export function hotConversations(store: Store): string[] {
	return store.all<{ peer: string }>("SELECT peer FROM conversations WHERE hot = 1").map(({ peer }) => peer);
}

/** Whether any roster that is known lists another device of the account. */
export function knowsOwnDevices(store: Store, own: { accountId: string; deviceId: number }): boolean {
	const sql = "SELECT 1 AS value FROM roster_devices WHERE account = ? AND device <> ? LIMIT 1";
	return store.value<number>(sql, [own.accountId, own.deviceId]) !== undefined;
}

export function setRead(store: Store, peer: string, read: number): void {
	store.run("UPDATE conversations SET read = MAX(read, ?) WHERE peer = ?", [read, peer]);
}

export function setPeerWatermarks(store: Store, peer: string, delivered: number, read: number): void {
	store.run("UPDATE conversations SET peer_delivered = ?, peer_read = ? WHERE peer = ?", [delivered, read, peer]);
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
	store.run("UPDATE conversations SET roster_version = ? WHERE peer = ?", [version, peer]);
}

/** Moves the cursor to `number` if it is ahead, and on over own entries that follow. Returns the new cursor. */
export function advanceCursor(store: Store, peer: string, from: number, number: number): number {
	let cursor = Math.max(from, number);
	// Mostly there is no gap, and one look is less than two deletions of nothing.
	const first = store.value<number>("SELECT MIN(number) AS value FROM own_numbers WHERE peer = ?", [peer]) ?? null;
	if (first !== null && first <= cursor + 1) {
		if (cursor > from) store.run("DELETE FROM own_numbers WHERE peer = ? AND number <= ?", [peer, cursor]);
		while (store.run("DELETE FROM own_numbers WHERE peer = ? AND number = ?", [peer, cursor + 1]) > 0) cursor++;
	}
	if (cursor > from) store.run("UPDATE conversations SET cursor = ? WHERE peer = ?", [cursor, peer]);
	return cursor;
}

/**
 * The log ends at `head`, before what was seen of it: goes back to the last message that is stored up to there, and takes
 * on the roster and the watermarks that the server says next. Returns the new cursor.
 */
export function rewind(store: Store, peer: string, head: number): number {
	const newest = "SELECT MAX(number) AS value FROM messages WHERE peer = ? AND number <= ?";
	const cursor = store.value<number | null>(newest, [peer, head]) ?? 0;
	store.run("DELETE FROM own_numbers WHERE peer = ?", [peer]);
	// Messages after the head keep their place: behind those up to the head, before those that come.
	store.run("UPDATE messages SET number = ? WHERE peer = ? AND number > ?", [head, peer, head]);
	store.run(
		`UPDATE conversations SET cursor = ?, read = MIN(read, ?), peer_delivered = MIN(peer_delivered, ?),
		 peer_read = MIN(peer_read, ?), roster_version = 0 WHERE peer = ?`,
		[cursor, cursor, head, head, peer],
	);
	return cursor;
}

export function addOwnNumber(store: Store, peer: string, number: number): void {
	store.run("INSERT OR IGNORE INTO own_numbers (peer, number) VALUES (?, ?)", [peer, number]);
}
