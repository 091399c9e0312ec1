/** Requests for group messages by devices whose account the verified state doesn't list yet (rule RETRY-1). */
import type { Store } from "./database.ts";

/** So many wait in one group; the oldest gives way to one more. */
const KEPT_REQUESTS = 256;

export interface LateRetry {
	account: string;
	device: number;
	/** The wire id that is asked for. */
	message: Uint8Array<ArrayBuffer>;
}

type Row = { position: number; account: string; device: number; message: Uint8Array<ArrayBuffer> };

export function keepLateRetry(store: Store, peer: string, { account, device, message }: LateRetry): void {
	store.run("INSERT OR IGNORE INTO late_retries (peer, account, device, message) VALUES (?, ?, ?, ?)", [
		...[peer, account, device, message],
	]);
	store.run(
		`DELETE FROM late_retries WHERE peer = ? AND position <= (SELECT position FROM late_retries WHERE peer = ?
		 ORDER BY position DESC LIMIT 1 OFFSET ?)`,
		[peer, peer, KEPT_REQUESTS],
	);
}

/** Takes out what waits in a group, the oldest first. */
export function takeLateRetries(store: Store, peer: string): LateRetry[] {
	const sql = "DELETE FROM late_retries WHERE peer = ? RETURNING position, account, device, message";
	const rows = store.all<Row>(sql, [peer]);
	return rows.sort((one, other) => one.position - other.position);
}
