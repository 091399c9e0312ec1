/** Whether something may be sent to somebody, as far as this device knows. */
import { identityChanged } from "./arguments.ts";
import { Failure } from "./failure.ts";
import { isGroup } from "./groups/state.ts";
import type { Store } from "./store/database.ts";
import { findGroup } from "./store/groups.ts";
import { identityState } from "./store/queries.ts";
import { blockOf } from "./store/standings.ts";

/**
 * Throws `Failure` `identity_changed` (rule CLIENT-3), `bad_argument` for whom the user blocks, and `refused` for a group in
 * which the user is not any more.
 */
export function assertSendable(store: Store, peer: string, name: string): void {
	if (isGroup(peer)) {
		const group = findGroup(store, peer);
		if (group !== undefined && group.version > 0 && group.member === 0)
			throw new Failure("refused", `you are not a member of ${name} any more`);
		return;
	}
	if (identityState(store, peer) === "blocked") throw identityChanged(name);
	if (blockOf(store, peer).blocked) throw new Failure("bad_argument", `you block ${name}: parley unblock ${name}`);
}
