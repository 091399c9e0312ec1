/** The first device of a new account. */
import { checkedName } from "./arguments.ts";
import { Failure } from "./failure.ts";
import type { LocalAccount } from "./machine/interface.ts";
import { completeRegistration, makeRegistration } from "./signal/registration.ts";
import { localAccount } from "./store/account.ts";
import type { Store } from "./store/database.ts";
import type { Clock } from "./transport/clock.ts";
import { Api } from "./transport/http.ts";

/** Where accounts are registered at first. */
export const DEFAULT_SERVER = "http://127.0.0.1:8787";

/** Makes an account. The same again after a crash goes on with the same keys (rule ACCOUNT-1). */
export async function registerAccount(
	{ store, clock, server }: { store: Store; clock: Clock; server: string },
	name: string,
	deviceName?: string,
): Promise<LocalAccount> {
	const username = checkedName(name);
	const existing = localAccount(store);
	if (existing !== undefined) {
		if (existing.username === username) return existing;
		throw new Failure("already_registered", `this data directory belongs to ${existing.username}: use another --data`);
	}
	const request = makeRegistration(store, username, server, clock.nowMs(), deviceName);
	const answer = await new Api({ server, clock }).register(request);
	return completeRegistration(store, answer);
}
