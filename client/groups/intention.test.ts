import { describe, expect, test } from "vitest";
import { type Intention, intend, type Senseless } from "./intention.ts";
import { GROUP_TEXT } from "./limits.ts";
import { linkText, parseLink } from "./link.ts";
import { isAdmin, permits } from "./roles.ts";
import { FIRST_RULES, type GroupState, type Rules } from "./state.ts";

const [ADA, BOB, CARL, DORA] = ["ada", "bob", "carl", "dora"] as const;
const secret = "s".repeat(43);

function state(changes: Partial<GroupState> = {}): GroupState {
	const members = [
		{ account: ADA, role: "admin" as const },
		{ account: BOB, role: "member" as const },
	];
	const none = new Uint8Array(0);
	const base = { group: "12".repeat(32), version: 7, rank: 7, title: "friends", description: "", picture: none };
	return { ...base, members, rules: FIRST_RULES, linkSecret: none, ...changes };
}

const strict: Rules = { ...FIRST_RULES, add: "admins", edit: "admins" };
const long = { title: "x".repeat(GROUP_TEXT.title + 1), description: "x".repeat(GROUP_TEXT.description + 1) };
const link = { do: "link", on: true, approval: true, reset: false, secret } as const;
const approved = state({ rules: { ...FIRST_RULES, link: true, approval: true }, linkSecret: new Uint8Array(32) });
const linked = state({ rules: { ...FIRST_RULES, link: true }, linkSecret: new Uint8Array(32).fill(1) });

describe("GROUP-15 what people want makes sense, or they are told why not", () => {
	test.each<[string, string, Intention, GroupState, Senseless]>([
		["to add who is there", ADA, { do: "add", accounts: [BOB] }, state(), "already_a_member"],
		["to add without the right", BOB, { do: "add", accounts: [CARL] }, state({ rules: strict }), "not_permitted"],
		["to remove without the right", BOB, { do: "remove", accounts: [ADA], secret }, state(), "not_permitted"],
		["to remove who is gone", ADA, { do: "remove", accounts: [CARL], secret }, state(), "nothing_to_do"],
		["to leave as the last admin", ADA, { do: "leave" }, state(), "last_admin"],
		["to demote the last admin", ADA, { do: "role", account: ADA, role: "member" }, state(), "last_admin"],
		["to promote nobody", ADA, { do: "role", account: CARL, role: "admin" }, state(), "no_such_member"],
		["to promote an admin", ADA, { do: "role", account: ADA, role: "admin" }, state(), "nothing_to_do"],
		["to act without being a member", CARL, { do: "rename", title: "x" }, state(), "not_a_member"],
		["the same title", ADA, { do: "rename", title: "friends" }, state(), "nothing_to_do"],
		["an empty title", ADA, { do: "rename", title: " " }, state(), "bad_title"],
		["a title without the right", BOB, { do: "rename", title: "x" }, state({ rules: strict }), "not_permitted"],
		["rules without the right", BOB, { do: "rules", rules: { add: "admins" } }, state(), "not_permitted"],
		["to join without a link", CARL, { do: "join", secret }, state(), "not_permitted"],
		["to join where one is", BOB, { do: "join", secret }, linked, "joined_already"],
		["a title that is too long", ADA, { do: "rename", title: long.title }, state(), "bad_title"],
		["a title of two lines", ADA, { do: "rename", title: "a\nb" }, state(), "bad_title"],
		["a description that is too long", ADA, { do: "describe", description: long.description }, state(), "bad_title"],
		[
			"a description without the right",
			BOB,
			{ do: "describe", description: "x" },
			state({ rules: strict }),
			"not_permitted",
		],
		["a picture without the right", BOB, { do: "picture", picture: "AA==" }, state({ rules: strict }), "not_permitted"],
		["a link without the right", BOB, link, state(), "not_permitted"],
		["to join where admins approve", CARL, { do: "join", secret }, approved, "not_permitted"],
		["to remove the last admin", ADA, { do: "remove", accounts: [ADA], secret }, state(), "last_admin"],
		["to approve without the right", BOB, { do: "approve", account: CARL }, state(), "not_permitted"],
		["to decline without the right", BOB, { do: "decline", account: CARL }, state(), "not_permitted"],
	])("%s", (_what, actor, intention, before, expected) => {
		expect(intend(before, actor, intention, undefined)).toBe(expected);
	});

	test("a group of 1,024 is full", () => {
		const members = Array.from({ length: 1_024 }, (_, index) => ({ account: `m${index}`, role: "admin" as const }));
		expect(intend(state({ members }), "m0", { do: "add", accounts: [CARL] }, undefined)).toBe("group_full");
	});

	test("to add who has left without the group's key: the state lists them still", () => {
		const here = new Set([ADA]);
		expect(intend(state(), ADA, { do: "add", accounts: [BOB] }, here)).toBe("member_gone");
		expect(intend(state(), ADA, { do: "approve", account: BOB }, here)).toBe("member_gone");
		expect(intend(state(), ADA, { do: "add", accounts: [BOB] }, new Set([ADA, BOB]))).toBe("already_a_member");
	});

	test("whom somebody else has added meanwhile is left out of what is added", () => {
		const after = intend(state(), BOB, { do: "add", accounts: [ADA, CARL, DORA, CARL] }, undefined);
		expect(typeof after === "string" ? after : after.members.map(({ account }) => account)).toEqual([
			ADA,
			BOB,
			CARL,
			DORA,
		]);
	});
});

test("GROUP-18 a removal renews an invite link, and leaves a group without one alone", () => {
	const remove: Intention = { do: "remove", accounts: [BOB], secret };
	const after = intend(linked, ADA, remove, undefined);
	expect(typeof after === "string" ? after : Buffer.from(after.linkSecret).toString("base64url")).toBe(secret);
	const without = intend(state(), ADA, remove, undefined);
	expect(typeof without === "string" ? without : without.linkSecret.length).toBe(0);
});

test("GROUP-18 a link is kept, renewed or ended", () => {
	const kept = intend(linked, ADA, link, undefined);
	expect(kept).toMatchObject({ rules: { link: true, approval: true }, linkSecret: linked.linkSecret });
	expect(intend(linked, ADA, { ...link, reset: true }, undefined)).not.toMatchObject({ linkSecret: linked.linkSecret });
	expect(intend(linked, ADA, { ...link, on: false }, undefined)).toMatchObject({
		rules: { link: false, approval: false },
		linkSecret: new Uint8Array(0),
	});
	expect(intend(linked, ADA, { ...link, approval: false }, undefined)).toBe("nothing_to_do");
});

test("GROUP-18 an invite link is read as it was written, and nothing else is one", () => {
	const invite = { server: "https://parley.example", group: "ab".repeat(32), key: "k".repeat(43), secret };
	const good = linkText(invite);
	expect(parseLink(` ${good}\n`)).toEqual(invite);
	for (const text of [
		"",
		"parley://link?v=1",
		linkText({ ...invite, key: "short" }),
		linkText({ ...invite, key: "k".repeat(42) }),
		linkText({ ...invite, secret: "k".repeat(44) }),
		linkText({ ...invite, group: "g" }),
		linkText({ ...invite, server: "nowhere" }),
		good.replace("v=1", "v=2"),
		good.replace("parley:", "https:"),
		good.replace("//group", "//link"),
	]) {
		expect(parseLink(text)).toBeUndefined();
	}
});

test("GROUP-14 GROUP-3 who is no member may nothing; the first member stands in only where no admin is left", () => {
	const orphan = state({ members: state().members.map(({ account }) => ({ account, role: "member" })) });
	expect(permits(state(), CARL, "members", undefined)).toBe(false);
	expect(isAdmin(orphan, ADA, undefined)).toBe(true);
	expect(isAdmin(orphan, BOB, undefined)).toBe(false);
	expect(isAdmin(orphan, BOB, new Set([BOB]))).toBe(true);
	expect(isAdmin(orphan, CARL, new Set([CARL]))).toBe(false);
});
