/** Groups after trouble: a server that was put back to an earlier state, and keys that a person accepts late. */
import { rmSync } from "node:fs";
import { IdentityKeyPair } from "@signalapp/libsignal-client";
import { afterEach, beforeEach, expect, test } from "vitest";
import { parseState } from "../../groups/state.ts";
import { findGroup } from "../../store/groups.ts";
import { putIdentity } from "../../store/identities.ts";
import { GROUP, type GroupDevice, GroupWorld } from "./testing.ts";

let world: GroupWorld;
beforeEach(() => {
	world = new GroupWorld();
});
afterEach(() => world.close());

const secret = "s".repeat(43);
const DAY_MS = 86_400_000;

function stateOf(device: GroupDevice) {
	const bytes = findGroup(device.store, GROUP)?.state ?? undefined;
	const state = bytes === undefined ? undefined : parseState(bytes);
	if (state === undefined) throw new Error("no state");
	return state;
}

const members = (device: GroupDevice) => stateOf(device).members.map((one) => one.account);

async function three(): Promise<[GroupDevice, GroupDevice, GroupDevice]> {
	const devices: [GroupDevice, GroupDevice, GroupDevice] = [world.add("a"), world.add("b"), world.add("c")];
	await world.found(...devices);
	return devices;
}

test("GROUP-19 CLIENT-6 a server that was put back brings no removed member back; changes go on, one history for all", async () => {
	const [alice, bob, carol] = await three();
	const dora = world.add("d");
	alice.text("before");
	await world.settle();
	// After the last message: it comes once more, as an entry that is older than what is known.
	alice.want({ do: "rename", title: "others" });
	await world.settle();
	const now = world.server.group(GROUP);
	const backup = { ...now, log: [...now.log], roster: new Set(now.roster), members: [...now.members] };
	alice.want({ do: "remove", accounts: [carol.account], secret });
	await world.settle();
	alice.want({ do: "add", accounts: [dora.account] });
	await world.settle();
	expect(stateOf(bob)).toMatchObject({ version: 4, rank: 4 });
	const all = [alice.account, bob.account, dora.account];
	// The server knows neither of the removal nor of Dora any more, and lets Carol in.
	world.server.groups.set(GROUP, backup);
	for (const device of [alice, bob, carol]) {
		device.disconnect();
		await world.settle();
		device.connect();
	}
	await world.settle();
	for (const device of [alice, bob]) {
		expect(stateOf(device)).toMatchObject({ version: 4, title: "others" });
		expect(members(device)).toEqual(all);
	}
	alice.text("not for carol");
	await world.settle();
	expect(bob.read()).toContain("not for carol");
	expect(carol.read()).not.toContain("not for carol");
	// The next changes have versions that were there already, and are believed; the roster follows the state.
	alice.want({ do: "describe", description: "after the restore" });
	await world.settle();
	bob.want({ do: "rename", title: "together" });
	await world.settle();
	dora.connect();
	await world.settle();
	for (const device of [alice, bob, dora]) {
		expect(stateOf(device)).toMatchObject({ version: 4, rank: 6, title: "together", description: "after the restore" });
		expect(members(device)).toEqual(all);
		expect(device.told("group-warning")).toEqual([]);
		expect(device.told("group-change-failed")).toEqual([]);
	}
	expect(world.server.group(GROUP)).toMatchObject({ version: 4, members: all });
});

test("GROUP-19 a member's change after a restore leaves the roster to the admins, whose next one brings it back", async () => {
	const [alice, bob, carol] = await three();
	const now = world.server.group(GROUP);
	const backup = { ...now, log: [...now.log], roster: new Set(now.roster), members: [...now.members] };
	const dora = world.add("d");
	alice.want({ do: "remove", accounts: [carol.account], secret });
	alice.want({ do: "add", accounts: [dora.account] });
	await world.settle();
	world.server.groups.set(GROUP, backup);
	for (const device of [alice, bob]) {
		device.disconnect();
		await world.settle();
		device.connect();
	}
	await world.settle();
	const told: object[] = [];
	const { call } = world.server;
	world.server.call = (by, peer, id, what, push) => {
		if (what.do === "change") told.push(what.body);
		return call.call(world.server, by, peer, id, what, push);
	};
	bob.want({ do: "rename", title: "as a member" });
	await world.settle();
	expect(world.server.group(GROUP).members).toContain(carol.account);
	alice.want({ do: "describe", description: "as an admin" });
	await world.settle();
	// Bob's first attempt had the version that he knew before.
	expect(told.at(-1)).toMatchObject({
		version: 3,
		removed: [carol.account],
		added: [{ accountId: dora.account, role: "member" }],
	});
	for (const one of told.slice(0, -1)) expect(Object.keys(one)).toEqual(["messageId", "version", "state"]);
	expect(world.server.group(GROUP).members).toEqual([alice, bob, dora].map((one) => one.account));
	for (const device of [alice, bob]) {
		expect(stateOf(device)).toMatchObject({ title: "as a member", description: "as an admin" });
		expect(device.told("group-change-failed")).toEqual([]);
		expect(device.told("group-warning")).toEqual([]);
	}
});

test("RETRY-1 GROUP-12 what a new member asks for is answered though its adder's changed key is accepted only later", async () => {
	const [alice, bob, carol] = await three();
	const dora = world.add("d");
	// Bob has verified another key as Alice's.
	const key = IdentityKeyPair.generate().publicKey.serialize();
	putIdentity(bob.store, { account: alice.account, key, verified: 1, pending_key: null });
	bob.restart();
	bob.connect();
	alice.want({ do: "add", accounts: [dora.account] });
	await world.settle();
	dora.connect();
	await world.settle();
	expect(members(carol)).toContain(dora.account);
	expect(members(bob)).not.toContain(dora.account);
	expect(bob.told("group-warning")).toMatchObject([{ code: "bad_signature", account: alice.account }]);
	// He gives her no key, and she asks for what he wrote.
	bob.text("hello dora?");
	await world.settle();
	expect(dora.read()).toEqual([undefined]);
	bob.inbox.push({ type: "accept-identity", peer: alice.account });
	await world.settle();
	expect(members(bob)).toContain(dora.account);
	expect(dora.read()).toEqual(["hello dora?"]);
	expect(bob.store.all("SELECT * FROM late_retries")).toEqual([]);
});

test("RETRY-3 RETRY-2 an old copy of a member's file: messages of all and changes come again, and the line heals", async () => {
	const [alice, bob, carol] = await three();
	alice.text("before");
	bob.text("from bob");
	await world.settle();
	alice.want({ do: "role", account: bob.account, role: "admin" });
	await world.settle();
	world.server.wipes = true;
	const putBack = bob.backUp();
	// Something under each of Bob's keys that his old copy will use again: his session with Alice, and his chain.
	for (let weeks = 0; weeks < 9; weeks++) {
		world.nowMs += 8 * DAY_MS;
		bob.text("under a renewed key");
		await world.settle();
	}
	alice.text("one");
	await world.settle();
	carol.text("two");
	await world.settle();
	alice.want({ do: "rename", title: "renamed" });
	await world.settle();
	alice.want({ do: "rules", rules: { send: "admins" } });
	await world.settle();
	alice.text("three");
	await world.settle();
	putBack();
	bob.connect();
	await world.settle();
	expect(stateOf(bob)).toMatchObject({ title: "renamed" });
	// Carol may not write any more; she might then.
	expect(bob.read()).toEqual(["before", "from bob", "one", "two", "three"]);
	for (const one of [alice, bob]) expect(one.told("group-warning")).toEqual([]);
	bob.text("and on");
	await world.settle();
	alice.text("and on, too");
	await world.settle();
	expect(bob.read().slice(-2)).toEqual(["and on", "and on, too"]);
	expect(alice.read().slice(-2)).toEqual(["and on", "and on, too"]);
});

test("REFUSED-1 a state from outside the log that can't be believed is asked for once on a connection", async () => {
	const [alice, bob] = await three();
	let fetches = 0;
	const { call } = world.server;
	world.server.call = (by, peer, id, what, push) => {
		if (what.do === "fetch") fetches++;
		return call.call(world.server, by, peer, id, what, push);
	};
	// Somebody has come back with other keys: the state is signed with those of before.
	alice.store.close();
	for (const suffix of ["", "-wal"]) rmSync(alice.path + suffix, { force: true });
	const again = world.add("a");
	world.server.refreshRoster(GROUP, world.push);
	again.inbox.push({ type: "learn-conversations", peers: [GROUP] });
	await world.settle();
	bob.text("hello again");
	await world.settle();
	expect(fetches).toBe(1);
	expect(findGroup(again.store, GROUP)).toMatchObject({ version: 0, key: expect.anything() });
});
