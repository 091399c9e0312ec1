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
