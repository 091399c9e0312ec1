/** What this device knows of blobs: its encrypted copies, and the holds that it has at the server. */
import type { Store } from "./database.ts";

export type BlobRow = {
	blob: string;
	/** Of the encrypted copy. */
	name: string;
	/** Of the file. */
	size: number;
	/** Serialised `Attachment`. */
	pointer: Uint8Array<ArrayBuffer>;
	iv: Uint8Array<ArrayBuffer> | null;
	/** 1 when the copy is here, verified. */
	whole: number;
};

export function findBlob(store: Store, blob: string): BlobRow | undefined {
	return store.get<BlobRow>("SELECT * FROM blobs WHERE blob = ?", [blob]);
}

/** Files of this size that could be sent again without an upload. */
export function blobsOfSize(store: Store, size: number): BlobRow[] {
	return store.all<BlobRow>("SELECT * FROM blobs WHERE size = ? AND iv IS NOT NULL", [size]);
}

export function putBlob(store: Store, row: BlobRow): void {
	store.run("INSERT OR REPLACE INTO blobs (blob, name, size, pointer, iv, whole) VALUES (?, ?, ?, ?, ?, ?)", [
		row.blob,
		row.name,
		row.size,
		row.pointer,
		row.iv,
		row.whole,
	]);
}

export function addHold(store: Store, message: string, blob: string, deleteKey: string): void {
	store.run("INSERT OR REPLACE INTO holds (message, blob, delete_key) VALUES (?, ?, ?)", [message, blob, deleteKey]);
}

export function findHold(store: Store, message: string): { blob: string; delete_key: string } | undefined {
	return store.get<{ blob: string; delete_key: string }>("SELECT blob, delete_key FROM holds WHERE message = ?", [
		message,
	]);
}

export function removeHold(store: Store, message: string): void {
	store.run("DELETE FROM holds WHERE message = ?", [message]);
}

/** Notes a received message whose file is to be fetched. */
export function wantFile(store: Store, message: string): void {
	store.run("INSERT OR IGNORE INTO wanted_files (message) VALUES (?)", [message]);
}

export function wantedFiles(store: Store): string[] {
	return store.all<{ message: string }>("SELECT message FROM wanted_files ORDER BY message").map((row) => row.message);
}

export function unwantFile(store: Store, message: string): void {
	store.run("DELETE FROM wanted_files WHERE message = ?", [message]);
}

/** Notes that a message here needs a blob. */
export function noteUse(store: Store, message: string, blob: string): void {
	store.run(
		`INSERT OR IGNORE INTO blob_uses (sender, message, blob)
		 SELECT sender, id, ? FROM messages WHERE id = ? ORDER BY outgoing DESC LIMIT 1`,
		[blob, message],
	);
}

export type BlobUse = { sender: string; message: string; blob: string };

const ENDED = `FROM blob_uses u LEFT JOIN messages m ON m.sender = u.sender AND m.id = u.message WHERE m.attachment IS NULL`;

/** Uses whose messages have gone, or have lost their file. */
export function endedUses(store: Store): BlobUse[] {
	return store.all<BlobUse>(`SELECT u.sender, u.message, u.blob ${ENDED}`);
}

/** Whether a message that is here needs the blob. */
export function isUsed(store: Store, blob: string): boolean {
	const sql = `SELECT COUNT(*) AS value FROM blob_uses u JOIN messages m ON m.sender = u.sender AND m.id = u.message
		WHERE u.blob = ? AND m.attachment IS NOT NULL`;
	return (store.value<number>(sql, [blob]) ?? 0) > 0;
}

export function removeUse(store: Store, sender: string, message: string): void {
	store.run("DELETE FROM blob_uses WHERE sender = ? AND message = ?", [sender, message]);
}

export function removeBlob(store: Store, blob: string): void {
	store.run("DELETE FROM blobs WHERE blob = ?", [blob]);
}
