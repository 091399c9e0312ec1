/** What people show of themselves, the own account included, and who was sent the own one. */
import { fromBinary } from "@bufbuild/protobuf";
import { type Profile, type SyncItem, SyncItemSchema } from "../../protocol/gen/content_pb.js";
import type { Store } from "./database.ts";

type Row = { item: Uint8Array<ArrayBuffer> };

/** As it was sent; undefined where nothing is known. */
export function profileOf(store: Store, account: string): Profile | undefined {
	const sql = "SELECT item FROM synced WHERE kind = 'profile' AND subject = ?";
	const row = store.get<Row>(sql, [account]);
	return row === undefined ? undefined : profileIn(fromBinary(SyncItemSchema, row.item));
}

export function allProfiles(store: Store): { account: string; profile: Profile }[] {
	return store
		.all<Row & { subject: string }>("SELECT subject, item FROM synced WHERE kind = 'profile'")
		.flatMap((row) => {
			const profile = profileIn(fromBinary(SyncItemSchema, row.item));
			return profile === undefined ? [] : [{ account: row.subject, profile }];
		});
}

function profileIn({ kind }: SyncItem): Profile | undefined {
	return kind.case === "profile" ? kind.value.profile : undefined;
}

export function forgetProfile(store: Store, account: string): void {
	store.run("DELETE FROM synced WHERE kind = 'profile' AND subject = ?", [account]);
}

/** Of when the profile is that a peer was sent; 0: none. */
export function profileSentMs(store: Store, peer: string): number {
	return store.value<number>("SELECT changed_ms AS value FROM profiles_sent WHERE peer = ?", [peer]) ?? 0;
}

export function noteProfileSent(store: Store, peer: string, changedMs: number, id: string): void {
	store.run(
		`INSERT INTO profiles_sent (peer, changed_ms, id) VALUES (?, ?, ?) ON CONFLICT (peer) DO UPDATE SET
		 changed_ms = MAX(changed_ms, excluded.changed_ms), id = excluded.id`,
		[peer, changedMs, id],
	);
}

/** The peer is sent the profile anew, with the next message. */
export function forgetProfileSent(store: Store, peer: string): void {
	store.run("DELETE FROM profiles_sent WHERE peer = ?", [peer]);
}

/** Whether an entry brought a peer the own profile. */
export function isProfileEntry(store: Store, peer: string, id: string): boolean {
	return store.get("SELECT 1 AS value FROM profiles_sent WHERE peer = ? AND id = ?", [peer, id]) !== undefined;
}
