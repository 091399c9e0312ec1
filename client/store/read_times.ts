/** When another own device has read how far: messages that come later disappear so long after it (rule TIMER-4). */
import type { Store } from "./database.ts";

/** So many positions of a conversation are kept, the newest. What is older counts as read with the oldest of them. */
const KEPT_POSITIONS = 200;

export function addReadTime(store: Store, peer: string, upTo: number, atMs: number): void {
	store.run(
		`INSERT INTO read_times (peer, up_to, at_ms) VALUES (?, ?, ?)
		 ON CONFLICT (peer, up_to) DO UPDATE SET at_ms = MIN(at_ms, excluded.at_ms)`,
		[peer, upTo, atMs],
	);
	store.run(
		`DELETE FROM read_times WHERE peer = ? AND up_to <= (SELECT up_to FROM read_times WHERE peer = ?
		 ORDER BY up_to DESC LIMIT 1 OFFSET ?)`,
		[peer, peer, KEPT_POSITIONS],
	);
}

/** When an entry was read first, in milliseconds since 1970; undefined where no device has said so. */
export function readTime(store: Store, peer: string, number: number): number | undefined {
	const sql = "SELECT MIN(at_ms) AS value FROM read_times WHERE peer = ? AND up_to >= ?";
	return store.value<number | null>(sql, [peer, number]) ?? undefined;
}

/** The log went back: positions after its head are of other entries. */
export function forgetReadTimes(store: Store, peer: string, after: number): void {
	store.run("DELETE FROM read_times WHERE peer = ? AND up_to > ?", [peer, after]);
}
