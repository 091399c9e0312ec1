/** How a membership ends, and what is left of it on either side (rules GROUP-10, GROUP-20). */
import { create } from "@bufbuild/protobuf";
import { afterEach, beforeEach, expect, test } from "vitest";
import { EnvelopeKind } from "../../../protocol/gen/common_pb.js";
import { ConversationDownSchema } from "../../../protocol/gen/conversation_down_pb.js";
import { fromHex, uuidFromBytes, uuidToBytes } from "../../../protocol/ids.ts";
import { findGroupByName, noSuchUser } from "../../groups/reference.ts";
import { Cipher } from "../../signal/cipher.ts";
import { GroupCipher } from "../../signal/sender_keys.ts";
import { requireAccount } from "../../store/account.ts";
import { conversation } from "../../store/conversations.ts";
import { findGroup, lockedGroups } from "../../store/groups.ts";
import { history } from "../../store/queries.ts";
import { plaintextOf, retryContent } from "../content.ts";
import { textBytes } from "../wire.ts";
import { GROUP, type GroupDevice, GroupWorld } from "./testing.ts";

let world: GroupWorld;
beforeEach(() => {
	world = new GroupWorld();
});
afterEach(() => world.close());

const secret = "s".repeat(43);
const locked = (device: GroupDevice) => lockedGroups(device.store, device.account);
const rows = (device: GroupDevice, table: string) => device.store.all(`SELECT * FROM ${table} WHERE peer = ?`, [GROUP]);

/** Alice's only device, the one with the key, is lost before it gives the key on. */
async function lostKey(): Promise<[GroupDevice, GroupDevice]> {
	const [alice, bob, carol] = [world.add("a"), world.add("b"), world.add("c")];
	world.server.drop = ({ envelopes }, sender) => envelopes.length > 0 && sender.account === alice.account;
	await world.found(alice, bob, carol);
	alice.disconnect();
	alice.inbox = [];
	return [bob, carol];
}

test("GROUP-20 who has no key of a group leaves it all the same, and nothing of it stays", async () => {
	const [bob, carol] = await lostKey();
	expect(findGroup(bob.store, GROUP)?.state).toBe(null);
	expect(locked(bob)).toEqual([GROUP]);
	expect(findGroupByName(bob.store, `group:${GROUP.slice(0, 8)}`, bob.account)).toBe(GROUP);
	expect(() => findGroupByName(bob.store, GROUP)).toThrow("no group");
	const renaming = bob.want({ do: "rename", title: "ours" });
	await world.settle();
	expect(bob.told("group-change-failed")).toMatchObject([{ id: renaming, code: "not_a_member" }]);
	const leaving = bob.want({ do: "leave" });
	await world.settle();
	expect(bob.told("group-change-done")).toMatchObject([{ id: leaving }]);
	expect(bob.told("group-left")).toHaveLength(1);
	expect(world.server.group(GROUP).members).not.toContain(bob.account);
	expect(locked(bob)).toEqual([]);
	for (const table of ["groups", "group_entries", "roster_members", "roster_devices"])
		expect(rows(bob, table)).toEqual([]);
	// Whatever roster the server has when the account comes back, it says the whole of it.
	expect(conversation(bob.store, GROUP).roster_version).toBe(0);
	// The others hear of it, and stay.
	expect(rows(carol, "roster_members")).toHaveLength(2);
	expect(locked(carol)).toEqual([GROUP]);
});

test("GROUP-20 a leaving whose answer was lost is done with the next one", async () => {
	const [bob] = await lostKey();
	world.server.group(GROUP).members = world.server.group(GROUP).members.filter((one) => one !== bob.account);
	const leaving = bob.want({ do: "leave" });
	await world.settle();
	expect(bob.told("group-change-done")).toMatchObject([{ id: leaving }]);
	expect(bob.told("group-change-failed")).toEqual([]);
	expect(locked(bob)).toEqual([]);
});

test("GROUP-20 a leaving whose answer was lost is done with the next one, with a key too", async () => {
	const [alice, bob] = [world.add("a"), world.add("b")];
	await world.found(alice, bob);
	world.server.group(GROUP).members = [alice.account];
	const leaving = bob.want({ do: "leave" });
	await world.settle();
	expect(bob.told("group-change-done")).toMatchObject([{ id: leaving }]);
	expect(bob.told("group-change-failed")).toEqual([]);
	expect(findGroup(bob.store, GROUP)?.member).toBe(0);
});

test("GROUP-20 who was removed before the key came is shown no such group any more", async () => {
	const [bob] = await lostKey();
	world.server.group(GROUP).members = world.server.group(GROUP).members.filter((one) => one !== bob.account);
	world.server.refreshRoster(GROUP, world.push);
	bob.inbox.push({ type: "group-gone", peer: GROUP });
	await world.settle();
	expect(locked(bob)).toEqual([]);
	expect(bob.told("group-left")).toHaveLength(1);
});

test("GROUP-20 a group that was left is deleted with all that was said in it; who comes back to it reads on from there", async () => {
	const [alice, bob] = [world.add("a"), world.add("b")];
	await world.found(alice, bob);
	alice.text("before");
	bob.text("mine");
	await world.settle();
	bob.inbox.push({ type: "delete-group", peer: GROUP });
	await world.settle();
	// A member keeps it.
	expect(bob.read()).toContain("before");
	bob.want({ do: "leave" });
	await world.settle();
	expect(findGroup(bob.store, GROUP)?.member).toBe(0);
	expect(bob.read()).toContain("before");
	bob.inbox.push({ type: "delete-group", peer: GROUP });
	await world.settle();
	expect(bob.read()).toEqual([]);
	const tables = ["groups", "sender_keys", "sender_key_holders", "group_history", "group_watermarks", "roster_members"];
	for (const table of tables) expect(rows(bob, table), table).toEqual([]);
	bob.disconnect();
	await world.settle();
	alice.want({ do: "add", accounts: [bob.account] });
	await world.settle();
	bob.connect();
	await world.settle();
	alice.text("after");
	await world.settle();
	bob.text("back again");
	await world.settle();
	expect(bob.read()).toEqual(["after", "back again"]);
	expect(alice.read()).toContain("back again");
	expect(bob.told("group-warning")).toEqual([]);
	// By a removal too.
	alice.want({ do: "remove", accounts: [bob.account], secret });
	await world.settle();
	bob.inbox.push({ type: "group-gone", peer: GROUP }, { type: "delete-group", peer: GROUP });
	await world.settle();
	expect(findGroup(bob.store, GROUP)).toBe(undefined);
});

test("GROUP-20 what waits for a group when this account is shown out of it is given up, and does not leave when somebody adds it again", async () => {
	const [alice, bob, carol] = [world.add("a"), world.add("b"), world.add("c")];
	await world.found(alice, bob, carol);
	bob.disconnect();
	world.holds = (device, { type }) => device === bob && type === "open-conversation";
	await world.settle();
	const waiting = bob.text("too late");
	// It is judged by the state that the next connection brings, and then by none.
	const denied = bob.want({ do: "rules", rules: { edit: "admins" } });
	bob.inbox.push({ type: "send-message", id: bob.machine.newMessageId(), peer: GROUP, draft: { body: "this too" } });
	await world.settle();
	alice.want({ do: "rules", rules: { edit: "admins" } });
	alice.want({ do: "remove", accounts: [bob.account], secret });
	await world.settle();
	bob.inbox.push({ type: "group-gone", peer: GROUP });
	await world.settle();
	expect(rows(bob, "outbox")).toEqual([]);
	expect(rows(bob, "group_changes")).toEqual([]);
	expect(bob.told("group-change-failed")).toMatchObject([{ id: denied, code: "not_a_member" }]);
	expect(bob.told("refused")).toMatchObject([{ messageId: waiting, code: "NOT_ON_ROSTER" }, { code: "NOT_ON_ROSTER" }]);
	bob.notices = [];
	expect(history(bob.store, GROUP, 10).map(({ status }) => status)).toEqual(["failed", "failed"]);
	// The state here is one of before, under which bob is a member who may not edit.
	const promoting = bob.want({ do: "role", account: carol.account, role: "admin" });
	await world.settle();
	expect(bob.told("group-change-failed")).toMatchObject([{ id: promoting, code: "not_a_member" }]);
	world.holds = () => false;
	alice.want({ do: "add", accounts: [bob.account] });
	await world.settle();
	bob.connect();
	bob.text("back again");
	await world.settle();
	expect(alice.read()).toEqual(["back again"]);
});

test("GROUP-10 GROUP-3 a removed member's old sender key opens nothing, and nothing is sent again to it, not after its return either", async () => {
	const [alice, bob, carol] = [world.add("a"), world.add("b"), world.add("c")];
	await world.found(alice, bob, carol);
	carol.text("while I was here");
	alice.text("for three");
	await world.settle();
	alice.want({ do: "remove", accounts: [carol.account], secret });
	await world.settle();
	const since = world.server.group(GROUP).log.length;
	const kept = alice.text("for two");
	await world.settle();
	// The server lets her write all the same: under the key that the others have, and to Alice alone, whom she asks.
	const group = world.server.group(GROUP);
	const show = (to: GroupDevice, kind: EnvelopeKind, ciphertext: Uint8Array) => {
		const id = carol.machine.newMessageId();
		const { number } = world.server.append(GROUP, id, carol, undefined, undefined);
		const address = { senderAccount: uuidToBytes(carol.account), senderDevice: carol.device };
		const value = { number, serverTimeMs: 1n, messageId: uuidToBytes(id), ...address, kind, ciphertext };
		world.push(to, create(ConversationDownSchema, { frame: { case: "entry", value } }));
	};
	const conversationId = fromHex(GROUP);
	const own = requireAccount(carol.store);
	const distribution = carol.store.value<string>("SELECT distribution AS value FROM sender_keys WHERE sender = ?", [
		`${carol.account}.1`,
	]);
	const id = carol.machine.newMessageId();
	const late = plaintextOf(textBytes(id, world.nowMs, "still here", "carol"), conversationId);
	const sealed = await new GroupCipher(carol.store, own).seal(GROUP, distribution ?? "", late);
	show(bob, EnvelopeKind.SENDER_KEY, sealed);
	const cipher = new Cipher(carol.store, () => false);
	const wish = retryContent(carol.machine.newMessageId(), world.nowMs, uuidToBytes(kept));
	const asked = await cipher.seal(alice.account, 1, plaintextOf(wish, conversationId), new Date(world.nowMs));
	if (asked === undefined) throw new Error("no session");
	show(alice, asked.kind, asked.ciphertext);
	await world.settle();
	expect(bob.read()).not.toContain("still here");
	expect(bob.told("group-warning")).toMatchObject([{ code: "MESSAGE_NOT_PERMITTED", account: carol.account }]);
	const toCarol = () =>
		group.log
			.slice(since)
			.flatMap(({ send }) => send?.envelopes ?? [])
			.filter(({ to }) => uuidFromBytes(to?.account ?? new Uint8Array(16)) === carol.account);
	expect(toCarol()).toEqual([]);
	alice.want({ do: "add", accounts: [carol.account] });
	await world.settle();
	carol.connect();
	alice.text("for three again");
	await world.settle();
	expect(carol.read()).toContain("for three again");
	expect(carol.read()).not.toContain("for two");
});

test("a name that nobody has may be a group's title", async () => {
	const alice = world.add("a");
	await world.found(alice);
	alice.want({ do: "rename", title: "Climbing" });
	await world.settle();
	expect(noSuchUser(alice.store, "climbing").message).toBe("nobody is called climbing: the group is group:climbing");
	expect(noSuchUser(alice.store, "carl").message).toBe("nobody is called carl: are they registered?");
});
