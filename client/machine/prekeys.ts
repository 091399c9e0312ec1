/** Others' prekeys, which begin sessions, and this device's own at the server (rule PREKEY-4). */
import { LibSignalErrorBase } from "@signalapp/libsignal-client";
import type { PreKeyBundles } from "../../protocol/http.ts";
import { LIMITS } from "../../protocol/limits.ts";
import { isGroup } from "../groups/state.ts";
import {
	addOneTimePreKeys,
	hasPendingUpload,
	markUploaded,
	pendingUpload,
	rotatePreKeys,
	rotationDue,
} from "../signal/keys.ts";
import { changeWaits } from "../store/group_entries.ts";
import { groupsWith } from "../store/group_roster.ts";
import { allOutbox } from "../store/outbox.ts";
import { onClaimFailed } from "./again.ts";
import type { Context } from "./context.ts";
import { isBlocked, noteBundleIdentity } from "./identity.ts";
import { failMessage } from "./sending.ts";

/** Begins sessions with the devices of an account that have none. */
export async function onClaimed(context: Context, account: string, bundles: PreKeyBundles | undefined): Promise<void> {
	context.claims.delete(account);
	const touched = conversationsWith(context, account);
	// Changes of groups may wait for the identity key of who made them, who needn't be a member any more.
	context.groups.settled.clear();
	if (bundles === undefined) {
		context.groups.gone.add(account);
		for (const peer of touched.filter(isGroup)) {
			context.connection(peer).claimed.add(account);
			context.touched.add(peer);
		}
		for (const row of allOutbox(context.store, account)) failMessage(context, row, "MEMBER_GONE");
		return;
	}
	if (account !== context.account.accountId) noteBundleIdentity(context, account, bundles.identityKey);
	for (const peer of touched) {
		context.connection(peer).claimed.add(account);
		context.touched.add(peer);
	}
	// Claimed again once a person has accepted the key.
	if (isBlocked(context, account)) return;
	let usable = 0;
	let unusable = 0;
	for (const device of bundles.devices) {
		const own = account === context.account.accountId && device.deviceId === context.account.deviceId;
		const session = context.cipher.currentSession(account, device.deviceId, context.now());
		if (own) continue;
		if (session?.remoteRegistrationId() === device.registrationId) {
			usable++;
			continue;
		}
		try {
			await context.cipher.begin(account, bundles.identityKey, device, context.now());
			usable++;
		} catch (error) {
			// A bundle with a bad signature or key: the device stays without a session, and the server says so.
			if (!(error instanceof LibSignalErrorBase)) throw error;
			context.notify({ type: "refused", peer: account, code: "BAD_PREKEYS", messageId: undefined });
			unusable++;
		}
	}
	if (usable > 0 || unusable === 0) {
		context.failedClaims.delete(account);
		return;
	}
	// Nothing to encrypt with: asked again after a while, since each claim costs the account its prekeys.
	for (const peer of touched) context.connection(peer).claimed.delete(account);
	onClaimFailed(context, account, true);
}

/** A peer's keys matter to the conversation with the peer and to groups; own devices' keys to all. */
function conversationsWith(context: Context, account: string): string[] {
	if (account === context.account.accountId) return [...context.connections.keys()];
	const groups = [...context.connections.keys()].filter(isGroup);
	const members = new Set(groups.length === 0 ? [] : groupsWith(context.store, account));
	const waiting = Number.MAX_SAFE_INTEGER;
	return [account, ...groups.filter((peer) => members.has(peer) || changeWaits(context.store, peer, waiting))];
}

/** The server has few one-time prekeys left: a new batch, unless one is on its way. */
export function onCounts(context: Context, ec: number, kyber: number): void {
	context.notify({ type: "prekey-counts", oneTimePreKeys: ec, oneTimeKyberPreKeys: kyber });
	const kinds = { ec: ec < LIMITS.prekeys_low, kyber: kyber < LIMITS.prekeys_low };
	if ((kinds.ec || kinds.kyber) && !hasPendingUpload(context.store)) {
		addOneTimePreKeys(context.store, context.environment.nowMs(), kinds);
	}
	requestUpload(context);
}

export function rotateIfDue(context: Context): void {
	const nowMs = context.environment.nowMs();
	if (!hasPendingUpload(context.store) && rotationDue(context.store, nowMs)) rotatePreKeys(context.store, nowMs);
	requestUpload(context);
}

/** The same set until it is known to be at the server. */
function requestUpload(context: Context): void {
	const upload = pendingUpload(context.store);
	if (upload !== undefined) context.request({ type: "upload-prekeys", upload });
}

export function onUploaded(context: Context): void {
	markUploaded(context.store);
}
