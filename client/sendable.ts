/** Whether something may be sent to somebody, as far as this device knows. */
import { identityChanged } from "./arguments.ts";
import { Failure } from "./failure.ts";
import type { Store } from "./store/database.ts";
import { identityState } from "./store/queries.ts";
import { blockOf } from "./store/standings.ts";

/** Throws `Failure` `identity_changed` (rule CLIENT-3), and `bad_argument` for whom the user blocks. */
export function assertSendable(store: Store, peer: string, name: string): void {
	if (identityState(store, peer) === "blocked") throw identityChanged(name);
	if (blockOf(store, peer).blocked) throw new Failure("bad_argument", `you block ${name}: parley unblock ${name}`);
}
