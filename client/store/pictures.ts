/** Pictures of groups and people that this device has a copy of, or its account holds at the server. */
import type { Store } from "./database.ts";

export type PictureRow = {
	blob: string;
	/** The group, or the account, whose picture it is or was. */
	peer: string;
	/** Ends the account's hold; null where it has none. */
	delete_key: string | null;
	/** Until when the server holds it for the account, in milliseconds since 1970. */
	held_until_ms: number;
};

export function allPictures(store: Store): PictureRow[] {
	return store.all<PictureRow>("SELECT * FROM pictures ORDER BY blob");
}

/** Notes a picture of which a copy is fetched. */
export function notePicture(store: Store, blob: string, peer: string): void {
	store.run("INSERT OR IGNORE INTO pictures (blob, peer, delete_key, held_until_ms) VALUES (?, ?, NULL, 0)", [
		blob,
		peer,
	]);
}

/** Notes a hold that the account has, or is about to have. */
export function noteHeldPicture(store: Store, row: PictureRow & { delete_key: string }): void {
	store.run("INSERT OR REPLACE INTO pictures (blob, peer, delete_key, held_until_ms) VALUES (?, ?, ?, ?)", [
		row.blob,
		row.peer,
		row.delete_key,
		row.held_until_ms,
	]);
}

export function forgetPicture(store: Store, blob: string): void {
	store.run("DELETE FROM pictures WHERE blob = ?", [blob]);
}
