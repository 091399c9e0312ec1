/** Entries of groups that wait for a key, in the log's order. */
import type { Store } from "./database.ts";

export type GroupEntryRow = {
	peer: string;
	number: number;
	/** Serialised `Entry`. */
	entry: Uint8Array<ArrayBuffer>;
	change: number;
	/** Whether the sender might send when it came; null where that is not known. */
	allowed: number | null;
	asked: number;
};

/** So many messages of one group wait; the oldest gives way to one more. Its placeholder stays. */
const WAITING_MESSAGES = 1_000;

export function parkEntry(store: Store, row: Omit<GroupEntryRow, "asked">): void {
	store.run("INSERT OR IGNORE INTO group_entries (peer, number, entry, change, allowed) VALUES (?, ?, ?, ?, ?)", [
		row.peer,
		row.number,
		row.entry,
		row.change,
		row.allowed,
	]);
	store.run(
		`DELETE FROM group_entries WHERE peer = ? AND change = 0 AND number <= (SELECT number FROM group_entries
		 WHERE peer = ? AND change = 0 ORDER BY number DESC LIMIT 1 OFFSET ?)`,
		[row.peer, row.peer, WAITING_MESSAGES],
	);
}

/** Waiting entries up to a number, in order. */
export function parkedEntries(store: Store, peer: string, upTo: number): GroupEntryRow[] {
	return store.all<GroupEntryRow>("SELECT * FROM group_entries WHERE peer = ? AND number <= ? ORDER BY number", [
		peer,
		upTo,
	]);
}

/** Whether a change before this number waits. */
export function changeWaits(store: Store, peer: string, before: number): boolean {
	const sql = "SELECT 1 AS value FROM group_entries WHERE peer = ? AND change = 1 AND number < ? LIMIT 1";
	return store.value<number>(sql, [peer, before]) !== undefined;
}

/** Messages that wait for their sender's key and were not asked for. */
export function unaskedEntries(store: Store, peer: string): GroupEntryRow[] {
	return store.all<GroupEntryRow>(
		"SELECT * FROM group_entries WHERE peer = ? AND change = 0 AND asked = 0 ORDER BY number",
		[peer],
	);
}

export function markAsked(store: Store, peer: string, number: number): void {
	store.run("UPDATE group_entries SET asked = 1 WHERE peer = ? AND number = ?", [peer, number]);
}

export function unparkEntry(store: Store, peer: string, number: number): void {
	store.run("DELETE FROM group_entries WHERE peer = ? AND number = ?", [peer, number]);
}
