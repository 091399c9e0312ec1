/** Entries that this device had before its file went back to an old copy (rule RETRY-3). */
import type { Store } from "./database.ts";

/** So many of one conversation are known: more than a server remembers. */
const KEPT = 2_048;

/** What is known of an entry that has to come again. */
export type MissingEntry = {
	sender: string;
	device: number;
	/** Its id on the wire. */
	id: string;
	/** Its place in the log. */
	number: number;
	/** The server's time of it, in milliseconds since 1970. */
	time_ms: number;
};

/** Notes an entry; nothing happens where it is known. The oldest of more than 2,048 gives way. */
export function noteMissing(store: Store, peer: string, entry: MissingEntry, nowMs: number): void {
	store.run(
		"INSERT OR IGNORE INTO missing (peer, sender, device, id, number, time_ms, noted_ms) VALUES (?, ?, ?, ?, ?, ?, ?)",
		[peer, entry.sender, entry.device, entry.id, entry.number, entry.time_ms, nowMs],
	);
	store.run(
		`DELETE FROM missing WHERE peer = ? AND number <= (SELECT number FROM missing WHERE peer = ?
		 ORDER BY number DESC LIMIT 1 OFFSET ?)`,
		[peer, peer, KEPT],
	);
}

/** The entries of which nobody was asked yet, the oldest first; they count as asked from now on. */
export function takeUnasked(store: Store, peer: string): MissingEntry[] {
	const rows = store.all<MissingEntry>(
		"UPDATE missing SET asked = 1 WHERE peer = ? AND asked = 0 RETURNING sender, device, id, number, time_ms",
		[peer],
	);
	return rows.sort((one, other) => one.number - other.number);
}

/** Whether an entry is to come again. */
export function isMissing(store: Store, peer: string, sender: string, id: string): boolean {
	return (
		store.value("SELECT 1 AS value FROM missing WHERE sender = ? AND id = ? AND peer = ?", [sender, id, peer]) === 1
	);
}

/** The entry has come again: it is forgotten, and takes the place that it had. */
export function takeMissing(store: Store, peer: string, sender: string, id: string): MissingEntry | undefined {
	const sql =
		"DELETE FROM missing WHERE sender = ? AND id = ? AND peer = ? RETURNING sender, device, id, number, time_ms";
	return store.get<MissingEntry>(sql, [sender, id, peer]);
}

/** Forgets what nobody sends again any more. */
export function forgetMissing(store: Store, before_ms: number): void {
	store.run("DELETE FROM missing WHERE noted_ms < ?", [before_ms]);
}
