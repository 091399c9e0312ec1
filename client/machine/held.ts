/**
 * After a connection an account with several devices first hears what the others of them have done: what another one has
 * read and what has disappeared since is then never shown here (rule TIMER-4). Until then other conversations wait.
 */
import { knowsOwnDevices } from "../store/conversations.ts";
import type { Context } from "./context.ts";

/** After so long nothing waits any more, whatever became of the conversation with oneself. */
const WAIT_MS = 3_000;

/** The account's socket is open: the server says now what is new. */
export function beginHolding(context: Context): void {
	context.held.clear();
	context.holding = knowsOwnDevices(context.store, context.account);
	const { accountId } = context.account;
	if (context.holding) context.request({ type: "wake", account: accountId, afterMs: WAIT_MS });
}

/** Opens a conversation that has news, at once or after the one with oneself. */
export function openOrHold(context: Context, peer: string): void {
	if (context.holding && peer !== context.account.accountId) context.held.add(peer);
	else if (!context.connection(peer).open) context.request({ type: "open-conversation", peer });
}

/** All news is known: where the conversation with oneself has none, or is here already, nothing has to wait. */
export function endOfNews(context: Context): void {
	const { accountId } = context.account;
	const { open, news } = context.connection(accountId);
	if (open ? context.groups.caughtUp.has(accountId) : news === undefined) release(context);
}

/** What the other devices have done is known, or will not be for now. */
export function release(context: Context): void {
	context.holding = false;
	for (const peer of context.held) {
		if (!context.connection(peer).open) context.request({ type: "open-conversation", peer });
	}
	context.held.clear();
}
