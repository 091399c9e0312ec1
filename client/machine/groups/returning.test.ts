import { create, toBinary } from "@bufbuild/protobuf";
import { afterEach, beforeEach, expect, test } from "vitest";
import { GroupChangeSchema, GroupRole } from "../../../protocol/gen/group_pb.js";
import { uuidToBytes } from "../../../protocol/ids.ts";
import { type GroupState, parseState, serializeState } from "../../groups/state.ts";
import { sealState } from "../../signal/group_state.ts";
import { findGroup } from "../../store/groups.ts";
import { findIdentity } from "../../store/identities.ts";
import { account, GROUP, type GroupDevice, GroupWorld } from "./testing.ts";

let world: GroupWorld;

beforeEach(() => {
	world = new GroupWorld();
});

afterEach(() => world.close());

test("GROUP-10 who was removed and added again while away believes who adds it, though it has not seen by whom it could be", async () => {
	const [alice, bob, carol] = [world.add("a"), world.add("b"), world.add("c")];
	await world.found(alice, bob, carol);
	bob.disconnect();
	await world.settle();
	alice.want({ do: "remove", accounts: [account("b")], secret: "A".repeat(43) });
	await world.settle();
	alice.want({ do: "role", account: account("c"), role: "admin" });
	await world.settle();
	carol.want({ do: "add", accounts: [account("b")] });
	await world.settle();
	bob.connect();
	await world.settle();
	expect(bob.told("group-warning")).toEqual([]);
	carol.text("welcome back");
	await world.settle();
	expect(bob.read()).toContain("welcome back");
	// What it sends is for those who are there now.
	bob.text("thanks");
	await world.settle();
	expect(alice.read()).toContain("thanks");
});

test("SYNC-4 GROUP-18 a member's new device that opens the link has the state of when the roster has it, not of the link", async () => {
	const [alice, bob] = [world.add("a"), world.add("b")];
	await world.found(alice, bob);
	const { version, state, requests } = world.server.group(GROUP);
	const key = Buffer.from(findGroup(alice.store, GROUP)?.key ?? []).toString("base64url");
	alice.want({ do: "rename", title: "before it was on the roster" });
	await world.settle();
	const second = world.add("b", 2, bob);
	world.server.refreshRoster(GROUP, world.push);
	const link = { key, secret: "s".repeat(43), group: { version, state, requests } };
	second.inbox.push({ type: "join-group", id: second.machine.newMessageId(), peer: GROUP, ...link });
	await world.settle();
	expect(findGroup(second.store, GROUP)?.title).toBe("friends");
	second.connect();
	await world.settle();
	expect(findGroup(second.store, GROUP)).toMatchObject({
		title: "before it was on the roster",
		version: 2,
		refetch: 0,
	});
});

test("GROUP-12 SYNC-4 a new device learns from its sister who made the newest state, though that account is deleted", async () => {
	const [alice, bob, carol] = [world.add("a"), world.add("b"), world.add("c")];
	await world.found(alice, bob, carol);
	carol.want({ do: "rename", title: "carol's" });
	await world.settle();
	const group = world.server.group(GROUP);
	group.members = group.members.filter((one) => one !== carol.account);
	world.server.devices.delete(`${carol.account}.1`);
	world.server.refreshRoster(GROUP, world.push);
	await world.settle();
	const second = world.add("b", 2, bob);
	world.server.refreshRoster(GROUP, world.push);
	// Alice's key, with the group's, comes first: the state can be opened and not be verified.
	alice.text("hello");
	await world.settle(alice);
	second.inbox.push({ type: "learn-conversations", peers: [GROUP] });
	await world.settle(second);
	expect(second.told("group-warning")).toMatchObject([{ code: "author_unknown", account: carol.account }]);
	await world.settle();
	expect(findGroup(second.store, GROUP)).toMatchObject({ title: "carol's", version: 2, member: 1, refetch: 0 });
	expect(second.read()).toEqual(["hello"]);
	second.text("hello all");
	await world.settle();
	expect(alice.read()).toContain("hello all");
});

test("GROUP-12 nobody else's word is taken for the key of an account that is gone", async () => {
	const [alice, bob, carol] = [world.add("a"), world.add("b"), world.add("c")];
	await world.found(alice, bob, carol);
	bob.store.run("DELETE FROM identities WHERE account = ?", [carol.account]);
	bob.restart();
	bob.connect();
	world.server.devices.delete(`${carol.account}.1`);
	world.server.group(GROUP).members = [alice.account, bob.account];
	world.server.refreshRoster(GROUP, world.push);
	// Carol has made the newest state, as alice's file says.
	alice.store.run("UPDATE group_history SET author = ?", [carol.account]);
	alice.text("for bob");
	await world.settle();
	expect(bob.read()).toEqual(["for bob"]);
	expect(findIdentity(bob.store, carol.account)).toBeUndefined();
});

function stateOf(device: GroupDevice): GroupState {
	const state = parseState(findGroup(device.store, GROUP)?.state ?? new Uint8Array(0));
	if (state === undefined) throw new Error("no state");
	return state;
}

test("GROUP-10 a server that says it has added who was there all the time makes nobody believe what the author may not do", async () => {
	const [alice, bob, carol] = [world.add("a"), world.add("b"), world.add("c")];
	await world.found(alice, bob, carol);
	const before = stateOf(carol);
	const key = findGroup(bob.store, GROUP)?.key;
	if (key === undefined || key === null) throw new Error("no key");
	// Bob is no admin; the server helps him, and names Carol as new.
	const members = before.members.map((one) => (one.account === bob.account ? { ...one, role: "admin" as const } : one));
	const state: GroupState = { ...before, version: 2, rank: 2, members, title: "mine" };
	const change = create(GroupChangeSchema, {
		version: 2,
		added: [{ account: uuidToBytes(carol.account), role: GroupRole.MEMBER }],
		state: sealState(bob.store, key, { group: GROUP, version: 2, author: bob.account }, serializeState(state)),
	});
	const wire = "0197a000-0000-7000-8000-000000000001";
	world.server.deliver(GROUP, wire, bob, toBinary(GroupChangeSchema, change), world.push);
	await world.settle();
	for (const device of [alice, carol]) {
		expect(stateOf(device)).toEqual(before);
		expect(device.told("group-warning")).toMatchObject([{ account: bob.account }]);
	}
});
