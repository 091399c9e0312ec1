/** A group's rules to the letter: what one step beyond them, at their limit, or out of turn brings. */
import { create, fromBinary } from "@bufbuild/protobuf";
import { expect, test } from "vitest";
import { ConversationDownSchema } from "../../protocol/gen/conversation_down_pb.js";
import { GroupChangeSchema, GroupPermission } from "../../protocol/gen/group_pb.js";
import { toHex, uuidToBytes } from "../../protocol/ids.ts";
import { LIMITS } from "../../protocol/limits.ts";
import type { GroupChanged, GroupChangeRequest, GroupRules, Refused } from "./interface.ts";
import { MemoryStore } from "./memory-store.ts";
import { A1, type Address, ALICE, B1, Bench, BOB, message, newId, up } from "./testing.ts";
import { C1, CAROL, GroupBench, joining, OPEN, request, SECRET } from "./testing-groups.ts";

const ADMINS: GroupRules = { add: "admins", edit: "admins", send: "admins", link: false, approval: false };
const LINK: GroupRules = { ...OPEN, link: true };
const APPROVAL: GroupRules = { ...LINK, approval: true };
const OTHER_SECRET = "cd".repeat(32);

const account = (index: number) => `00000000-0000-4000-8000-${(index + 0x1000).toString(16).padStart(12, "0")}`;
const somebody = (index: number): Address => ({ account: account(index), device: 1, registrationId: 7 });
const asking = (actor: string, linkSecretHash: string | undefined = SECRET) => ({
	...{ messageId: toHex(newId()), actor: { account: actor, device: 1 }, linkSecretHash },
});
const shared = (version: number, bytes = 1) =>
	up({ case: "send", value: { messageId: newId(), rosterVersion: version, shared: new Uint8Array(bytes).fill(1) } });

/** The whole answer. */
function answer(bench: Bench, change: GroupChangeRequest): GroupChanged | Refused {
	bench.handle({ type: "changeGroup", request: change });
	const effect = bench.effects.find(({ type }) => type === "answer");
	bench.effects = bench.effects.filter((one) => one !== effect);
	if (effect?.type !== "answer") throw new Error("no answer");
	return effect.answer;
}

test("GROUP-2 a change names the next version and no other, and a conflict carries the current one", () => {
	const bench = new GroupBench();
	bench.change(request(A1, 2));
	for (const version of [1, 2, 4, 5]) {
		const expected = version === 1 ? { refused: "group_exists" } : { refused: "group_conflict", limit: 2 };
		expect(answer(bench, request(A1, version))).toEqual(expected);
	}
	expect(answer(bench, request(A1, 3))).toEqual({ number: 3, version: 3 });
});

test("GROUP-2 a change is named by a UUIDv7, and is no conversation's that is none or is one of two", () => {
	const bench = new GroupBench();
	expect(bench.change({ ...request(A1, 2), messageId: "0".repeat(32) })).toBe("malformed");
	const empty = new Bench([], new MemoryStore());
	expect(answer(empty, request(A1, 2))).toEqual({ refused: "not_found" });
	const pair = new Bench();
	const founding = { added: [joining(A1, "admin")], rules: OPEN };
	expect(answer(pair, request(A1, 1, founding))).toEqual({ refused: "group_exists" });
	expect(answer(pair, request(A1, 2, founding))).toEqual({ refused: "not_found" });
	expect([pair.core.head, pair.core.view(ALICE, undefined)]).toEqual([0, undefined]);
});

test("GROUP-2 a change that comes later than it may is not made, and one that was made in time has its answer", () => {
	const bench = new GroupBench();
	const notAfter_ms = bench.now_ms;
	const change = request(A1, 2, { notAfter_ms });
	bench.now_ms += 1;
	expect(bench.change(change)).toBe("too_late");
	expect(bench.core.head).toBe(1);
	bench.now_ms -= 1;
	expect(bench.change(change)).toBe("2 v2");
	bench.now_ms += 60_000;
	expect(bench.change(change)).toBe("2 v2");
});

test("GROUP-2 a change that is repeated after more entries than are in memory has its first answer", () => {
	const bench = new GroupBench();
	const change = request(A1, 2);
	bench.change(change);
	const { messageId: _, number, ...row } = bench.store.rows(1, 1)[0] ?? { messageId: "", number: 0 };
	for (let more = 1; more <= LIMITS.remembered_entries; more++) {
		const entry = { time_ms: bench.now_ms, sender: "", checksum: 0, wiped: true, payload: null, ...row };
		bench.store.append({ ...entry, number: number + more, messageId: toHex(newId()) });
	}
	bench.restart(false);
	expect(bench.change(change)).toBe("2 v2");
});

test("GROUP-2 the entry tells of new rules and of who was declined", () => {
	const bench = new GroupBench(APPROVAL);
	bench.ask(asking(CAROL));
	bench.effects = [];
	bench.change(request(A1, 2, { rules: { ...ADMINS, edit: "members", link: true }, declined: CAROL }));
	const [effect] = bench.effects.filter(({ type }) => type === "sendAll");
	const { frame } = fromBinary(ConversationDownSchema, effect?.type === "sendAll" ? effect.bytes : new Uint8Array());
	if (frame.case !== "entry") throw new Error("no entry");
	const { ADMINS: admins, MEMBERS: members } = GroupPermission;
	expect(fromBinary(GroupChangeSchema, frame.value.ciphertext)).toEqual(
		create(GroupChangeSchema, {
			version: 2,
			rules: { add: admins, edit: members, send: admins, link: true, approval: false },
			declined: uuidToBytes(CAROL),
			state: new TextEncoder().encode("state 2"),
		}),
	);
});

test("GROUP-2 no device writes a change into the log itself", () => {
	const bench = new GroupBench();
	const value = { messageId: newId(), rosterVersion: 1, change: { version: 2, state: new Uint8Array([1]) } };
	bench.up(bench.alice, { case: "send", value });
	bench.up(bench.alice, { case: "send", value: { ...value, shared: new Uint8Array([1]) } });
	expect(bench.take(bench.alice)).toEqual(["refused MALFORMED 0", "refused MALFORMED 0"]);
	expect(bench.core.head).toBe(1);
});

test("GROUP-3 rules and roles change with the change, and stay until the next", () => {
	const bench = new GroupBench();
	bench.change(request(A1, 2, { rules: ADMINS }));
	expect(bench.change(request(B1, 3, { added: [joining(C1)] }))).toBe("not_permitted");
	bench.change(request(A1, 3));
	expect(bench.change(request(B1, 4))).toBe("not_permitted");
	bench.raw(bench.bob, shared(1));
	expect(bench.take(bench.bob).at(-1)).toBe("refused NOT_PERMITTED 0");
	bench.restart(false);
	expect(bench.change(request(B1, 4))).toBe("not_permitted");
	expect(bench.change(request(A1, 4, { roles: [{ account: BOB, role: "admin" }] }))).toBe("4 v4");
	expect(bench.change(request(B1, 5))).toBe("5 v5");
});

test("GROUP-3 a group is founded by an admin, with rules, nobody twice, and so many at most", () => {
	const founding = (added: GroupChangeRequest["added"], rules: GroupRules | undefined = OPEN) =>
		answer(new Bench([], new MemoryStore()), { ...request(A1, 1, { added }), rules });
	const me = joining(A1, "admin");
	expect(founding([joining(A1), joining(B1, "admin")])).toEqual({ refused: "malformed" });
	expect(founding([joining(B1, "admin")])).toEqual({ refused: "malformed" });
	expect(founding([me, joining(B1), joining(B1)])).toEqual({ refused: "malformed" });
	const noRules = answer(new Bench([], new MemoryStore()), request(A1, 1, { added: [me] }));
	expect(noRules).toEqual({ refused: "malformed" });
	const many = Array.from({ length: LIMITS.group_members }, (_, index) => joining(somebody(index)));
	expect(founding([me, ...many])).toEqual({ refused: "group_full", limit: LIMITS.group_members });
	expect(founding([me, ...many.slice(1)])).toEqual({ number: 1, version: 1 });
});

test("GROUP-3 where an admin is left nobody becomes one; a deleted account is no member, and asks no more", () => {
	const bench = new GroupBench(APPROVAL);
	bench.change(request(A1, 2, { added: [joining(C1, "admin")] }));
	const asks = somebody(1).account;
	bench.ask(asking(asks));
	bench.handle({ type: "removeMember", account: CAROL });
	expect(bench.change(request(B1, 3, { roles: [{ account: BOB, role: "admin" }] }))).toBe("not_permitted");
	expect(bench.core.view(CAROL, undefined)).toBe(undefined);
	// The state lists it until somebody removes it there too.
	expect(bench.change(request(A1, 3, { removed: [CAROL] }))).toBe("4 v3");
	expect(bench.core.view(ALICE, undefined)?.requests).toEqual([asks]);
	bench.change(request(A1, 4, { added: [joining(somebody(1))] }));
	bench.handle({ type: "removeMember", account: asks });
	bench.restart(false);
	expect(bench.core.view(asks, undefined)).toBe(undefined);
	expect(bench.core.view(ALICE, undefined)?.requests).toEqual([]);
	// Alice came first, and is a member like the others by now.
	bench.change(request(A1, 5, { roles: [{ account: BOB, role: "admin" }], added: [joining(C1)] }));
	bench.change(request(B1, 6, { roles: [{ account: ALICE, role: "member" }] }));
	bench.handle({ type: "removeMember", account: CAROL });
	expect(bench.change(request(A1, 7, { removed: [BOB] }))).toBe("not_permitted");
});

test("GROUP-3 where the last admin's account is deleted the member that came first becomes one, in the first place", () => {
	const bench = new GroupBench();
	bench.change(request(A1, 2, { added: [joining(C1)] }));
	bench.handle({ type: "removeMember", account: ALICE });
	expect(JSON.parse(bench.store.readGroup() ?? "").roles).toEqual([
		[BOB, "admin"],
		[CAROL, "member"],
	]);
});

test("GROUP-3 who adds somebody and leaves needs no right to edit", () => {
	const bench = new GroupBench({ ...ADMINS, add: "members" });
	expect(bench.change(request(B1, 2, { added: [joining(C1)], removed: [BOB] }))).toBe("2 v2");
});

test("KEPT-4 a group whose last member's account is deleted is nothing any more", () => {
	const bench = new GroupBench();
	bench.handle({ type: "removeMember", account: BOB });
	bench.effects = [];
	bench.handle({ type: "removeMember", account: ALICE });
	expect(bench.effects.at(-1)).toEqual({ type: "erase" });
});

test("KEPT-4 GROUP-3 the last member may leave: then there is nothing", () => {
	const bench = new GroupBench();
	bench.change(request(A1, 2, { removed: [BOB] }));
	expect(bench.change(request(A1, 3, { removed: [ALICE] }))).toBe("3 v3");
	expect(bench.effects.map(({ type }) => type)).toContain("erase");
});

test("KEPT-3 GROUP-3 in a full group admins make changes, and members don't", () => {
	const bench = new GroupBench();
	const state = JSON.parse(bench.store.readState() ?? "");
	const total = LIMITS.unread_bytes + 1;
	bench.store.writeState(JSON.stringify({ ...state, backlog: { total, steps: [[0, 0]] } }));
	bench.restart(false);
	const full = { refused: "group_full", limit: LIMITS.unread_bytes };
	expect(answer(bench, request(B1, 2, { added: [joining(C1)] }))).toEqual(full);
	expect(answer(bench, request(B1, 2, { removed: [BOB] }))).toEqual(full);
	expect(answer(bench, request(A1, 2, { removed: [BOB] }))).toEqual({ number: 2, version: 2 });
});

test("GROUP-4 a group without a link's hash is opened by no secret, nor by none", () => {
	const bench = new Bench([], new MemoryStore());
	answer(bench, request(A1, 1, { added: [joining(A1, "admin")], rules: LINK }));
	for (const secret of [undefined, SECRET]) {
		expect(bench.core.view(CAROL, secret)).toBe(undefined);
		const join = request(C1, 2, { added: [joining(C1)], linkSecretHash: secret });
		expect(answer(bench, join)).toEqual({ refused: "not_found" });
	}
});

test("GROUP-4 GROUP-5 a renewed link ends the old one, and a change without one keeps it", () => {
	const bench = new GroupBench(LINK);
	bench.change(request(A1, 2));
	expect(bench.core.view(CAROL, SECRET)).toMatchObject({ version: 2 });
	bench.change(request(A1, 3, { linkHash: OTHER_SECRET }));
	expect(bench.core.view(CAROL, SECRET)).toBe(undefined);
	expect(bench.change(request(C1, 4, { added: [joining(C1)], linkSecretHash: SECRET }))).toBe("not_found");
	bench.restart(false);
	expect(bench.change(request(C1, 4, { added: [joining(C1)], linkSecretHash: OTHER_SECRET }))).toBe("4 v4");
});

test("GROUP-4 who shows the link's secret sees its own request and nobody else's", () => {
	const bench = new GroupBench(APPROVAL);
	const [one, other] = [account(1), account(2)];
	bench.ask(asking(one));
	bench.ask(asking(other));
	expect(bench.core.view(ALICE, undefined)?.requests).toEqual([one, other]);
	expect(bench.core.view(one, SECRET)?.requests).toEqual([one]);
	expect(bench.core.view(account(3), SECRET)?.requests).toEqual([]);
});

test("GROUP-5 by the link nobody else is added, promoted or removed, and no rule, link or request is touched", () => {
	const bench = new GroupBench(LINK);
	for (const fields of [
		{ added: [joining(somebody(1))] },
		{ added: [joining(C1)], roles: [{ account: BOB, role: "admin" as const }] },
		{ added: [joining(C1)], roles: [{ account: BOB, role: "admin" as const }], removed: [ALICE] },
		{ added: [joining(C1)], linkHash: OTHER_SECRET },
		{ added: [joining(C1)], declined: account(1) },
	]) {
		expect(bench.change(request(C1, 2, { ...fields, linkSecretHash: SECRET }))).toBe("not_permitted");
	}
});

test("GROUP-5 nobody asks where no admin approves, nor a member; and so many ask at most", () => {
	const open = new GroupBench(LINK);
	expect(open.ask(asking(CAROL))).toBe("not_found");
	for (const other of [new Bench([], new MemoryStore()), new Bench()]) {
		other.handle({ type: "requestToJoin", request: asking(CAROL) });
		expect(other.effects.find(({ type }) => type === "answer")).toEqual({
			...{ type: "answer", answer: { refused: "not_found" } },
		});
	}
	const bench = new GroupBench(APPROVAL);
	expect(bench.ask(asking(BOB))).toBe("malformed");
	for (let index = 0; index < LIMITS.group_requests; index++) {
		expect(bench.ask(asking(account(index)))).toBe(`${index + 2} v1`);
	}
	expect(bench.ask(asking(CAROL))).toBe("group_full");
	// Who asks already is answered, and the entries are as many as they were.
	expect(bench.ask(asking(account(0)))).toBe(`${LIMITS.group_requests + 1} v1`);
	expect(bench.core.head).toBe(LIMITS.group_requests + 1);
});

test("GROUP-5 a request is named like a message, and is another's under another id only", () => {
	const bench = new GroupBench(APPROVAL);
	const join = asking(CAROL);
	expect(bench.ask(join)).toBe("2 v1");
	expect(bench.ask({ ...join, actor: { account: account(1), device: 1 } })).toBe("message_id_conflict");
	expect(bench.ask({ ...asking(account(1)), messageId: "0".repeat(32) })).toBe("malformed");
});

test("GROUP-1 a message to a group is one or the other: for all, or for some", () => {
	const bench = new GroupBench();
	const both = up({
		case: "send",
		value: {
			...{ messageId: newId(), rosterVersion: 1, shared: new Uint8Array([1]) },
			envelopes: [{ to: { ...B1, account: uuidToBytes(BOB) }, kind: 1, ciphertext: new Uint8Array([1]) }],
		},
	});
	bench.raw(bench.alice, both);
	expect(bench.take(bench.alice)).toEqual(["refused MALFORMED 0"]);
	const bytes = LIMITS.message_ciphertext_bytes;
	bench.raw(bench.alice, shared(1, bytes + 1));
	expect(bench.take(bench.alice)).toEqual([`refused MESSAGE_TOO_LARGE ${bytes}`]);
	bench.raw(bench.alice, shared(1, bytes));
	expect(bench.take(bench.alice)).toEqual(["accepted 2"]);
});

test("GROUP-1 a message for some quotes the roster's version too", () => {
	const bench = new GroupBench();
	bench.change(request(A1, 2, { added: [joining(C1)] }));
	bench.effects = [];
	bench.raw(bench.alice, message(newId(), [B1], 1));
	expect(bench.take(bench.alice)).toEqual(["roster v2", "refused STALE_ROSTER 0"]);
	expect(bench.core.head).toBe(2);
});

test("GROUP-6 what a removed member had not read is kept for nobody, and its devices count anew when it comes back", () => {
	const bench = new GroupBench();
	bench.raw(bench.alice, shared(1));
	bench.up(bench.alice, { case: "acknowledge", value: { cursor: 2 } });
	expect(bench.store.rows(1, 1)[0]?.payload).not.toBe(null);
	bench.raw(bench.bob, message(newId(), [A1], 1));
	bench.change(request(A1, 2, { removed: [BOB] }));
	expect(bench.store.rows(1, 1)[0]?.payload).toBe(null);
	// An older list of its devices than it had before: it is the first that this membership knows.
	const devices = [{ device: 1, registrationId: 21 }];
	bench.handle({ type: "setDevices", member: { account: BOB, devices, version: 9 } });
	const { deviceVersions } = JSON.parse(bench.store.readState() ?? "");
	expect(deviceVersions).toEqual([[ALICE, 1]]);
	bench.change(request(A1, 3, { added: [{ ...joining(B1), version: 5 }] }));
	bench.handle({ type: "setDevices", member: { account: BOB, devices: [], version: 4 } });
	expect(bench.core.admit(50, BOB, 1)).toBeDefined();
	bench.handle({ type: "setDevices", member: { account: BOB, devices: [], version: 6 } });
	expect(bench.core.admit(51, BOB, 1)).toBe(undefined);
});

test("GROUP-8 who is at another version gets the whole roster, and a large group's welcome has no watermarks", () => {
	const bench = new GroupBench();
	bench.change(request(A1, 2, { added: [joining(C1)] }));
	const late = bench.open(B1);
	bench.up(late, { case: "hello", value: { protocolVersion: 1, cursor: 0, read: 0, rosterVersion: 1 } });
	expect(bench.take(late)[0]).toBe("welcome 2 v2 0/0 0/0 1/0");
	const upTo = (count: number) => Array.from({ length: count }, (_, index) => joining(somebody(index)));
	bench.change(request(A1, 3, { added: upTo(LIMITS.watermark_push_devices - 3) }));
	const [alice, bob] = [bench.ready(A1), bench.ready(B1)];
	expect(bench.take(alice)[0]?.split(" ")).toHaveLength(3 + LIMITS.watermark_push_devices);
	bench.effects = [];
	bench.up(bob, { case: "acknowledge", value: { cursor: 3 } });
	expect(bench.take(alice)).toEqual(["watermark 3/0"]);
	bench.change(request(A1, 4, { added: [joining(somebody(500))] }));
	bench.effects = [];
	expect(bench.take(bench.ready(A1))[0]).toBe("welcome 4 v4 ");
	bench.effects = [];
	bench.up(bob, { case: "acknowledge", value: { cursor: 4 } });
	expect(bench.effects.filter(({ type }) => type === "send" || type === "sendAll")).toEqual([]);
});

test("GROUP-12 the device that made a change gets its entry like everybody else", () => {
	const bench = new GroupBench();
	bench.change(request(A1, 2));
	expect(bench.take(bench.alice)).toEqual(["entry 2"]);
	bench.restart(false);
	const frames = bench.ready(A1, 1);
	const sent = bench.effects.flatMap((effect) =>
		effect.type === "send" && effect.socket === frames ? [fromBinary(ConversationDownSchema, effect.bytes).frame] : [],
	);
	expect(sent.some((frame) => frame.case === "entry" && frame.value.number === 2)).toBe(true);
});

test("GROUP-9 ROSTER-1 a nudge of a group names no member, and a conversation of two takes no shared message", () => {
	const bench = new GroupBench();
	// The call of the founding has been answered.
	bench.handle({ type: "nudged", account: BOB, device: 1, upTo: 1, ok: true });
	bench.handle({ type: "disconnected", socket: bench.bob });
	bench.raw(bench.alice, shared(1));
	expect(bench.takeCalls()).toContainEqual(expect.objectContaining({ type: "nudge", account: BOB, peer: "" }));
	const pair = new Bench();
	const alice = pair.ready(A1);
	pair.effects = [];
	pair.raw(alice, shared(1));
	expect(pair.take(alice)).toEqual(["refused MALFORMED 0"]);
});
