/** Whether a change of a group is one that its author was allowed to make (rule GROUP-10). Pure. */
import type { GroupChange } from "../../protocol/gen/group_pb.js";
import { uuidFromBytes } from "../../protocol/ids.ts";
import { differenceOf, type StateDifference } from "./difference.ts";
import { isAdmin, isMember, type Present, permits } from "./roles.ts";
import { type GroupState, type Member, parseMembers, parseRules, sameRules } from "./state.ts";

/** No author has seen more changes than another by so many, after a server was put back (rule GROUP-19). */
const RANKS_AHEAD = 1_000;

/** What is checked beside the signature, which the caller has verified. */
export interface Claim {
	/** 64 hex digits: the group in whose log the change stands. */
	group: string;
	/** The last state that was verified; undefined before the first. */
	before: GroupState | undefined;
	after: GroupState;
	/** Who signed the new state. */
	author: string;
	/** Whose entry it is, as the server says; undefined where the state doesn't come from the log. */
	sender: string | undefined;
	/** What the server was told. */
	change: GroupChange;
	present: Present;
	/** The account whose device this is. */
	self: string;
}

/** Why a change is refused. */
export type Objection =
	| "other_group"
	| "other_version"
	| "other_author"
	| "other_than_announced"
	| "author_is_no_member"
	| "not_for_us"
	| "may_not_add"
	| "may_not_remove"
	| "may_not_change_roles"
	| "may_not_change_rules"
	| "may_not_edit"
	| "may_not_decline"
	| "may_not_join";

/** Undefined where nothing speaks against the change. */
export function objectionTo(claim: Claim): Objection | undefined {
	const { before, after, author, sender, change, self } = claim;
	if (after.group !== claim.group) return "other_group";
	if (after.version !== change.version || after.rank <= (before?.rank ?? 0)) return "other_version";
	// Nobody may use up the ranks.
	if (after.rank > Math.max(after.version, (before?.rank ?? after.rank) + RANKS_AHEAD)) return "other_version";
	if (sender !== undefined && sender !== author) return "other_author";
	if (before === undefined) return objectionToFirst(after, author, self);
	const difference = differenceOf(before, after);
	// Where changes are missing, what the server was told of this one is not the whole difference.
	const whole = after.rank === before.rank + 1;
	if (whole && sender !== undefined && !announces(change, difference, after)) return "other_than_announced";
	return isMember(before, author)
		? objectionToMember(claim, before, difference)
		: objectionToGuest(claim, before, difference);
}

/** The first state that a device sees: trusted like a first key. */
function objectionToFirst(after: GroupState, author: string, self: string): Objection | undefined {
	if (after.version === 1 && !after.members.some(({ account, role }) => account === author && role === "admin")) {
		return "author_is_no_member";
	}
	return isMember(after, self) ? undefined : "not_for_us";
}

function objectionToMember(claim: Claim, before: GroupState, difference: StateDifference): Objection | undefined {
	const { author, present, change } = claim;
	if (isAdmin(before, author, present)) return undefined;
	const { added, removed, roles, rules, link, edited } = difference;
	const mayAdd = permits(before, author, before.rules.add, present);
	if (added.length > 0 && (!mayAdd || added.some(({ role }) => role === "admin"))) return "may_not_add";
	if (removed.some((account) => account !== author)) return "may_not_remove";
	if (roles.length > 0) return "may_not_change_roles";
	if (rules || link) return "may_not_change_rules";
	if (edited && !permits(before, author, before.rules.edit, present)) return "may_not_edit";
	return change.declined.length > 0 ? "may_not_decline" : undefined;
}

/** By the link: oneself, as a member, and nothing else. */
function objectionToGuest(claim: Claim, before: GroupState, difference: StateDifference): Objection | undefined {
	const { added, removed, roles, rules, link, edited } = difference;
	if (added.length === 0) return "author_is_no_member";
	const alone = added.length === 1 && added[0]?.account === claim.author && added[0].role === "member";
	const nothingElse =
		removed.length + roles.length === 0 && !rules && !link && !edited && claim.change.declined.length === 0;
	return alone && nothingElse && before.rules.link && !before.rules.approval ? undefined : "may_not_join";
}

/**
 * Whether what the server was told fits the new state. It may be less than the difference: the server leaves out
 * accounts that are gone; and members may come to the roster, and others leave it, whom the state of before listed or
 * didn't already: an admin brings back a roster that the server had put back (rule GROUP-19). Nobody comes whom the
 * state doesn't list, and nobody goes whom it does.
 */
function announces(change: GroupChange, difference: StateDifference, after: GroupState): boolean {
	const added = parseMembers(change.added);
	const roles = parseMembers(change.roles);
	if (added === undefined || roles === undefined || !change.removed.every((account) => account.length === 16))
		return false;
	const listed = new Set(after.members.map(({ account }) => account));
	if (change.removed.some((account) => listed.has(uuidFromBytes(account)))) return false;
	if (!isPart(added, after.members) || !isPart(roles, difference.roles)) return false;
	if (roles.length < difference.roles.length) return false;
	const rules = change.rules === undefined ? undefined : parseRules(change.rules);
	if (change.rules !== undefined && rules === undefined) return false;
	return rules === undefined ? !difference.rules : sameRules(rules, after.rules);
}

function isPart(some: readonly Member[], all: readonly Member[]): boolean {
	const roles = new Map(all.map(({ account, role }) => [account, role]));
	return some.every(({ account, role }) => roles.get(account) === role);
}
