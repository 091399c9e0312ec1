/** What all devices of the account agree on: for each thing its newest change (rule SYNC-2). */
import { fromBinary, toBinary } from "@bufbuild/protobuf";
import { ConversationFlag, Standing, type SyncItem, SyncItemSchema } from "../../protocol/gen/content_pb.js";
import { LIMITS } from "../../protocol/limits.ts";
import type { Store } from "./database.ts";

type Row = { item: Uint8Array<ArrayBuffer>; changed_ms: number; device: number };

/** What an item is about. */
export interface Thing {
	kind: string;
	subject: string;
}

/** When a thing was last changed, for all that is known here. 0: never. */
export function lastChangeMs(store: Store, { kind, subject }: Thing): number {
	const sql = "SELECT changed_ms AS value FROM synced WHERE kind = ? AND subject = ?";
	return store.value<number>(sql, [kind, subject]) ?? 0;
}

/**
 * Keeps a change if it is newer than the known one; at the same moment the higher device's stays. Says whether it is.
 */
export function keepItem(store: Store, { kind, subject }: Thing, item: SyncItem, device: number): boolean {
	const changedMs = Number(item.changedMs);
	const changes = store.run(
		`INSERT INTO synced (kind, subject, item, changed_ms, device) VALUES (?, ?, ?, ?, ?)
		 ON CONFLICT (kind, subject) DO UPDATE SET item = excluded.item, changed_ms = excluded.changed_ms,
		 device = excluded.device WHERE (excluded.changed_ms, excluded.device) > (changed_ms, device)`,
		[kind, subject, toBinary(SyncItemSchema, item), changedMs, device],
	);
	return changes > 0;
}

/** Everything, for a device that is new. */
export function allItems(store: Store): SyncItem[] {
	return store
		.all<Row>("SELECT item, changed_ms, device FROM synced ORDER BY changed_ms, kind, subject")
		.map(({ item }) => fromBinary(SyncItemSchema, item));
}

/** How a person has set up a conversation; 0 where they have not. */
export function conversationFlag(store: Store, peer: string, flag: ConversationFlag): number {
	const sql = "SELECT item FROM synced WHERE kind = 'flag' AND subject = ?";
	const row = store.get<{ item: Uint8Array<ArrayBuffer> }>(sql, [flagSubject(peer, flag)]);
	if (row === undefined) return 0;
	const { kind } = fromBinary(SyncItemSchema, row.item);
	return kind.case === "flag" ? Number(kind.value.value) : 0;
}

/** Seconds of a conversation's timer when this device came to it, as far as it was told. */
export function syncedTimer(store: Store, peer: string): number {
	const sql = "SELECT item FROM synced WHERE kind = 'timer' AND subject = ?";
	const row = store.get<{ item: Uint8Array<ArrayBuffer> }>(sql, [peer]);
	const kind = row === undefined ? undefined : fromBinary(SyncItemSchema, row.item).kind;
	return kind?.case === "timer" ? Math.min(kind.value.seconds, LIMITS.timer_seconds) : 0;
}

export function timerThing(peer: string): Thing {
	return { kind: "timer", subject: peer };
}

export function standingThing(peer: string, standing: Standing): Thing {
	return { kind: "standing", subject: `${Standing[standing]} ${peer}` };
}

export function flagSubject(peer: string, flag: ConversationFlag): string {
	return `${ConversationFlag[flag]} ${peer}`;
}
