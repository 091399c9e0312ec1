/** Trust on first use, and what happens when a key changes (rule CLIENT-3). */
import { fromBase64url, sameBytes } from "../signal/bytes.ts";
import { groupsWith } from "../store/group_roster.ts";
import { findGroup, setRefetch } from "../store/groups.ts";
import { findIdentity, putIdentity } from "../store/identities.ts";
import { acceptUnderKey, forgetAddressees } from "../store/messages.ts";
import { forgetProfileSent } from "../store/profiles.ts";
import type { Context } from "./context.ts";
import { onMemberIdentityChanged } from "./groups/roster.ts";
import { share } from "./sync.ts";

/**
 * Notes the identity key that an account shows. A changed key replaces one that nobody verified, with a notice; where
 * the old one was verified it waits for a person. Returns whether it replaced the old key.
 */
export function noteIdentity(context: Context, account: string, key: Uint8Array<ArrayBuffer>): boolean {
	const known = findIdentity(context.store, account);
	if (known === undefined) {
		putIdentity(context.store, { account, key, verified: 0, pending_key: null });
		return false;
	}
	if (sameBytes(known.key, key)) {
		// The accepted key speaks again: a message of it that was on the way says nothing about the one that waits.
		return false;
	}
	if (known.pending_key !== null && sameBytes(known.pending_key, key)) return false;
	const blocked = known.verified === 1 || known.pending_key !== null;
	putIdentity(
		context.store,
		blocked ? { ...known, pending_key: key } : { account, key, verified: 0, pending_key: null },
	);
	// What was encrypted for the old key is resent to nobody who shows another one (rule RETRY-1).
	forgetAddressees(context.store, account);
	// Who shows another key has another file, without the profile (rule PROFILE-3).
	forgetProfileSent(context.store, account);
	context.profiles.forget();
	onMemberIdentityChanged(context, account);
	if (!blocked) endSessions(context, account);
	context.notify({ type: "identity-changed", peer: account, blocked });
	context.touched.add(account);
	return !blocked;
}

/** As `noteIdentity`, for the key of a claimed bundle. */
export function noteBundleIdentity(context: Context, account: string, identityKey: string): void {
	noteIdentity(context, account, fromBase64url(identityKey));
}

export function isBlocked(context: Context, account: string): boolean {
	return (findIdentity(context.store, account)?.pending_key ?? null) !== null;
}

/** The key, where it is a changed one that nobody has accepted. */
export function unacceptedKey(
	context: Context,
	account: string,
	key: Uint8Array<ArrayBuffer> | undefined,
): Uint8Array<ArrayBuffer> | null {
	const known = key === undefined ? undefined : findIdentity(context.store, account);
	if (key === undefined || known === undefined || known.pending_key === null) return null;
	return sameBytes(known.key, key) ? null : key;
}

/** A person takes the changed key, without having compared it. */
export function acceptIdentity(context: Context, peer: string): void {
	const known = findIdentity(context.store, peer);
	if (known === undefined || known.pending_key === null) return;
	putIdentity(context.store, { account: peer, key: known.pending_key, verified: 0, pending_key: null });
	acceptUnderKey(context.store, peer, known.pending_key);
	endSessions(context, peer);
	context.touched.add(peer);
	touchGroups(context, peer);
	share(context, { case: "identity", value: { account: peer, key: known.pending_key, verified: false } });
}

/** Whoever was left out of groups for want of an accepted key is let in. */
function touchGroups(context: Context, account: string): void {
	for (const group of groupsWith(context.store, account)) {
		// What was refused while the key was not accepted is asked for.
		const row = findGroup(context.store, group);
		if (row !== undefined && row.seen_version > row.version) setRefetch(context.store, group, true);
		context.groups.rosterChanged(group);
		context.touched.add(group);
	}
}

/**
 * Another device of the account has accepted or verified a key (rule SYNC-3). Where this one knows another key, the
 * changed one is shown here first: nothing is sent to a key that is not the one that the person has seen.
 */
export function syncIdentity(context: Context, account: string, key: Uint8Array<ArrayBuffer>, verified: boolean): void {
	const known = findIdentity(context.store, account);
	const pending = known?.pending_key ?? null;
	if (known === undefined || (pending === null && sameBytes(known.key, key))) {
		putIdentity(context.store, { account, key, verified: verified ? 1 : 0, pending_key: null });
		return;
	}
	if (pending === null || !sameBytes(pending, key)) return;
	putIdentity(context.store, { account, key, verified: verified ? 1 : 0, pending_key: null });
	endSessions(context, account);
	context.touched.add(account);
	touchGroups(context, account);
}

/** A person has compared the safety number; that accepts a changed key too. */
export function setVerified(context: Context, peer: string, verified: boolean): void {
	if (verified) acceptIdentity(context, peer);
	const known = findIdentity(context.store, peer);
	if (known === undefined) return;
	putIdentity(context.store, { ...known, verified: verified ? 1 : 0 });
	share(context, { case: "identity", value: { account: peer, key: known.key, verified } });
}

/** Sessions with the old key must not be used again. */
function endSessions(context: Context, account: string): void {
	// Also those that began in this step.
	context.cipher.sessions.flush();
	const devices = context.store.all<{ device: number }>("SELECT device FROM sessions WHERE account = ?", [account]);
	for (const { device } of devices) context.cipher.sessions.archive(account, device);
	context.connections.get(account)?.claimed.clear();
	for (const group of groupsWith(context.store, account)) context.connections.get(group)?.claimed.delete(account);
}
