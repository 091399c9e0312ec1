/** How people name a group: `group:` with its title, or with the beginning of its id. */
import { Failure } from "../failure.ts";
import type { Store } from "../store/database.ts";
import { allGroups, lockedGroups } from "../store/groups.ts";
import { GROUP_PATTERN } from "./state.ts";

const PREFIX = "group:";
/** Of a beginning of an id: shorter ones are titles. */
const ID_DIGITS_MIN = 4;

/** Whether the name means a group, by what it begins with or by being a whole id. */
export function isGroupReference(name: string): boolean {
	return name.startsWith(PREFIX) || GROUP_PATTERN.test(name);
}

/**
 * The group's id. `name` is with or without `group:`; with the own account groups are found too that this device can't
 * read. Throws `Failure` `no_such_group` and `bad_argument`.
 */
export function findGroupByName(store: Store, name: string, own?: string): string {
	const wanted = (name.startsWith(PREFIX) ? name.slice(PREFIX.length) : name).trim();
	const groups = allGroups(store);
	const titled = groups.filter(({ title }) => title.toLowerCase() === wanted.toLowerCase());
	const beginning = new RegExp(`^[0-9a-f]{${ID_DIGITS_MIN},64}$`).test(wanted);
	const all = [...groups.map(({ peer }) => peer), ...(own === undefined ? [] : lockedGroups(store, own))];
	const found =
		titled.length > 0 ? titled.map(({ peer }) => peer) : all.filter((peer) => beginning && peer.startsWith(wanted));
	const [one, more] = found;
	if (one === undefined) throw new Failure("no_such_group", `there is no group ${wanted} here: see parley group list`);
	if (more !== undefined) {
		const ids = found.map((peer) => `${PREFIX}${peer.slice(0, 8)}`).join(", ");
		throw new Failure("bad_argument", `several groups are called ${wanted}: ${ids}`);
	}
	return one;
}

/** The failure of a username that nobody has. A group of that title may be what was meant. */
export function noSuchUser(store: Store, username: string): Failure {
	const group = allGroups(store).some(({ title }) => title.toLowerCase() === username.toLowerCase());
	const hint = group ? `the group is ${PREFIX}${username}` : "are they registered?";
	return new Failure("no_such_user", `nobody is called ${username}: ${hint}`);
}
