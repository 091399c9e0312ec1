/** A group's roster, and who on it has this device's sender key. */
import { conversation, type RosterDevice } from "./conversations.ts";
import type { Store } from "./database.ts";

/** A device that came before is kept, with the version with which it came. */
export function putGroupDevice(store: Store, peer: string, device: RosterDevice, version: number): void {
	store.run(
		`INSERT INTO roster_devices (peer, account, device, registration_id, since) VALUES (?, ?, ?, ?, ?)
		 ON CONFLICT (peer, account, device) DO UPDATE SET registration_id = excluded.registration_id, since = excluded.since
		 WHERE registration_id <> excluded.registration_id`,
		[peer, device.account, device.device, device.registration_id, version],
	);
}

export function findRosterDevice(
	store: Store,
	peer: string,
	account: string,
	device: number,
): (RosterDevice & { since: number }) | undefined {
	return store.get(
		"SELECT account, device, registration_id, since FROM roster_devices WHERE peer = ? AND account = ? AND device = ?",
		[peer, account, device],
	);
}

/** How many devices are on the roster. */
export function countGroupDevices(store: Store, peer: string): number {
	return store.value<number>("SELECT COUNT(*) AS value FROM roster_devices WHERE peer = ?", [peer]) ?? 0;
}

export function rosterMembers(store: Store, peer: string): string[] {
	return store
		.all<{ account: string }>("SELECT account FROM roster_members WHERE peer = ?", [peer])
		.map(({ account }) => account);
}

export function addRosterMember(store: Store, peer: string, account: string): void {
	store.run("INSERT OR IGNORE INTO roster_members (peer, account) VALUES (?, ?)", [peer, account]);
}

export function removeRosterMember(store: Store, peer: string, account: string): void {
	store.run("DELETE FROM roster_members WHERE peer = ? AND account = ?", [peer, account]);
}

/** Nobody is on it any more, as far as is known here. */
export function forgetRoster(store: Store, peer: string): void {
	for (const table of ["roster_members", "roster_devices"]) store.run(`DELETE FROM ${table} WHERE peer = ?`, [peer]);
}

/** Groups on whose roster an account is. */
export function groupsWith(store: Store, account: string): string[] {
	return store
		.all<{ peer: string }>("SELECT DISTINCT peer FROM roster_devices WHERE account = ? AND length(peer) = 64", [
			account,
		])
		.map(({ peer }) => peer);
}

/** An account shows another identity key: what was sent to a group before is not for it. */
export function forgetGroupDevices(store: Store, peer: string, account: string): void {
	const since = conversation(store, peer).roster_version + 1;
	store.run("UPDATE roster_devices SET since = ? WHERE peer = ? AND account = ?", [since, peer, account]);
}

/** Devices of the roster, but the own one, that lack this device's sender key. */
export function lackingDevices(store: Store, peer: string, own: { account: string; device: number }): RosterDevice[] {
	return store.all<RosterDevice>(
		`SELECT r.account, r.device, r.registration_id FROM roster_devices r LEFT JOIN sender_key_holders h
		 ON h.peer = r.peer AND h.account = r.account AND h.device = r.device AND h.registration_id = r.registration_id
		 WHERE r.peer = ? AND h.peer IS NULL AND NOT (r.account = ? AND r.device = ?) ORDER BY r.account, r.device`,
		[peer, own.account, own.device],
	);
}

export function addHolder(store: Store, peer: string, device: RosterDevice, wire: string): void {
	store.run(
		"INSERT OR REPLACE INTO sender_key_holders (peer, account, device, registration_id, wire) VALUES (?, ?, ?, ?, ?)",
		[peer, device.account, device.device, device.registration_id, wire],
	);
}

export function holderCount(store: Store, peer: string): number {
	return store.value<number>("SELECT COUNT(*) AS value FROM sender_key_holders WHERE peer = ?", [peer]) ?? 0;
}

/** Devices that got the key in the entry with this id. */
export function holdersOf(store: Store, wire: string): RosterDevice[] {
	return store.all<RosterDevice>("SELECT account, device, registration_id FROM sender_key_holders WHERE wire = ?", [
		wire,
	]);
}

/** A distribution that never reached the log: its devices lack the key. */
export function removeHoldersOf(store: Store, wire: string): void {
	store.run("DELETE FROM sender_key_holders WHERE wire = ?", [wire]);
}

export function removeHolder(store: Store, peer: string, account: string, device: number): void {
	store.run("DELETE FROM sender_key_holders WHERE peer = ? AND account = ? AND device = ?", [peer, account, device]);
}

export function noteLeftOut(store: Store, message: string, account: string, device: number): void {
	store.run("INSERT OR IGNORE INTO left_out (message, account, device) VALUES (?, ?, ?)", [message, account, device]);
}
