/** What the device's file keeps once: the account, its keys' places, what its person has switched. */
import type { LocalAccount } from "../machine/interface.ts";
import type { SqlValue, Store } from "./database.ts";
import { NotRegisteredError } from "./errors.ts";

/** Names of the single values that a device keeps. */
export type MetaKey =
	| "username"
	| "server"
	| "account_id"
	| "device_id"
	| "device_secret"
	| "identity_key_pair"
	| "registration_id"
	| "registration_request"
	| "link_request"
	| "sync_wanted"
	| "conversations_wanted"
	| "next_prekey_id"
	| "last_message_id"
	| "read_receipts"
	| "auto_download_bytes"
	| "shown_row"
	| PrivacySwitch;

/** What a person can switch off; all are on at first. */
export const PRIVACY_SWITCHES = ["typing", "presence", "last_seen", "message_requests", "discoverable"] as const;
export type PrivacySwitch = (typeof PRIVACY_SWITCHES)[number];

export function readMeta<Value extends SqlValue>(store: Store, key: MetaKey): Value | undefined {
	return store.value<Value>("SELECT value FROM meta WHERE key = ?", [key]);
}

export function writeMeta(store: Store, key: MetaKey, value: SqlValue): void {
	store.run("INSERT INTO meta (key, value) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value", [
		key,
		value,
	]);
}

export function forgetMeta(store: Store, key: MetaKey): void {
	store.run("DELETE FROM meta WHERE key = ?", [key]);
}

/** The registered account, or undefined before registration. */
export function localAccount(store: Store): LocalAccount | undefined {
	const accountId = readMeta<string>(store, "account_id");
	const deviceId = readMeta<number>(store, "device_id");
	const username = readMeta<string>(store, "username");
	const deviceSecret = readMeta<string>(store, "device_secret");
	const server = readMeta<string>(store, "server");
	if (accountId === undefined || deviceId === undefined) return undefined;
	if (username === undefined || deviceSecret === undefined || server === undefined) return undefined;
	return { username, accountId, deviceId, deviceSecret, server };
}

/** As `localAccount`. Throws `NotRegisteredError`. */
export function requireAccount(store: Store): LocalAccount {
	const account = localAccount(store);
	if (account === undefined) throw new NotRegisteredError();
	return account;
}

/** Whether others learn what the user has read. On unless it was switched off. */
export function readReceipts(store: Store): boolean {
	return readMeta<string>(store, "read_receipts") !== "off";
}

export function setReadReceipts(store: Store, on: boolean): void {
	writeMeta(store, "read_receipts", on ? "on" : "off");
}

/** Files of others up to this size, in bytes, are fetched without being asked for. */
export function autoDownloadBytes(store: Store): number {
	return readMeta<number>(store, "auto_download_bytes") ?? 8 * 1024 * 1024;
}

export function setAutoDownloadBytes(store: Store, bytes: number): void {
	writeMeta(store, "auto_download_bytes", bytes);
}

/** Whether a switch is on, as it is until it was switched off. */
export function privacySwitch(store: Store, key: PrivacySwitch): boolean {
	return readMeta<string>(store, key) !== "off";
}

export function setPrivacySwitch(store: Store, key: PrivacySwitch, on: boolean): void {
	writeMeta(store, key, on ? "on" : "off");
}
