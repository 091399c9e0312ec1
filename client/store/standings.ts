/** How conversations are set up on this device. */
import type { Store } from "./database.ts";

/** Seconds after which messages disappear; 0: they stay. */
export function timerOf(store: Store, peer: string): number {
	return store.value<number>("SELECT timer_seconds AS value FROM standings WHERE peer = ?", [peer]) ?? 0;
}

export function setTimer(store: Store, peer: string, seconds: number): void {
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
