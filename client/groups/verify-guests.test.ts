/** By an invite link one adds oneself, as a member, and nothing else, whatever the server was told (rule GROUP-10). */
import { create } from "@bufbuild/protobuf";
import { expect, test } from "vitest";
import { GroupChangeSchema, GroupRole } from "../../protocol/gen/group_pb.js";
import { uuidToBytes } from "../../protocol/ids.ts";
import { FIRST_RULES, type GroupState, type Member } from "./state.ts";
import { objectionTo } from "./verify.ts";

const GROUP = "12".repeat(32);
const [ADA, BOB, DORA, EVE] = ["a", "b", "d", "e"].map((one) => `${one.repeat(8)}-0000-4000-8000-000000000000`) as [
	string,
	string,
	string,
	string,
];
const LINK = { ...FIRST_RULES, link: true };
const BEFORE: GroupState = {
	...{ group: GROUP, version: 1, rank: 1, title: "friends", description: "", rules: LINK },
	...{ picture: new Uint8Array(0), linkSecret: new Uint8Array(0) },
	members: [
		{ account: ADA, role: "admin" },
		{ account: BOB, role: "member" },
	],
};
const guest: Member = { account: DORA, role: "member" };
const joined = [...BEFORE.members, guest];

/**
 * What speaks against a state that Dora, who is no member, has signed. The server was told of nothing but what is
 * given.
 */
function objection(after: Partial<GroupState>, declined?: string) {
	const change = create(GroupChangeSchema, {
		version: 2,
		...(declined === undefined ? {} : { declined: uuidToBytes(declined) }),
	});
	const next = { ...BEFORE, version: 2, rank: 2, ...after };
	const claim = { group: GROUP, before: BEFORE, author: DORA, change, present: undefined, self: BOB };
	// Without a sender the state comes from outside the log: what the server was told is not compared.
	return objectionTo({ ...claim, after: next, sender: undefined });
}

test("GROUP-10 a guest who adds itself joins; one who adds, removes or promotes anybody else does not", () => {
	expect(objection({ members: joined })).toBeUndefined();
	expect(objection({ members: [...BEFORE.members, { account: EVE, role: "member" }] })).toBe("may_not_join");
	expect(objection({ members: [...joined, { account: EVE, role: "member" }] })).toBe("may_not_join");
	expect(objection({ members: [...BEFORE.members, { account: DORA, role: "admin" }] })).toBe("may_not_join");
	expect(objection({ members: [{ account: ADA, role: "admin" }, guest] })).toBe("may_not_join");
	const promoted: Member[] = [{ account: ADA, role: "admin" }, { account: BOB, role: "admin" }, guest];
	expect(objection({ members: promoted })).toBe("may_not_join");
});

test("GROUP-10 a guest touches neither rules nor link, nor what the group is called, nor others' requests", () => {
	expect(objection({ members: joined, rules: FIRST_RULES })).toBe("may_not_join");
	expect(objection({ members: joined, linkSecret: new Uint8Array(32) })).toBe("may_not_join");
	expect(objection({ members: joined, title: "mine" })).toBe("may_not_join");
	expect(objection({ members: joined, description: "mine" })).toBe("may_not_join");
	expect(objection({ members: joined }, EVE)).toBe("may_not_join");
	expect(objection({})).toBe("author_is_no_member");
});

test("GROUP-10 the server was told of the roles that the state gives, and of no others", () => {
	const admin = (account: string) => ({ account: uuidToBytes(account), role: GroupRole.ADMIN });
	const members: Member[] = [...BEFORE.members, { account: EVE, role: "member" }];
	const before = { ...BEFORE, members };
	const after = {
		...before,
		version: 2,
		rank: 2,
		members: members.map(({ account }) => ({ account, role: "admin" as const })),
	};
	const claim = { group: GROUP, before, after, author: ADA, sender: ADA, present: undefined, self: BOB };
	const told = (...accounts: string[]) =>
		objectionTo({ ...claim, change: create(GroupChangeSchema, { version: 2, roles: accounts.map(admin) }) });
	expect(told(BOB, EVE)).toBeUndefined();
	expect(told(BOB)).toBe("other_than_announced");
	expect(told(BOB, ADA)).toBe("other_than_announced");
	expect(told(BOB, DORA)).toBe("other_than_announced");
});
