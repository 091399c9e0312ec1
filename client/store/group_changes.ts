/** What people want of groups and the server has not answered (rule GROUP-15). */
import type { Store } from "./database.ts";

export type GroupChangeRow = {
	/** By which the caller knows it. */
	id: string;
	peer: string;
	/** JSON of an `Intention`, or of the group to create. */
	intention: string;
	/** The id on the wire: another one after each conflict. */
	wire: string;
	/** JSON of a `GroupCall`; null while the change waits for the version in `needs`. */
	request: string | null;
	needs: number;
	attempts: number;
	/** JSON: accounts that were to be added and don't exist any more. */
	unreachable: string;
};

export function addGroupChange(store: Store, id: string, peer: string, intention: string): void {
	store.run("INSERT OR IGNORE INTO group_changes (id, peer, intention, wire) VALUES (?, ?, ?, ?)", [
		id,
		peer,
		intention,
		id,
	]);
}

export function findGroupChange(store: Store, id: string): GroupChangeRow | undefined {
	return store.get<GroupChangeRow>("SELECT * FROM group_changes WHERE id = ?", [id]);
}

export function findChangeByWire(store: Store, wire: string): GroupChangeRow | undefined {
	return store.get<GroupChangeRow>("SELECT * FROM group_changes WHERE wire = ?", [wire]);
}

export function groupChanges(store: Store, peer: string): GroupChangeRow[] {
	return store.all<GroupChangeRow>("SELECT * FROM group_changes WHERE peer = ? ORDER BY id", [peer]);
}

export function allGroupChanges(store: Store): GroupChangeRow[] {
	return store.all<GroupChangeRow>("SELECT * FROM group_changes ORDER BY id");
}

export function setChangeRequest(store: Store, id: string, wire: string, request: string): void {
	store.run("UPDATE group_changes SET wire = ?, request = ?, attempts = attempts + 1 WHERE id = ?", [
		wire,
		request,
		id,
	]);
}

/** The change waits until a version of the group has come. */
export function setChangeNeeds(store: Store, id: string, needs: number): void {
	store.run("UPDATE group_changes SET request = NULL, needs = ? WHERE id = ?", [needs, id]);
}

export function setUnreachable(store: Store, id: string, accounts: readonly string[]): void {
	store.run("UPDATE group_changes SET unreachable = ? WHERE id = ?", [JSON.stringify(accounts), id]);
}

export function removeGroupChange(store: Store, id: string): void {
	store.run("DELETE FROM group_changes WHERE id = ?", [id]);
}
