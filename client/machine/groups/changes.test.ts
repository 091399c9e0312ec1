import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { afterEach, beforeEach, expect, test } from "vitest";
import { GroupChangeSchema, GroupRole } from "../../../protocol/gen/group_pb.js";
import { uuidToBytes } from "../../../protocol/ids.ts";
import { type GroupState, parseState, serializeState } from "../../groups/state.ts";
import { sealState } from "../../signal/group_state.ts";
import { findGroup } from "../../store/groups.ts";
import { account, GROUP, type GroupDevice, GroupWorld } from "./testing.ts";

let world: GroupWorld;
beforeEach(() => {
	world = new GroupWorld();
});
afterEach(() => world.close());

const secret = "s".repeat(43);
const other = Buffer.alloc(32, 7).toString("base64url");
const wireId = "0197a000-0000-7000-8000-000000000001";

function stateOf(device: GroupDevice): GroupState {
	const bytes = findGroup(device.store, GROUP)?.state ?? undefined;
	const state = bytes === undefined ? undefined : parseState(bytes);
	if (state === undefined) throw new Error("no state");
	return state;
}

const members = (device: GroupDevice) => stateOf(device).members.map((member) => member.account);

async function three(): Promise<[GroupDevice, GroupDevice, GroupDevice]> {
	const devices: [GroupDevice, GroupDevice, GroupDevice] = [world.add("a"), world.add("b"), world.add("c")];
	await world.found(...devices);
	return devices;
}

/** The group's link, as `by` shows it. */
function follow(device: GroupDevice, by: GroupDevice): void {
	const { version, state, requests } = world.server.group(GROUP);
	const key = Buffer.from(findGroup(by.store, GROUP)?.key ?? []).toString("base64url");
	const group = { version, state, requests };
	device.inbox.push({ type: "join-group", id: device.machine.newMessageId(), peer: GROUP, key, secret, group });
}

/** A change that the server lets through, whoever signs it; what it was told is `told`. */
async function forge(by: GroupDevice, after: Partial<GroupState>, told: { added?: string[]; removed?: string[] } = {}) {
	const version = stateOf(by).version + 1;
	const state = { ...stateOf(by), version, rank: version, ...after };
	const key = findGroup(by.store, GROUP)?.key;
	if (key === undefined || key === null) throw new Error("no key");
	const at = { group: GROUP, version: state.version, author: by.account };
	const change = create(GroupChangeSchema, {
		version: state.version,
		added: (told.added ?? []).map((one) => ({ account: uuidToBytes(one), role: GroupRole.MEMBER })),
		removed: (told.removed ?? []).map(uuidToBytes),
		state: sealState(by.store, key, at, serializeState(state)),
	});
	const group = world.server.group(GROUP);
	group.version = state.version;
	group.members = [...group.members.filter((one) => !told.removed?.includes(one)), ...(told.added ?? [])];
	world.server.refreshRoster(GROUP, world.push);
	world.server.deliver(GROUP, wireId, by, toBinary(GroupChangeSchema, change), world.push);
	await world.settle();
}

test("GROUP-15 two change the group at once: both changes are in one history, the same for all", async () => {
	const [alice, bob, carol] = await three();
	const dora = world.add("d");
	alice.want({ do: "rename", title: "climbers" });
	bob.want({ do: "add", accounts: [account("d")] });
	carol.want({ do: "describe", description: "on sundays" });
	await world.settle();
	dora.connect();
	await world.settle();
	for (const device of [alice, bob, carol, dora]) {
		expect(stateOf(device)).toMatchObject({ version: 4, title: "climbers", description: "on sundays" });
		expect(members(device)).toHaveLength(4);
		expect(device.told("group-warning")).toEqual([]);
	}
	for (const device of [alice, bob, carol])
		expect(device.told("group-change-done")).toHaveLength(device === alice ? 2 : 1);
});

test("GROUP-15 an admin is demoted while acting: the person is told, and nothing else happens", async () => {
	const [alice, bob, carol] = await three();
	alice.want({ do: "role", account: bob.account, role: "admin" });
	await world.settle();
	alice.want({ do: "role", account: bob.account, role: "member" });
	bob.want({ do: "remove", accounts: [carol.account], secret });
	await world.settle();
	expect(bob.told("group-change-failed")).toMatchObject([{ code: "not_permitted" }]);
	for (const device of [alice, bob, carol]) expect(members(device)).toHaveLength(3);
});

test("GROUP-15 who was made an admin while away acts as one: what is known here is brought up to date before it refuses", async () => {
	const [alice, bob, carol] = await three();
	bob.disconnect();
	await world.settle();
	alice.want({ do: "role", account: bob.account, role: "admin" });
	await world.settle();
	const removing = bob.want({ do: "remove", accounts: [carol.account], secret });
	await world.settle();
	expect(bob.told("group-change-failed")).toEqual([]);
	expect(bob.told("group-change-done")).toMatchObject([{ id: removing }]);
	expect(members(alice)).toEqual([alice.account, bob.account]);
});

test("GROUP-15 the same person is removed by two admins: the second is told that it is so already", async () => {
	const [alice, bob, carol] = await three();
	alice.want({ do: "role", account: bob.account, role: "admin" });
	await world.settle();
	alice.want({ do: "remove", accounts: [carol.account], secret });
	bob.want({ do: "remove", accounts: [carol.account], secret });
	await world.settle();
	expect(bob.told("group-change-failed")).toMatchObject([{ code: "nothing_to_do" }]);
	expect(members(bob)).toEqual([account("a"), account("b")]);
});

test("GROUP-15 CLIENT-1 a kill before the answer repeats the same request, which changes the group once", async () => {
	const [alice, bob] = await three();
	alice.want({ do: "rename", title: "once" });
	const requests = await alice.machine.step(alice.inbox.splice(0));
	const call = requests.find((request) => request.type === "call-group");
	if (call?.type !== "call-group") throw new Error("no call");
	world.server.call(alice, GROUP, call.id, call.call, world.push);
	alice.restart();
	alice.inbox.push({ type: "account-opened" });
	alice.connect();
	await world.settle();
	expect(stateOf(bob)).toMatchObject({ version: 2, title: "once" });
	expect(alice.store.all("SELECT * FROM group_changes")).toEqual([]);
});

test("GROUP-12 CLIENT-1 a kill while keys are given goes on with the same frames; everybody gets them", async () => {
	const people = ["a", "b", "c", "d", "e", "f"].map((letter) => world.add(letter));
	const [alice, ...others] = people;
	if (alice === undefined) throw new Error("nobody");
	world.server.drop = ({ envelopes }, sender) => envelopes.length > 0 && sender.account === alice.account;
	await world.found(alice, ...others);
	alice.text("hello");
	await world.settle();
	for (const device of others) expect(device.read()).toEqual([]);
	world.server.drop = () => false;
	alice.restart();
	alice.connect();
	await world.settle();
	for (const device of others) expect(device.read()).toEqual(["hello"]);
});

test("GROUP-18 somebody joins by the link at once; a removal ends the link", async () => {
	const [alice, bob, carol] = await three();
	alice.want({ do: "link", on: true, approval: false, reset: false, secret });
	await world.settle();
	const dora = world.add("d");
	follow(dora, alice);
	await world.settle();
	dora.connect();
	await world.settle();
	dora.text("I am new");
	alice.text("welcome");
	await world.settle();
	for (const device of [alice, bob, carol, dora]) expect(device.read().sort()).toEqual(["I am new", "welcome"]);
	expect(Buffer.from(stateOf(bob).linkSecret).toString("base64url")).toBe(secret);
	alice.want({ do: "remove", accounts: [carol.account], secret: other });
	await world.settle();
	expect(Buffer.from(stateOf(dora).linkSecret).toString("base64url")).toBe(other);
});

test("GROUP-2 a member who was away follows the link and removes somebody newer than its roster: the server does it too", async () => {
	const [alice, bob] = await three();
	const dora = world.add("d");
	bob.disconnect();
	await world.settle();
	alice.want({ do: "role", account: bob.account, role: "admin" });
	alice.want({ do: "link", on: true, approval: false, reset: false, secret });
	alice.want({ do: "add", accounts: [dora.account] });
	await world.settle();
	follow(bob, alice);
	await world.settle();
	expect(bob.open.size).toBe(0);
	expect(members(bob)).toContain(dora.account);
	bob.want({ do: "remove", accounts: [dora.account], secret: other });
	await world.settle();
	for (const device of [alice, bob]) expect(members(device)).toEqual(["a", "b", "c"].map(account));
	expect(world.server.group(GROUP).members.sort()).toEqual(["a", "b", "c"].map(account));
});

test("GROUP-10 a change that its author may not make is shown, and changes nothing", async () => {
	const [alice, bob, carol] = await three();
	alice.want({ do: "rules", rules: { add: "admins", edit: "admins" } });
	await world.settle();
	const before = stateOf(alice);
	const eve = world.add("e");
	await forge(
		bob,
		{ members: [...before.members, { account: eve.account, role: "member" }] },
		{ added: [eve.account] },
	);
	eve.connect();
	await world.settle();
	for (const device of [alice, carol]) {
		expect(device.told("group-warning")).toMatchObject([{ code: "may_not_add", account: bob.account }]);
		expect(stateOf(device)).toEqual(before);
	}
	alice.text("not for eve");
	await world.settle();
	expect(carol.read()).toEqual(["not for eve"]);
	expect(eve.read()).toEqual([]);
	// The group goes on: an admin's next change is the server's next version.
	alice.want({ do: "rename", title: "without eve" });
	await world.settle();
	expect(stateOf(carol)).toMatchObject({ version: before.version + 2, title: "without eve" });
	expect(members(carol)).not.toContain(eve.account);
});

test("GROUP-10 a signature that isn't the author's, and another group's state, are not believed", async () => {
	const [alice, bob, carol] = await three();
	const before = stateOf(alice);
	// Bob signs as alice.
	const posing = Object.assign(Object.create(bob), { account: alice.account });
	await forge(posing, { title: "forged" });
	expect(carol.told("group-warning")).toMatchObject([{ code: "bad_signature", account: alice.account }]);
	expect(stateOf(carol)).toEqual(before);
});

test("GROUP-10 a message of somebody who may not send is not shown", async () => {
	const [alice, bob, carol] = await three();
	bob.text("while I may");
	await world.settle();
	const gate = world.server.group(GROUP).log.length;
	alice.want({ do: "rules", rules: { send: "admins" } });
	bob.batch = 1;
	bob.inbox.push({ type: "send-text", id: bob.machine.newMessageId(), peer: GROUP, body: "though I may not" });
	await world.settle(alice);
	// The server lets it through; carol has seen the rule before it.
	bob.inbox.sort((one, other) => Number(other.type === "send-text") - Number(one.type === "send-text"));
	await world.settle();
	expect(world.server.group(GROUP).log.length).toBe(gate + 2);
	expect(carol.read()).toEqual(["while I may"]);
	expect(carol.told("group-warning")).toMatchObject([{ code: "MESSAGE_NOT_PERMITTED", account: bob.account }]);
});

test("GROUP-12 a change before the group's key, and messages before it, are handled when it comes", async () => {
	const [alice, bob] = await three();
	alice.text("before dora");
	await world.settle();
	const dora = world.add("d");
	// The keys for dora are lost at first.
	world.server.drop = ({ envelopes }) => envelopes.some(({ to }) => to?.account[0] === 0x64);
	alice.want({ do: "add", accounts: [dora.account] });
	await world.settle();
	dora.connect();
	bob.want({ do: "rename", title: "with dora" });
	bob.text("hello dora");
	await world.settle();
	expect(findGroup(dora.store, GROUP)).toMatchObject({ version: 0, key: null });
	expect(dora.read()).toEqual([]);
	world.server.drop = () => false;
	for (const device of [alice, bob]) {
		device.disconnect();
		device.connect();
	}
	await world.settle();
	expect(stateOf(dora)).toMatchObject({ title: "with dora" });
	expect(dora.read()).toEqual(["hello dora"]);
	expect(fromBinary(GroupChangeSchema, new Uint8Array(0)).version).toBe(0);
});
