/** What people did with messages. What a message looks like is derived from these rows, in whatever order they came. */
import { LIMITS } from "../../protocol/limits.ts";
import type { Store } from "./database.ts";

export type ActionKind = "reaction" | "edit" | "delete" | "vote" | "close" | "timer";

export type ActionRow = {
	/** The account that did it. */
	actor: string;
	/** The content's id. */
	id: string;
	peer: string;
	/** The message: its author and id. A conversation's timer has the author "" and the peer in the place of the id. */
	author: string;
	message: string;
	kind: ActionKind;
	/** Place in the log; null until the server has it. */
	number: number | null;
	/** The server's time; this device's until the server has it. */
	time_ms: number;
	/** Serialised `Content`. */
	content: Uint8Array<ArrayBuffer>;
	/** 1 while the message isn't here. */
	waiting: number;
	/** For whom it was encrypted: only they may ask for it again. */
	addressed: string | null;
};

export function addAction(store: Store, row: Omit<ActionRow, "addressed">): boolean {
	const changes = store.run(
		`INSERT INTO actions (actor, id, peer, author, message, kind, number, time_ms, content, waiting)
		 VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (actor, id) DO NOTHING`,
		[
			...[row.actor, row.id, row.peer, row.author, row.message, row.kind, row.number, row.time_ms],
			...[row.content, row.waiting],
		],
	);
	return changes > 0;
}

export function findAction(store: Store, actor: string, id: string): ActionRow | undefined {
	return store.get<ActionRow>("SELECT * FROM actions WHERE actor = ? AND id = ?", [actor, id]);
}

export function removeAction(store: Store, actor: string, id: string): void {
	store.run("DELETE FROM actions WHERE actor = ? AND id = ?", [actor, id]);
}

/** All that was done with a message in a conversation. */
export function actionsOf(store: Store, peer: string, author: string, message: string): ActionRow[] {
	return store.all<ActionRow>("SELECT * FROM actions WHERE author = ? AND message = ? AND peer = ?", [
		author,
		message,
		peer,
	]);
}

/** The server has it. */
export function acceptAction(store: Store, actor: string, id: string, number: number, timeMs: number): void {
	store.run("UPDATE actions SET number = ?, time_ms = ? WHERE actor = ? AND id = ?", [number, timeMs, actor, id]);
}

/** For whom an own action was encrypted. */
export function setActionAddressed(store: Store, actor: string, id: string, addressed: string): void {
	store.run("UPDATE actions SET addressed = ? WHERE actor = ? AND id = ?", [addressed, actor, id]);
}

/** The message has come: what waited for it waits no longer. */
export function endWaiting(store: Store, author: string, message: string): void {
	store.run("UPDATE actions SET waiting = 0 WHERE author = ? AND message = ? AND waiting = 1", [author, message]);
}

/** Of what waits in a conversation the newest is kept, whatever came first. */
export function limitWaiting(store: Store, peer: string): void {
	store.run(
		`DELETE FROM actions WHERE peer = ? AND waiting = 1 AND number <= (SELECT number FROM actions
		 WHERE peer = ? AND waiting = 1 ORDER BY number DESC LIMIT 1 OFFSET ?)`,
		[peer, peer, LIMITS.waiting_actions],
	);
}

/** Of what one account did of one kind with one message the newest is kept, whatever came first. */
export function limitActions(store: Store, { actor, author, message, kind }: Omit<ActionRow, "addressed">): void {
	store.run(
		`DELETE FROM actions WHERE actor = ? AND author = ? AND message = ? AND kind = ? AND number <= (SELECT number
		 FROM actions WHERE actor = ? AND author = ? AND message = ? AND kind = ? AND number IS NOT NULL
		 ORDER BY number DESC LIMIT 1 OFFSET ?)`,
		[actor, author, message, kind, actor, author, message, kind, LIMITS.actions_per_message],
	);
}

/** What was done with a message goes with it; its deletion stays, so that nothing of it comes back. */
export function removeActionsOf(store: Store, author: string, message: string): void {
	store.run("DELETE FROM actions WHERE author = ? AND message = ? AND kind <> 'delete'", [author, message]);
}

/** Conversations whose timer was changed, and when that was last. */
export function changedTimers(store: Store): { peer: string; changed_ms: number }[] {
	return store.all<{ peer: string; changed_ms: number }>(
		"SELECT peer, MAX(time_ms) AS changed_ms FROM actions WHERE author = '' AND kind = 'timer' GROUP BY peer",
	);
}
