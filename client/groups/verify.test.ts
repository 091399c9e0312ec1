import { create, fromBinary } from "@bufbuild/protobuf";
import { describe, expect, test } from "vitest";
import { GroupChangeSchema, GroupPermission, GroupRole, GroupRulesSchema } from "../../protocol/gen/group_pb.js";
import { uuidToBytes } from "../../protocol/ids.ts";
import { FIRST_RULES, type GroupState, type Member, parseState, type Rules, serializeState } from "./state.ts";
import { type Claim, type Objection, objectionTo } from "./verify.ts";

const GROUP = "12".repeat(32);
const id = (letter: string) => `${letter.charCodeAt(0).toString(16).repeat(4)}-0000-4000-8000-000000000000`;
const [ADA, BOB, CARL, DORA, EVE] = ["a", "b", "c", "d", "e"].map(id) as [string, string, string, string, string];
const admin = (account: string): Member => ({ account, role: "admin" });
const member = (account: string): Member => ({ account, role: "member" });
const none = new Uint8Array(0);

function state(changes: Partial<GroupState> = {}): GroupState {
	return {
		group: GROUP,
		version: 1,
		rank: changes.version ?? 1,
		title: "friends",
		description: "",
		picture: none,
		members: [admin(ADA), member(BOB), member(CARL)],
		rules: FIRST_RULES,
		linkSecret: none,
		...changes,
	};
}

interface Announced {
	version: number;
	added?: Member[];
	removed?: string[];
	roles?: Member[];
	rules?: Rules;
	declined?: string;
}

function announced({ version, added = [], removed = [], roles = [], rules, declined }: Announced) {
	const message = ({ account, role }: Member) => ({
		account: uuidToBytes(account),
		role: role === "admin" ? GroupRole.ADMIN : GroupRole.MEMBER,
	});
	const of = (who: "members" | "admins") => (who === "admins" ? GroupPermission.ADMINS : GroupPermission.MEMBERS);
	return create(GroupChangeSchema, {
		version,
		added: added.map(message),
		removed: removed.map(uuidToBytes),
		roles: roles.map(message),
		...(rules === undefined
			? {}
			: {
					rules: create(GroupRulesSchema, { ...rules, add: of(rules.add), edit: of(rules.edit), send: of(rules.send) }),
				}),
		...(declined === undefined ? {} : { declined: uuidToBytes(declined) }),
	});
}

interface Case {
	what: string;
	by: string;
	before?: Partial<GroupState>;
	after: Partial<GroupState>;
	announces?: Omit<Announced, "version">;
	claim?: Partial<Claim>;
	objection?: Objection;
}

const all = [admin(ADA), member(BOB), member(CARL)];
const strict: Rules = { ...FIRST_RULES, add: "admins", edit: "admins", send: "admins" };
const linked: Rules = { ...FIRST_RULES, link: true };
const approved: Rules = { ...linked, approval: true };
const withDora = [...all, member(DORA)];

const CASES: Case[] = [
	{ what: "a member adds somebody", by: BOB, after: { members: withDora }, announces: { added: [member(DORA)] } },
	{
		what: "a member adds somebody though only admins may",
		by: BOB,
		before: { rules: strict },
		after: { rules: strict, members: withDora },
		announces: { added: [member(DORA)] },
		objection: "may_not_add",
	},
	{
		what: "a member adds an admin",
		by: BOB,
		after: { members: [...all, admin(DORA)] },
		announces: { added: [admin(DORA)] },
		objection: "may_not_add",
	},
	{
		what: "an admin adds an admin",
		by: ADA,
		before: { rules: strict },
		after: { rules: strict, members: [...all, admin(DORA)] },
		announces: { added: [admin(DORA)] },
	},
	{ what: "an admin removes", by: ADA, after: { members: all.slice(0, 2) }, announces: { removed: [CARL] } },
	{
		what: "a member removes another",
		by: BOB,
		after: { members: all.slice(0, 2) },
		announces: { removed: [CARL] },
		objection: "may_not_remove",
	},
	{ what: "a member leaves", by: CARL, after: { members: all.slice(0, 2) }, announces: { removed: [CARL] } },
	{
		what: "a member leaves and takes another along",
		by: CARL,
		after: { members: all.slice(0, 1) },
		announces: { removed: [CARL, BOB] },
		objection: "may_not_remove",
	},
	{
		what: "an admin promotes",
		by: ADA,
		after: { members: [admin(ADA), admin(BOB), member(CARL)] },
		announces: { roles: [admin(BOB)] },
	},
	{
		what: "a member promotes itself",
		by: BOB,
		after: { members: [admin(ADA), admin(BOB), member(CARL)] },
		announces: { roles: [admin(BOB)] },
		objection: "may_not_change_roles",
	},
	{ what: "an admin changes the rules", by: ADA, after: { rules: strict }, announces: { rules: strict } },
	{
		what: "a member changes the rules",
		by: BOB,
		after: { rules: linked },
		announces: { rules: linked },
		objection: "may_not_change_rules",
	},
	{
		what: "a member changes the link's secret",
		by: BOB,
		after: { linkSecret: new Uint8Array(32) },
		objection: "may_not_change_rules",
	},
	{ what: "a member renames", by: BOB, after: { title: "others" } },
	{
		what: "a member renames though only admins may",
		by: BOB,
		before: { rules: strict },
		after: { rules: strict, title: "others" },
		objection: "may_not_edit",
	},
	{
		what: "a member changes the picture though only admins may",
		by: BOB,
		before: { rules: strict },
		after: { rules: strict, picture: new Uint8Array(3) },
		objection: "may_not_edit",
	},
	{
		what: "a member declines a request",
		by: BOB,
		after: {},
		announces: { declined: DORA },
		objection: "may_not_decline",
	},
	{ what: "an admin declines a request", by: ADA, after: {}, announces: { declined: DORA } },
	{ what: "somebody else renames", by: EVE, after: { title: "mine" }, objection: "author_is_no_member" },
	{
		what: "somebody else adds itself without a link",
		by: DORA,
		after: { members: withDora },
		announces: { added: [member(DORA)] },
		objection: "may_not_join",
	},
	{
		what: "somebody joins by the link",
		by: DORA,
		before: { rules: linked },
		after: { rules: linked, members: withDora },
		announces: { added: [member(DORA)] },
	},
	{
		what: "somebody joins by a link that needs an admin",
		by: DORA,
		before: { rules: approved },
		after: { rules: approved, members: withDora },
		announces: { added: [member(DORA)] },
		objection: "may_not_join",
	},
	{
		what: "somebody joins by the link as an admin",
		by: DORA,
		before: { rules: linked },
		after: { rules: linked, members: [...all, admin(DORA)] },
		announces: { added: [admin(DORA)] },
		objection: "may_not_join",
	},
	{
		what: "somebody joins by the link with a friend",
		by: DORA,
		before: { rules: linked },
		after: { rules: linked, members: [...withDora, member(EVE)] },
		announces: { added: [member(DORA), member(EVE)] },
		objection: "may_not_join",
	},
	{
		what: "somebody joins by the link and renames",
		by: DORA,
		before: { rules: linked },
		after: { rules: linked, members: withDora, title: "mine" },
		announces: { added: [member(DORA)] },
		objection: "may_not_join",
	},
	{ what: "another group's state", by: ADA, after: { group: "34".repeat(32) }, objection: "other_group" },
	{ what: "an old version", by: ADA, before: { version: 2 }, after: { version: 2 }, objection: "other_version" },
	{
		what: "a lower rank though a later version",
		by: ADA,
		before: { version: 2, rank: 9 },
		after: { version: 3, rank: 9 },
		objection: "other_version",
	},
	{
		what: "a rank far away",
		by: ADA,
		before: { version: 2 },
		after: { version: 3, rank: 1_003 },
		objection: "other_version",
	},
	{
		what: "another version than the entry's",
		by: ADA,
		after: { version: 2 },
		claim: { change: announced({ version: 3 }) },
		objection: "other_version",
	},
	{
		what: "another author than the entry's sender",
		by: ADA,
		after: { title: "x" },
		claim: { sender: BOB },
		objection: "other_author",
	},
	{
		what: "the server was told of somebody whom the state doesn't list",
		by: ADA,
		after: { title: "x" },
		announces: { added: [member(EVE)] },
		objection: "other_than_announced",
	},
	{
		what: "the server was told to remove somebody whom the state keeps",
		by: ADA,
		after: { title: "x" },
		announces: { removed: [BOB] },
		objection: "other_than_announced",
	},
	{
		what: "the server was told other rules",
		by: ADA,
		after: { rules: strict },
		announces: { rules: linked },
		objection: "other_than_announced",
	},
	{
		what: "the server was not told of new rules",
		by: ADA,
		after: { rules: strict },
		objection: "other_than_announced",
	},
	{
		what: "the server was not told of a promotion",
		by: ADA,
		after: { members: [admin(ADA), admin(BOB), member(CARL)] },
		objection: "other_than_announced",
	},
	{
		what: "GROUP-19: the server was told to bring back somebody whom the state lists already",
		by: ADA,
		after: { title: "x" },
		announces: { added: [member(BOB)], removed: [EVE] },
	},
	{
		what: "the server was told to bring back somebody in another role",
		by: ADA,
		after: { title: "x" },
		announces: { added: [admin(BOB)] },
		objection: "other_than_announced",
	},
	{ what: "somebody who is gone was left out by the server", by: ADA, after: { members: withDora }, announces: {} },
	{
		what: "GROUP-14: the first member acts once no admin is on the roster",
		by: BOB,
		after: { members: all.slice(0, 2) },
		announces: { removed: [CARL] },
		claim: { present: new Set([BOB, CARL]) },
	},
	{
		what: "GROUP-14: the second member acts while the first is there",
		by: CARL,
		after: { members: [admin(ADA), member(CARL)] },
		announces: { removed: [BOB] },
		claim: { present: new Set([BOB, CARL]) },
		objection: "may_not_remove",
	},
	{
		what: "GROUP-14: the first member acts while an admin that came later is there",
		by: BOB,
		before: { members: [member(BOB), admin(ADA), member(CARL)] },
		after: { members: [member(BOB), admin(ADA)] },
		announces: { removed: [CARL] },
		objection: "may_not_remove",
	},
	{
		what: "changes of before are missing, and the author was allowed to do all of it",
		by: ADA,
		after: { version: 5, title: "x", members: withDora },
	},
	{
		what: "GROUP-19: a change of before is missing, though the server counts on from there",
		by: ADA,
		before: { version: 3, rank: 5 },
		after: { version: 4, rank: 7, title: "x", members: [admin(ADA), admin(BOB), member(CARL)] },
	},
	{
		what: "GROUP-19: no change is missing, though the server has counted one more",
		by: ADA,
		before: { version: 3, rank: 5 },
		after: { version: 5, rank: 6, members: [admin(ADA), admin(BOB), member(CARL)] },
		objection: "other_than_announced",
	},
	{
		what: "changes of before are missing, and the author was not allowed to do all of it",
		by: BOB,
		after: { version: 5, title: "x", members: all.slice(0, 2) },
		objection: "may_not_remove",
	},
];

describe("GROUP-10 GROUP-14 an author may do what the state of before allows", () => {
	test.each(CASES)("$what", ({ by, before, after, announces, claim, objection }) => {
		const first = state(before);
		const next = state({ version: first.version + 1, ...after });
		const change = announced({ version: next.version, ...announces });
		const base = { group: GROUP, before: first, after: next, author: by, sender: by, change };
		expect(objectionTo({ ...base, present: undefined, self: CARL, ...claim })).toBe(objection);
	});

	test("the first state must list its reader, and its founder as an admin", () => {
		const base = { group: GROUP, before: undefined, author: ADA, sender: ADA, present: undefined };
		const change = announced({ version: 1 });
		expect(objectionTo({ ...base, after: state(), change, self: CARL })).toBeUndefined();
		expect(objectionTo({ ...base, after: state(), change, self: EVE })).toBe("not_for_us");
		expect(objectionTo({ ...base, author: BOB, sender: BOB, after: state(), change, self: CARL })).toBe(
			"author_is_no_member",
		);
	});
});

test("GROUP-10 what the server was told in a form that is none is not what the state says", () => {
	const rules = create(GroupRulesSchema, {});
	const removed = [new Uint8Array(3)];
	const base = { group: GROUP, before: state(), after: state({ version: 2 }), author: ADA, sender: ADA, self: CARL };
	const added = [{ account: new Uint8Array(15), role: GroupRole.MEMBER }];
	for (const fields of [{ rules }, { removed }, { added }, { roles: added }]) {
		const change = create(GroupChangeSchema, { version: 2, ...fields });
		expect(objectionTo({ ...base, change, present: undefined })).toBe("other_than_announced");
	}
});

test("GROUP-10 a state that is none is not read: a member twice, a role or rule that is none, a version of 0", () => {
	const good = serializeState(state());
	expect(parseState(good)).toEqual(state());
	expect(parseState(serializeState(state({ members: [admin(ADA), member(ADA)] })))).toBeUndefined();
	expect(parseState(serializeState(state({ version: 0 })))).toBeUndefined();
	expect(parseState(serializeState(state({ title: "x".repeat(129) })))).toBeUndefined();
	expect(parseState(serializeState(state({ linkSecret: new Uint8Array(5) })))).toBeUndefined();
	expect(parseState(good.subarray(0, 20))).toBeUndefined();
	expect(fromBinary(GroupChangeSchema, new Uint8Array(0)).version).toBe(0);
});
