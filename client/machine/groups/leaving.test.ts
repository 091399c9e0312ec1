/** How a membership ends, and what stays of the group on the device (rule GROUP-20). */
import { afterEach, beforeEach, expect, test } from "vitest";
import { findGroupByName } from "../../groups/reference.ts";
import { conversation } from "../../store/conversations.ts";
import { findGroup, lockedGroups } from "../../store/groups.ts";
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
