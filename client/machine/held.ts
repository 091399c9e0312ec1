/**
 * After a connection an account with several devices first hears what the others of them have done: what another one has
 * read and what has disappeared since is then never shown here (rule TIMER-4). Until then other conversations wait.
 */
import { knowsOwnDevices } from "../store/conversations.ts";
import type { Context } from "./context.ts";
import { sayHello } from "./hello.ts";

/** After so long nothing waits any more, whatever became of the conversation with oneself. */
const WAIT_MS = 3_000;

/** The account's socket is open: the server says now what is new. */
export function beginHolding(context: Context): void {
	context.holding = knowsOwnDevices(context.store, context.account);
	const { accountId } = context.account;
	if (context.holding) context.request({ type: "wake", account: accountId, afterMs: WAIT_MS });
	else release(context);
}

/** Opens a conversation that has news, at once or after the one with oneself. */
export function openOrHold(context: Context, peer: string): void {
	if (context.holding && peer !== context.account.accountId) context.held.add(peer);
	else if (!context.connection(peer).open) context.request({ type: "open-conversation", peer });
}

/**
 * Greets a conversation whose connection is open, at once or after the one with oneself: whoever sends or chats opens it
 * before the account's socket has told of anything, or without that.
 */
export function greetOrHold(context: Context, peer: string): void {
	const { accountId } = context.account;
	if (peer === accountId) {
		sayHello(context, peer);
		return;
	}
	if (!context.heard && !context.holding) {
		beginHolding(context);
		if (context.holding) openOrHold(context, accountId);
	}
	if (context.holding) context.held.add(peer);
	else sayHello(context, peer);
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
	context.heard = true;
	for (const peer of context.held) {
		if (context.connection(peer).open) sayHello(context, peer);
		else context.request({ type: "open-conversation", peer });
	}
	context.held.clear();
}

/** The account's socket has closed, which tells of news: what it told of it tells again. */
export function onLineGone(context: Context): void {
	context.heard = false;
	for (const peer of context.held) if (!context.connection(peer).open) context.held.delete(peer);
	// Whoever is connected and not greeted yet is, at the latest when the wait is over.
	context.holding = context.held.size > 0;
}

/** The conversation with oneself has closed: nothing comes there now. */
export function onOwnClosed(context: Context): void {
	release(context);
	context.heard = context.accountOpen;
}

/** All connections are closed. */
export function forgetHeard(context: Context): void {
	context.holding = false;
	context.heard = false;
	context.held.clear();
}
