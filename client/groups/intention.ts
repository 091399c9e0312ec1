/** What people want of a group, and the state that comes of it. Pure: rebased on a newer state it is tried again. */
import { LIMITS } from "../../protocol/limits.ts";
import { GROUP_TEXT } from "./limits.ts";
import { isAdmin, isMember, type Present, permits } from "./roles.ts";
import { type GroupState, type Member, oneLine, type Role, type Rules } from "./state.ts";

/** What a person wants to change in a group: made anew on each state until it fits (rule GROUP-15). */
export type Intention =
	| { do: "add"; accounts: string[] }
	/** `secret`, base64url, renews an invite link: who is removed may know the one of before (rule GROUP-18). */
	| { do: "remove"; accounts: string[]; secret: string }
	| { do: "leave" }
	| { do: "role"; account: string; role: Role }
	| { do: "rename"; title: string }
	| { do: "describe"; description: string }
	/** base64 of a serialized `Attachment`; empty: none. */
	| { do: "picture"; picture: string }
	| { do: "rules"; rules: { [Rule in "add" | "edit" | "send"]?: Rules[Rule] | undefined } }
	/** `secret`, base64url, is taken where there is no link yet, or `reset` ends the one of before. */
	| { do: "link"; on: boolean; approval: boolean; reset: boolean; secret: string }
	| { do: "join"; secret: string }
	/** Lets somebody in who asked. */
	| { do: "approve"; account: string }
	| { do: "decline"; account: string };

/** Why an intention comes to nothing. */
export type Senseless =
	| "nothing_to_do"
	| "not_a_member"
	| "no_such_member"
	| "already_a_member"
	| "joined_already"
	| "member_gone"
	| "not_permitted"
	| "last_admin"
	| "group_full"
	| "bad_title";

/** The members, texts and rules after the intention; the version is for the caller. */
export function intend(
	state: GroupState,
	actor: string,
	intention: Intention,
	present: Present,
): GroupState | Senseless {
	const admin = isAdmin(state, actor, present);
	if (intention.do === "join") return joined(state, actor);
	if (!isMember(state, actor)) return "not_a_member";
	switch (intention.do) {
		case "add":
			if (!permits(state, actor, state.rules.add, present)) return "not_permitted";
			return withAdded(state, intention.accounts, present);
		case "approve":
			return admin ? withAdded(state, [intention.account], present) : "not_permitted";
		case "decline":
			if (!admin) return "not_permitted";
			return isMember(state, intention.account) ? "already_a_member" : state;
		case "remove":
			return admin ? withRemoved(state, intention) : "not_permitted";
		case "leave":
			return leaving(state, actor);
		case "role":
			return admin ? withRole(state, intention.account, intention.role) : "not_permitted";
		case "rules":
			return admin ? withRules(state, intention.rules) : "not_permitted";
		case "link":
			return admin ? withLink(state, intention) : "not_permitted";
		case "rename":
			if (!isTitle(intention.title)) return "bad_title";
			return mayEdit(state, actor, present) ? changed(state, { title: intention.title }) : "not_permitted";
		case "describe":
			if (intention.description.length > GROUP_TEXT.description) return "bad_title";
			return mayEdit(state, actor, present) ? changed(state, { description: intention.description }) : "not_permitted";
		case "picture": {
			const picture = new Uint8Array(Buffer.from(intention.picture, "base64"));
			if (Buffer.compare(picture, state.picture) === 0) return "nothing_to_do";
			return mayEdit(state, actor, present) ? { ...state, picture } : "not_permitted";
		}
		default:
			return intention satisfies never;
	}
}

export function isTitle(title: string): boolean {
	return title.trim() !== "" && title.length <= GROUP_TEXT.title && oneLine(title) === title;
}

function mayEdit(state: GroupState, actor: string, present: Present): boolean {
	return permits(state, actor, state.rules.edit, present);
}

function changed(state: GroupState, change: Partial<GroupState>): GroupState | Senseless {
	const after = { ...state, ...change };
	const same =
		after.title === state.title &&
		after.description === state.description &&
		JSON.stringify(after.rules) === JSON.stringify(state.rules);
	return same ? "nothing_to_do" : after;
}

function withRules(state: GroupState, wanted: Extract<Intention, { do: "rules" }>["rules"]): GroupState | Senseless {
	const { rules } = state;
	const { add = rules.add, edit = rules.edit, send = rules.send } = wanted;
	return changed(state, { rules: { ...rules, add, edit, send } });
}

/** Whom somebody else has added meanwhile is left out; with nobody left there is nothing to do. */
function withAdded(state: GroupState, accounts: readonly string[], present: Present): GroupState | Senseless {
	const added = [...new Set(accounts)].filter((account) => !isMember(state, account));
	// Who left without the group's key (rule GROUP-20) is in the state until an admin removes it there.
	if (added.length === 0 && accounts.some((account) => present?.has(account) === false)) return "member_gone";
	if (added.length === 0) return "already_a_member";
	const members: Member[] = [...state.members, ...added.map((account) => ({ account, role: "member" as const }))];
	return members.length > LIMITS.group_members ? "group_full" : { ...state, members };
}

function withRemoved(
	state: GroupState,
	{ accounts, secret }: Extract<Intention, { do: "remove" }>,
): GroupState | Senseless {
	const members = state.members.filter(({ account }) => !accounts.includes(account));
	if (members.length === state.members.length) return "nothing_to_do";
	const linkSecret = state.rules.link ? secretBytes(secret) : state.linkSecret;
	return withAdmin({ ...state, members, linkSecret });
}

function withLink(
	state: GroupState,
	{ on, approval, reset, secret }: Extract<Intention, { do: "link" }>,
): GroupState | Senseless {
	const rules = { ...state.rules, link: on, approval: on && approval };
	const kept = state.linkSecret.length === 32 && !reset ? state.linkSecret : secretBytes(secret);
	const linkSecret = on ? kept : new Uint8Array(0);
	const same = JSON.stringify(rules) === JSON.stringify(state.rules) && linkSecret === state.linkSecret;
	return same ? "nothing_to_do" : { ...state, rules, linkSecret };
}

function secretBytes(secret: string): Uint8Array {
	return new Uint8Array(Buffer.from(secret, "base64url"));
}

function leaving(state: GroupState, actor: string): GroupState | Senseless {
	return withAdmin({ ...state, members: state.members.filter(({ account }) => account !== actor) });
}

function withRole(state: GroupState, account: string, role: Role): GroupState | Senseless {
	const member = state.members.find((one) => one.account === account);
	if (member === undefined) return "no_such_member";
	if (member.role === role) return "nothing_to_do";
	return withAdmin({ ...state, members: state.members.map((one) => (one === member ? { account, role } : one)) });
}

/** A group keeps an admin, unless nobody is left. */
function withAdmin(state: GroupState): GroupState | Senseless {
	return state.members.length === 0 || state.members.some(({ role }) => role === "admin") ? state : "last_admin";
}

function joined(state: GroupState, actor: string): GroupState | Senseless {
	if (isMember(state, actor)) return "joined_already";
	if (!state.rules.link || state.rules.approval) return "not_permitted";
	return withAdded(state, [actor], undefined);
}
