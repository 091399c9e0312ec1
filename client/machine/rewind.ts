/** What the server says of positions in the log, and the way back from those that were never true (rule CLIENT-6). */
import { isGroup } from "../groups/state.ts";
import { conversation, rewind } from "../store/conversations.ts";
import { lowerSeenVersion } from "../store/groups.ts";
import { failBeyond } from "../store/messages.ts";
import { forgetReadTimes } from "../store/read_times.ts";
import type { Context } from "./context.ts";
import { sayHello } from "./hello.ts";

/** No log grows by more while a connection is open: what is further on is not believed. */
const NUMBERS_AHEAD = 1_000_000;

/** Whether a number can be one of this conversation. Those that can't are told, once for each connection. */
export function isPlausible(context: Context, peer: string, number: number): boolean {
	const connection = context.connection(peer);
	if (number <= connection.head + NUMBERS_AHEAD) {
		connection.head = Math.max(connection.head, number);
		return true;
	}
	if (!connection.doubted) {
		connection.doubted = true;
		context.notify({ type: "refused", peer, code: "IMPLAUSIBLE_NUMBER", messageId: undefined });
	}
	return false;
}

/**
 * The log ends before what this device has seen of it: the server was restored from a backup, or has lied. What is here
 * stays; entries come again from the last one that is stored below the head, and repeats are known by their ratchet and
 * id. Returns false where the position here is not beyond the head.
 */
export function goBack(context: Context, peer: string, head: number): boolean {
	const { cursor, read } = conversation(context.store, peer);
	if (cursor <= head && read <= head) return false;
	failBeyond(context.store, peer, head);
	const position = rewind(context.store, peer, head);
	forgetReadTimes(context.store, peer, head);
	// Changes after the head are lost: their versions come again (rule GROUP-19).
	if (isGroup(peer)) lowerSeenVersion(context.store, peer, 0);
	context.notify({ type: "log-went-back", peer, from: Math.max(cursor, read), to: head });
	const connection = context.connection(peer);
	connection.acknowledged = position;
	// A refused greeting can be said again on the same connection.
	if (!connection.welcomed) sayHello(context, peer);
	return true;
}
