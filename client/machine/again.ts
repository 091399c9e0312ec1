/** Trying again later: what failed for the moment, and how long it waits. */
import { isGroup } from "../groups/state.ts";
import { groupsWith } from "../store/group_roster.ts";
import type { Context } from "./context.ts";
import { release } from "./held.ts";
import { resendLimited } from "./sending.ts";

const FIRST_MS = 1_000;
const LONGEST_MS = 60_000;

/**
 * Milliseconds until the next attempt: doubling from 1 s to a minute, the second half of it by chance, so that clients
 * which failed together do not come back together. `failures` counts those in a row, from 1.
 */
export function waitMs(failures: number, randomBytes: (count: number) => Uint8Array): number {
	const ceiling = Math.min(LONGEST_MS, FIRST_MS * 2 ** Math.min(failures - 1, 16));
	const chance = (randomBytes(1)[0] ?? 0) / 256;
	return Math.floor((ceiling * (1 + chance)) / 2);
}

/** The claim is made again after a while, or as soon as the conversation's connection is new. */
export function onClaimFailed(context: Context, account: string, unusable = false): void {
	context.claims.delete(account);
	const failures = (context.failedClaims.get(account)?.failures ?? 0) + 1;
	context.failedClaims.set(account, { failures, waiting: true, unusable });
	const afterMs = waitMs(failures, (count) => context.environment.randomBytes(count));
	context.request({ type: "wake", account, afterMs });
}

/** A send came too fast: it goes again when the server says, and no later than after a minute. */
export function onLimited(context: Context, peer: string, id: string, retryAfterMs: number): void {
	const { limited } = context.connection(peer);
	// One wake for all that were refused together.
	if (limited.size === 0) {
		const afterMs = Math.min(LONGEST_MS, Math.max(FIRST_MS, retryAfterMs));
		context.request({ type: "wake", account: peer, afterMs });
	}
	limited.add(id);
}

/** The wait is over. */
export function onWake(context: Context, account: string): void {
	// A wake of before, or one for prekeys, is no end of a wait: nothing was heard.
	if (account === context.account.accountId && context.holding) release(context);
	const failed = context.failedClaims.get(account);
	if (failed !== undefined) context.failedClaims.set(account, { ...failed, waiting: false });
	// Keys of own devices are needed in every conversation.
	const peers =
		account === context.account.accountId
			? [...context.connections.keys()]
			: [account, ...groupsWith(context.store, account)];
	for (const peer of peers) {
		if (isGroup(peer)) context.groups.rosterChanged(peer);
		resendLimited(context, peer);
		context.touched.add(peer);
	}
}
