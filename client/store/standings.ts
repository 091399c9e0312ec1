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
