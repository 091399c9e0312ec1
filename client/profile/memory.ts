/** Every text asks whether its peer has the own profile: what is known is kept in memory. */
import type { Store } from "../store/database.ts";
import { profileOf, profileSentMs } from "../store/profiles.ts";

const PEERS_MAX = 1_000;

export class ProfileMemory {
	/** Of the own profile; undefined until somebody has looked, 0 where there is none. */
	#changedMs: number | undefined;
	readonly #informed = new Set<string>();

	/** Whether a peer lacks the own profile of now. */
	isNews(store: Store, own: string, peer: string): boolean {
		this.#changedMs ??= Number(profileOf(store, own)?.changedMs ?? 0n);
		if (this.#changedMs === 0 || this.#informed.has(peer)) return false;
		if (profileSentMs(store, peer) < this.#changedMs) return true;
		this.sent(peer);
		return false;
	}

	sent(peer: string): void {
		if (this.#informed.size >= PEERS_MAX) this.#informed.clear();
		this.#informed.add(peer);
	}

	/** The profile has changed, or a step was undone. */
	forget(): void {
		this.#changedMs = undefined;
		this.#informed.clear();
	}
}
