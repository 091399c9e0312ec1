/** What the machine remembers of groups between steps. */
import type { GroupState } from "../../groups/state.ts";

/** What the machine remembers of groups between steps; nothing here has to survive. */
export class GroupMemory {
	/** Parsed states, by group. */
	readonly states = new Map<string, GroupState>();
	/** Accounts on rosters, with the roster version. */
	readonly present = new Map<string, { version: number; accounts: ReadonlySet<string> }>();
	/** Roster versions for which everybody who can have the sender key has it. */
	readonly complete = new Map<string, number>();
	/** Devices (`account.device`) that can't be given the key on this connection and roster. */
	readonly leftOut = new Map<string, Set<string>>();
	/** Groups of which no entry waits that could be opened by now; after a start every group may have some. */
	readonly settled = new Set<string>();
	/** Groups whose log is here up to its head. */
	readonly caughtUp = new Set<string>();
	/** Groups whose state was asked for on this connection: one that can't be believed is not asked for again at once. */
	readonly fetched = new Set<string>();
	/** Calls to the server that are on the way, by wire id, or by `fetch` and the group. */
	readonly calls = new Set<string>();
	/** Accounts that the server says are gone. */
	readonly gone = new Set<string>();
	/** Signatures that did not fit, for which the author's key was asked for once more. */
	readonly doubted = new Set<string>();

	/** As after a failed step: sockets and calls are lost too. */
	forget(): void {
		const all = [
			this.fetched,
			this.states,
			this.present,
			this.complete,
			this.leftOut,
			this.settled,
			this.caughtUp,
			this.calls,
		];
		for (const one of [...all, this.gone, this.doubted]) one.clear();
	}

	/** The roster is another one, or the connection: whoever was left out may be reached now. */
	rosterChanged(peer: string): void {
		this.complete.delete(peer);
		this.leftOut.delete(peer);
	}

	/** Something has come that waiting entries may have waited for. */
	unsettle(peer: string): void {
		this.settled.delete(peer);
	}

	leftOutOf(peer: string): Set<string> {
		const known = this.leftOut.get(peer) ?? new Set<string>();
		this.leftOut.set(peer, known);
		return known;
	}
}
