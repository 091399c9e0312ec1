/** What is read as a group's state, and what two of them differ in (rule GROUP-10). */
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { expect, test } from "vitest";
import {
	GroupMemberSchema,
	GroupPermission,
	GroupRole,
	type GroupRules,
	GroupRulesSchema,
	type GroupState as GroupStateMessage,
	GroupStateSchema,
} from "../../protocol/gen/group_pb.js";
import { LIMITS } from "../../protocol/limits.ts";
import { differenceOf } from "./difference.ts";
import { GROUP_TEXT } from "./limits.ts";
import { FIRST_RULES, type GroupState, parseState, type Rules, sameRules, serializeState } from "./state.ts";

const ADA = "a0a0a0a0-0000-4000-8000-000000000000";
const GOOD: GroupState = {
	group: "12".repeat(32),
	version: 3,
	rank: 3,
	title: "friends",
	description: "since school",
	picture: new Uint8Array(2).fill(1),
	members: [{ account: ADA, role: "admin" }],
	rules: FIRST_RULES,
	linkSecret: new Uint8Array(32).fill(2),
};

/** The good state with other fields on the wire. */
function parsed(
	fields: Partial<Omit<GroupStateMessage, "rules">>,
	rules?: GroupRules | "none",
): GroupState | undefined {
	const message = Object.assign(fromBinary(GroupStateSchema, serializeState(GOOD)), fields);
	if (rules === "none") delete message.rules;
	else if (rules !== undefined) message.rules = rules;
	return parseState(toBinary(GroupStateSchema, message));
}

const member = (account: Uint8Array, role = GroupRole.MEMBER) => create(GroupMemberSchema, { account, role });
const id = (index: number) => {
	const bytes = new Uint8Array(16);
	new DataView(bytes.buffer).setUint32(0, index);
	return bytes;
};
const MEMBERS = GroupPermission.MEMBERS;
/** Of a later version. */
const LATER: number = 9;

test.each<[string, ...Parameters<typeof parsed>]>([
	["a group's id of 31 bytes", { group: new Uint8Array(31) }],
	["a description that is too long", { description: "x".repeat(GROUP_TEXT.description + 1) }],
	["a rank below its version", { rank: 2 }],
	["a member's id of 15 bytes", { members: [member(new Uint8Array(15))] }],
	["a member without a role", { members: [member(id(1), GroupRole.UNSPECIFIED)] }],
	["a role of a later version", { members: [member(id(1), LATER)] }],
	["more members than there may be", { members: Array.from({ length: 1_025 }, (_, index) => member(id(index))) }],
	["no rules", {}, "none"],
	["a rule that says nothing", {}, create(GroupRulesSchema, { add: MEMBERS, edit: MEMBERS })],
	["a rule of a later version", {}, create(GroupRulesSchema, { add: MEMBERS, edit: MEMBERS, send: LATER })],
])("GROUP-10 a state with %s is none", (_what, fields, rules) => {
	expect(parsed({})).toEqual(GOOD);
	expect(parsed(fields, rules)).toBeUndefined();
});

test("GROUP-10 a title is shown in one line, whatever a member has written into it", () => {
	const title = "fun\n  ada  admin\u001b[2K\u2028x\u202egnp";
	expect(parsed({ title })?.title).toBe("fun   ada  admin [2K x gnp");
});

test("GROUP-3 a state of the largest size is read", () => {
	const members = Array.from({ length: LIMITS.group_members }, (_, index) => member(id(index)));
	expect(parsed({ members })?.members).toHaveLength(LIMITS.group_members);
});

const OTHER: Rules = { add: "admins", edit: "admins", send: "admins", link: true, approval: true };

test.each(["add", "edit", "send", "link", "approval"] as const)(
	"GROUP-10 another rule of %s is a difference",
	(rule) => {
		const rules = { ...FIRST_RULES, [rule]: OTHER[rule] };
		expect(sameRules(FIRST_RULES, rules)).toBe(false);
		expect(differenceOf(GOOD, { ...GOOD, rules })).toMatchObject({ rules: true, link: false, edited: false });
	},
);

test("GROUP-18 GROUP-10 another secret of the same length is a difference", () => {
	const linkSecret = new Uint8Array(32).fill(3);
	expect(differenceOf(GOOD, { ...GOOD, linkSecret })).toMatchObject({ rules: false, link: true, edited: false });
	expect(differenceOf(GOOD, { ...GOOD })).toMatchObject({ rules: false, link: false, edited: false });
});
