/** How conversations are set up on this device. */
import type { Store } from "./database.ts";
import { Remembered } from "./remembered.ts";

/** Every text asks for its conversation's timer. */
const TIMERS = new Remembered(() => new Map<string, number>());
const TIMERS_MAX = 256;

/** Seconds after which messages disappear; 0: they stay. */
export function timerOf(store: Store, peer: string): number {
	const timers = TIMERS.of(store);
	const known = timers.get(peer);
	if (known !== undefined) return known;
	const seconds = store.value<number>("SELECT timer_seconds AS value FROM standings WHERE peer = ?", [peer]) ?? 0;
	if (timers.size >= TIMERS_MAX) timers.clear();
	timers.set(peer, seconds);
	return seconds;
}

export function setTimer(store: Store, peer: string, seconds: number): void {
	TIMERS.of(store).delete(peer);
	store.run(
		`INSERT INTO standings (peer, timer_seconds) VALUES (?, ?)
		 ON CONFLICT (peer) DO UPDATE SET timer_seconds = excluded.timer_seconds`,
		[peer, seconds],
	);
}

/** A text that was begun and not sent. */
export function draftOf(store: Store, peer: string): string | undefined {
	return store.value<string | null>("SELECT draft AS value FROM standings WHERE peer = ?", [peer]) ?? undefined;
}

export function setDraft(store: Store, peer: string, draft: string | undefined): void {
	store.run(
		"INSERT INTO standings (peer, draft) VALUES (?, ?) ON CONFLICT (peer) DO UPDATE SET draft = excluded.draft",
		[peer, draft ?? null],
	);
}

/** Whether the user has accepted a peer or written to them. */
export function isAccepted(store: Store, peer: string): boolean {
	return store.value<number>("SELECT accepted AS value FROM standings WHERE peer = ?", [peer]) === 1;
}

export function setAcceptedPeer(store: Store, peer: string): void {
	store.run("INSERT INTO standings (peer, accepted) VALUES (?, 1) ON CONFLICT (peer) DO UPDATE SET accepted = 1", [
		peer,
	]);
}

/** Peers with messages that the user has not accepted, the newest first. */
export function strangers(store: Store): string[] {
	return store
		.all<{ peer: string }>(
			`SELECT m.peer FROM messages m LEFT JOIN standings s ON s.peer = m.peer
			 WHERE COALESCE(s.accepted, 0) = 0 AND COALESCE(s.blocked, 0) = 0 AND m.outgoing = 0 AND length(m.peer) = 36
			 GROUP BY m.peer ORDER BY MAX(m.row) DESC`,
		)
		.map(({ peer }) => peer);
}

/** Whether the user blocks a peer, and whether the server is still to be told. */
export function blockOf(store: Store, peer: string): { blocked: boolean; due: boolean } {
	const row = store.get<{ blocked: number; block_due: number }>(
		"SELECT blocked, block_due FROM standings WHERE peer = ?",
		[peer],
	);
	return { blocked: row?.blocked === 1, due: row?.block_due === 1 };
}

/** Whom the user blocks. */
export function blockedPeers(store: Store): string[] {
	return store
		.all<{ peer: string }>("SELECT peer FROM standings WHERE blocked = 1 ORDER BY peer")
		.map(({ peer }) => peer);
}

export function setBlock(store: Store, peer: string, block: { blocked: boolean; due: boolean }): void {
	store.run(
		`INSERT INTO standings (peer, blocked, block_due) VALUES (?, ?, ?)
		 ON CONFLICT (peer) DO UPDATE SET blocked = excluded.blocked, block_due = excluded.block_due`,
		[peer, block.blocked ? 1 : 0, block.due ? 1 : 0],
	);
}

/** The peer was there at this time. */
export function setSeen(store: Store, peer: string, seenMs: number): void {
	store.run(
		"INSERT INTO standings (peer, seen_ms) VALUES (?, ?) ON CONFLICT (peer) DO UPDATE SET seen_ms = excluded.seen_ms",
		[peer, seenMs],
	);
}

/** When the peer was there last, as far as this device has noticed. */
export function seenMs(store: Store, peer: string): number | undefined {
	return store.value<number | null>("SELECT seen_ms AS value FROM standings WHERE peer = ?", [peer]) ?? undefined;
}
