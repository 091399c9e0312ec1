/** What this device knows of groups. */
import type { Store } from "./database.ts";

export type GroupRow = {
	/** 64 hex digits. */
	peer: string;
	key: Uint8Array<ArrayBuffer> | null;
	/** Of `state`; 0 before the first. */
	version: number;
	/** Of the last change in the log, refused ones included. */
	seen_version: number;
	/** Serialised `GroupState`, verified. */
	state: Uint8Array<ArrayBuffer> | null;
	title: string;
	/** 1 while this account is a member. */
	member: number;
	/** UUID of this device's sender key; null where the next message needs a new one. */
	distribution: string | null;
	distribution_ms: number;
	/** Messages under it. */
	sent: number;
	/** 1 while members wait for keys though there is nothing to send. */
	wanted: number;
	/** 1 while the state has to be asked for. */
	refetch: number;
};

export function findGroup(store: Store, peer: string): GroupRow | undefined {
	return store.get<GroupRow>("SELECT * FROM groups WHERE peer = ?", [peer]);
}

/** All groups, by title. */
export function allGroups(store: Store): GroupRow[] {
	return store.all<GroupRow>("SELECT * FROM groups WHERE version > 0 ORDER BY title, peer");
}

/**
 * Groups on whose roster the account is, and of which this device has no state that it believes: it can read nothing of
 * them.
 */
export function lockedGroups(store: Store, own: string): string[] {
	return store
		.all<{ peer: string }>(
			`SELECT m.peer FROM roster_members m LEFT JOIN groups g ON g.peer = m.peer
			 WHERE m.account = ? AND length(m.peer) = 64 AND COALESCE(g.version, 0) = 0 ORDER BY m.peer`,
			[own],
		)
		.map(({ peer }) => peer);
}

export function isLocked(store: Store, peer: string, own: string): boolean {
	return lockedGroups(store, own).includes(peer);
}

/** Tables beside `groups` whose rows belong to one group. */
const GROUP_TABLES = [
	"sender_keys",
	"sender_key_holders",
	"group_entries",
	"group_requests",
	"group_watermarks",
	"group_history",
	"late_retries",
	"standings",
] as const;

/** Nothing is left of what this device knew; messages are for the caller. */
export function forgetGroup(store: Store, peer: string): void {
	for (const table of ["groups", ...GROUP_TABLES]) store.run(`DELETE FROM ${table} WHERE peer = ?`, [peer]);
}

export function addGroup(store: Store, peer: string): void {
	store.run("INSERT OR IGNORE INTO groups (peer) VALUES (?)", [peer]);
}

export function setGroupKey(store: Store, peer: string, key: Uint8Array<ArrayBuffer> | null): void {
	addGroup(store, peer);
	store.run("UPDATE groups SET key = ? WHERE peer = ?", [key, peer]);
}

export function setGroupState(
	store: Store,
	peer: string,
	to: { version: number; state: Uint8Array<ArrayBuffer>; title: string; member: boolean },
): void {
	store.run(
		"UPDATE groups SET version = ?, seen_version = MAX(seen_version, ?), state = ?, title = ?, member = ? WHERE peer = ?",
		[to.version, to.version, to.state, to.title, to.member ? 1 : 0, peer],
	);
}

export function setSeenVersion(store: Store, peer: string, version: number): void {
	store.run("UPDATE groups SET seen_version = MAX(seen_version, ?) WHERE peer = ?", [version, peer]);
}

export function setRefetch(store: Store, peer: string, refetch: boolean): void {
	store.run("UPDATE groups SET refetch = ? WHERE peer = ?", [refetch ? 1 : 0, peer]);
}

/** The log went back, or the server has an earlier state: its next change has a version that was seen already. */
export function lowerSeenVersion(store: Store, peer: string, version: number): void {
	store.run("UPDATE groups SET seen_version = MIN(seen_version, ?) WHERE peer = ?", [version, peer]);
}

export function setMember(store: Store, peer: string, member: boolean): void {
	store.run("UPDATE groups SET member = ? WHERE peer = ?", [member ? 1 : 0, peer]);
}

/** Whether members wait for keys though there is nothing to send. */
export function setWanted(store: Store, peer: string, wanted: boolean): void {
	store.run("UPDATE groups SET wanted = ? WHERE peer = ? AND wanted <> ?", [wanted ? 1 : 0, peer, wanted ? 1 : 0]);
}

/** Another sender key from the next message on; who had the one of before gets none of it by that (rule GROUP-13). */
export function endSenderKey(store: Store, peer: string): void {
	store.run("UPDATE groups SET distribution = NULL, sent = 0 WHERE peer = ?", [peer]);
	store.run("DELETE FROM sender_key_holders WHERE peer = ?", [peer]);
}

export function beginSenderKey(store: Store, peer: string, distribution: string, nowMs: number): void {
	store.run("UPDATE groups SET distribution = ?, distribution_ms = ?, sent = 0 WHERE peer = ?", [
		distribution,
		nowMs,
		peer,
	]);
}

export function countSent(store: Store, peer: string): void {
	store.run("UPDATE groups SET sent = sent + 1 WHERE peer = ?", [peer]);
}

export function addRequest(store: Store, peer: string, account: string): void {
	store.run("INSERT OR IGNORE INTO group_requests (peer, account) VALUES (?, ?)", [peer, account]);
}

export function removeRequest(store: Store, peer: string, account: string): void {
	store.run("DELETE FROM group_requests WHERE peer = ? AND account = ?", [peer, account]);
}

/** Accounts that ask to join. */
export function groupRequests(store: Store, peer: string): string[] {
	return store
		.all<{ account: string }>("SELECT account FROM group_requests WHERE peer = ? ORDER BY account", [peer])
		.map(({ account }) => account);
}
