/** Own entries that the server is asked to forget, until it has answered. */
import type { Store } from "./database.ts";

export function addWithdrawal(store: Store, peer: string, id: string): void {
	store.run("INSERT OR IGNORE INTO withdrawals (peer, id) VALUES (?, ?)", [peer, id]);
}

export function removeWithdrawal(store: Store, peer: string, id: string): void {
	store.run("DELETE FROM withdrawals WHERE peer = ? AND id = ?", [peer, id]);
}

/** Those that the server may have: what is still in the outbox comes first. */
export function dueWithdrawals(store: Store, peer: string): string[] {
	const sql =
		"SELECT id FROM withdrawals WHERE peer = ? AND id NOT IN (SELECT id FROM outbox WHERE peer = ?) ORDER BY id";
	return store.all<{ id: string }>(sql, [peer, peer]).map(({ id }) => id);
}

/** Whether anything waits, in whatever conversation. */
export function anyWithdrawals(store: Store): boolean {
	return store.value<number>("SELECT EXISTS (SELECT 1 FROM withdrawals) AS value") === 1;
}
