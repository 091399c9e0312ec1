/** Files on their way to the server. */
import type { Store } from "./database.ts";

export type UploadRow = {
	/** The message that waits for it. */
	message: string;
	peer: string;
	/** The file's path. */
	source: string;
	/** When it was changed last, at the time when it was queued. */
	mtime_ms: number;
	/** Of the encrypted copy. */
	name: string;
	iv: Uint8Array<ArrayBuffer>;
	delete_key: string;
	/** Where the upload goes, below the server's address; null before it was created. */
	path: string | null;
	blob: string | null;
	/** 1 when the encrypted copy is whole. */
	sealed: number;
};

export type NewUpload = Pick<UploadRow, "source" | "mtime_ms" | "name" | "iv" | "delete_key">;

export function addUpload(store: Store, message: string, peer: string, upload: NewUpload): void {
	store.run(
		"INSERT INTO uploads (message, peer, source, mtime_ms, name, iv, delete_key) VALUES (?, ?, ?, ?, ?, ?, ?)",
		[message, peer, upload.source, upload.mtime_ms, upload.name, upload.iv, upload.delete_key],
	);
}

/** All of them, the oldest first. */
export function allUploads(store: Store): UploadRow[] {
	return store.all<UploadRow>("SELECT * FROM uploads ORDER BY position");
}

export function findUpload(store: Store, message: string): UploadRow | undefined {
	return store.get<UploadRow>("SELECT * FROM uploads WHERE message = ?", [message]);
}

export function setUploadPath(store: Store, message: string, path: string | null, blob: string | null): void {
	store.run("UPDATE uploads SET path = ?, blob = ? WHERE message = ?", [path, blob, message]);
}

export function setSealed(store: Store, message: string): void {
	store.run("UPDATE uploads SET sealed = 1 WHERE message = ?", [message]);
}

export function removeUpload(store: Store, message: string): void {
	store.run("DELETE FROM uploads WHERE message = ?", [message]);
}
