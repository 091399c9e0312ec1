/** What messages have beside their text: formatting, quotes, polls, and when they disappear. */
import { fromBinary } from "@bufbuild/protobuf";
import { type Content, ContentSchema } from "../../protocol/gen/content_pb.js";
import type { Store } from "./database.ts";

export type DetailsRow = {
	sender: string;
	id: string;
	/** Serialised `Content` as the author sent it, without the file. */
	content: Uint8Array<ArrayBuffer>;
	/** 1 when it was deleted for everyone. */
	deleted: number;
	expire_after_seconds: number;
	expires_at_ms: number | null;
};

export function addDetails(store: Store, row: DetailsRow): void {
	store.run(
		`INSERT INTO details (sender, id, content, deleted, expire_after_seconds, expires_at_ms) VALUES (?, ?, ?, ?, ?, ?)
		 ON CONFLICT (sender, id) DO NOTHING`,
		[row.sender, row.id, row.content, row.deleted, row.expire_after_seconds, row.expires_at_ms],
	);
}

export function findDetails(store: Store, sender: string, id: string): DetailsRow | undefined {
	return store.get<DetailsRow>("SELECT * FROM details WHERE sender = ? AND id = ?", [sender, id]);
}

export function contentOfDetails(row: DetailsRow): Content {
	return fromBinary(ContentSchema, row.content);
}

/** Nothing of the message is left but that it was there. */
export function emptyDetails(store: Store, sender: string, id: string): void {
	store.run("UPDATE details SET deleted = 1, content = x'', expire_after_seconds = 0 WHERE sender = ? AND id = ?", [
		sender,
		id,
	]);
}

export function removeDetails(store: Store, sender: string, id: string): void {
	store.run("DELETE FROM details WHERE sender = ? AND id = ?", [sender, id]);
}

/** The message was read or sent: its time begins to run, if it has one and it doesn't run yet: then it returns true. */
export function startClock(store: Store, sender: string, id: string, fromMs: number): boolean {
	const changes = store.run(
		`UPDATE details SET expires_at_ms = ? + expire_after_seconds * 1000
		 WHERE sender = ? AND id = ? AND expire_after_seconds > 0 AND expires_at_ms IS NULL`,
		[fromMs, sender, id],
	);
	return changes > 0;
}

/** As `startClock`, for all messages of others in a conversation up to an entry; the earliest reading counts. */
export function startClocks(store: Store, peer: string, own: string, upTo: number, fromMs: number): number {
	return store.run(
		`UPDATE details SET expires_at_ms = ? + expire_after_seconds * 1000
		 WHERE expire_after_seconds > 0 AND (expires_at_ms IS NULL OR expires_at_ms > ? + expire_after_seconds * 1000)
		 AND sender <> ? AND EXISTS (SELECT 1 FROM messages m
		 WHERE m.sender = details.sender AND m.id = details.id AND m.peer = ? AND m.number <= ?)`,
		[fromMs, fromMs, own, peer, upTo],
	);
}

/** Nothing has longer to go than its whole time: where it seems so, the clock was ahead when it began to run. */
export function capClocks(store: Store, nowMs: number): void {
	store.run(
		`UPDATE details SET expires_at_ms = ? + expire_after_seconds * 1000
		 WHERE expires_at_ms IS NOT NULL AND expires_at_ms > ? + expire_after_seconds * 1000`,
		[nowMs, nowMs],
	);
}

/** Messages whose time is over. */
export function expired(store: Store, nowMs: number): { sender: string; id: string }[] {
	return store.all<{ sender: string; id: string }>(
		"SELECT sender, id FROM details WHERE expires_at_ms IS NOT NULL AND expires_at_ms <= ? ORDER BY expires_at_ms",
		[nowMs],
	);
}

/** When the next message disappears. */
export function nextExpiry(store: Store): number | undefined {
	const sql = "SELECT MIN(expires_at_ms) AS value FROM details WHERE expires_at_ms IS NOT NULL";
	return store.value<number | null>(sql) ?? undefined;
}

/** The message must not come back. */
export function markGone(store: Store, sender: string, id: string, nowMs: number): void {
	store.run("INSERT OR IGNORE INTO gone (sender, id, since_ms) VALUES (?, ?, ?)", [sender, id, nowMs]);
}

export function isGone(store: Store, sender: string, id: string): boolean {
	return store.get("SELECT 1 AS value FROM gone WHERE sender = ? AND id = ?", [sender, id]) !== undefined;
}

/** What was there before a message: it was taken away (`gone`), or something was done with it (`awaited`). */
export interface Waits {
	gone: boolean;
	awaited: boolean;
}

export function whatWaits(store: Store, sender: string, id: string): Waits {
	const row = store.get<{ gone: number; awaited: number }>(
		`SELECT EXISTS (SELECT 1 FROM gone WHERE sender = ? AND id = ?) AS gone,
		 EXISTS (SELECT 1 FROM actions WHERE author = ? AND message = ?) AS awaited`,
		[sender, id, sender, id],
	);
	return { gone: row?.gone === 1, awaited: row?.awaited === 1 };
}
