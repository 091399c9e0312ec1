/** How people and groups are called on this device, and whom such a name means, without asking anybody. */
import { Failure } from "./failure.ts";
import { isGroup, parseState } from "./groups/state.ts";
import { localAccount } from "./store/account.ts";
import { accountsBeginning, contactName } from "./store/contacts.ts";
import type { Store } from "./store/database.ts";
import { allGroups, findGroup } from "./store/groups.ts";

const PREFIX = "id:";
/** Of an account id, where its username is not known: enough to tell people apart. */
const SHOWN_DIGITS = 8;
const DIGITS_MIN = 4;

/** The username where it is known, else `id:` with the beginning of the account id; for a group its title. */
export function nameOf(store: Store, peer: string): string {
	if (isGroup(peer)) return findGroup(store, peer)?.title || `group:${peer.slice(0, SHOWN_DIGITS)}`;
	const own = localAccount(store);
	if (own?.accountId === peer) return own.username;
	return contactName(store, peer) ?? `${PREFIX}${peer.slice(0, SHOWN_DIGITS)}`;
}

/** Whether a name is `id:` with the beginning of an account id. */
export function isAccountReference(name: string): boolean {
	return name.startsWith(PREFIX);
}

/** The account that is known here and whose id begins so. Throws `Failure` `no_such_user` and `bad_argument`. */
export function accountBeginning(store: Store, name: string): string {
	const digits = name.slice(PREFIX.length).toLowerCase();
	if (!/^[0-9a-f-]*$/.test(digits) || digits.length < DIGITS_MIN) {
		throw new Failure("bad_argument", `${PREFIX} is followed by at least ${DIGITS_MIN} digits of an account id`);
	}
	const members = allGroups(store).flatMap((row) => (row.state === null ? [] : (parseState(row.state)?.members ?? [])));
	const found = new Set(accountsBeginning(store, digits));
	for (const { account } of members) if (account.startsWith(digits)) found.add(account);
	const [one, ...more] = found;
	if (one === undefined)
		throw new Failure("no_such_user", `nobody whose account id begins with ${digits} is known here`);
	if (more.length > 0) throw new Failure("bad_argument", `several accounts begin so: ${[...found].sort().join(", ")}`);
	return one;
}
