/** What two states of a group differ in. Pure. */
import { type GroupState, type Member, sameRules } from "./state.ts";

export interface StateDifference {
	added: Member[];
	removed: string[];
	roles: Member[];
	rules: boolean;
	/** The invite link's secret. */
	link: boolean;
	/** Title, description or picture. */
	edited: boolean;
}

export function differenceOf(before: GroupState, after: GroupState): StateDifference {
	const old = new Map(before.members.map(({ account, role }) => [account, role]));
	const now = new Set(after.members.map(({ account }) => account));
	return {
		added: after.members.filter(({ account }) => !old.has(account)),
		removed: before.members.filter(({ account }) => !now.has(account)).map(({ account }) => account),
		roles: after.members.filter(({ account, role }) => old.has(account) && old.get(account) !== role),
		rules: !sameRules(before.rules, after.rules),
		link: Buffer.compare(before.linkSecret, after.linkSecret) !== 0,
		edited:
			before.title !== after.title ||
			before.description !== after.description ||
			Buffer.compare(before.picture, after.picture) !== 0,
	};
}
