/**
 * In which order a group's changes, messages and keys are handled, and when a key is over (rules GROUP-12, GROUP-13).
 */
import { afterEach, beforeEach, expect, test } from "vitest";
import { findGroup } from "../../store/groups.ts";
import { account, GROUP, type GroupDevice, GroupWorld } from "./testing.ts";

let world: GroupWorld;
beforeEach(() => {
	world = new GroupWorld();
});
afterEach(() => world.close());

const distribution = (device: GroupDevice) => findGroup(device.store, GROUP)?.distribution;

async function three(): Promise<[GroupDevice, GroupDevice, GroupDevice]> {
	const devices: [GroupDevice, GroupDevice, GroupDevice] = [world.add("a"), world.add("b"), world.add("c")];
	await world.found(...devices);
	return devices;
}

/** The device does not know another's identity key any more, and its question for it is not answered for now. */
async function forget(device: GroupDevice, other: GroupDevice): Promise<void> {
	device.store.run("DELETE FROM identities WHERE account = ?", [other.account]);
	device.restart();
	device.connect();
	await world.settle();
	world.holds = (by, request) => by === device && request.type === "claim-prekeys" && request.account === other.account;
}

test("GROUP-12 a message after a change that waits for its author's key waits too, and is judged by the change", async () => {
	const [alice, bob, carol] = await three();
	bob.text("while I may");
	await world.settle();
	await forget(carol, alice);
	const since = world.server.group(GROUP).log.length;
	bob.batch = 1;
	bob.inbox.push({ type: "send-text", id: bob.machine.newMessageId(), peer: GROUP, body: "though I may not" });
	alice.want({ do: "rules", rules: { send: "admins" } });
	await world.settle(alice);
	// Bob has not heard of it yet, and the server lets the message through.
	bob.inbox.sort((one, other) => Number(other.type === "send-text") - Number(one.type === "send-text"));
	await world.settle();
	const [change, after, ...more] = world.server.group(GROUP).log.slice(since);
	expect([change?.change !== undefined, (after?.send?.shared.length ?? 0) > 0]).toEqual([true, true]);
	// Nor does she ask for it: what it may be is not known yet.
	expect(more).toEqual([]);
	// Something else comes for which entries may have waited.
	carol.inbox.push({ type: "prekeys-claimed", account: bob.account, bundles: world.server.claim(bob.account) });
	await world.settle();
	expect(carol.read()).not.toContain("though I may not");
	expect(carol.told("group-changed").at(-1)?.version).not.toBe(2);
	await world.release();
	expect(findGroup(carol.store, GROUP)?.version).toBe(2);
	expect(carol.read().filter((body) => body !== undefined)).toEqual(["while I may"]);
	expect(carol.told("group-warning")).toMatchObject([{ code: "MESSAGE_NOT_PERMITTED", account: bob.account }]);
});

test("GROUP-12 a change after one that waits for its author's key waits too: none is passed over", async () => {
	const [alice, bob, carol] = await three();
	bob.text("hello");
	await world.settle();
	await forget(carol, alice);
	carol.notices = [];
	alice.want({ do: "rename", title: "first" });
	await world.settle();
	bob.want({ do: "rename", title: "second" });
	await world.settle();
	expect(findGroup(bob.store, GROUP)).toMatchObject({ version: 3, title: "second" });
	expect(carol.told("group-changed")).toEqual([]);
	await world.release();
	expect(carol.told("group-changed").map(({ title, author }) => [title, author])).toEqual([
		["first", alice.account],
		["second", bob.account],
	]);
	expect(findGroup(carol.store, GROUP)).toMatchObject({ version: 3, title: "second" });
});

test("GROUP-12 while keys for an older roster are on their way no message leaves", async () => {
	const [alice, bob, carol] = await three();
	const dora = world.add("d");
	// The frame with keys is on its way, as far as Alice knows.
	world.server.drop = ({ envelopes }, sender) => sender.account === alice.account && envelopes.length > 0;
	alice.store.run("UPDATE groups SET distribution = NULL, wanted = 1");
	alice.store.run("DELETE FROM sender_key_holders");
	alice.inbox.push({ type: "wake", account: GROUP });
	await world.settle();
	bob.want({ do: "add", accounts: [account("d")] });
	await world.settle();
	world.server.drop = () => false;
	alice.text("for all four");
	await world.settle();
	const shared = world.server.group(GROUP).log.filter(({ send }) => (send?.shared.length ?? 0) > 0);
	expect(shared).toEqual([]);
	alice.disconnect();
	alice.connect();
	dora.connect();
	await world.settle();
	for (const device of [bob, carol, dora]) {
		expect(device.read()).toEqual(["for all four"]);
		expect(device.told("message").map(({ message }) => message.status)).toEqual(["received"]);
	}
});

test("GROUP-13 a clock that was put back by less than 7 days renews nothing, by more it does", async () => {
	const [alice, bob] = await three();
	alice.text("1");
	await world.settle();
	const first = distribution(alice);
	world.nowMs -= 6 * 86_400_000;
	alice.text("2");
	await world.settle();
	expect(distribution(alice)).toBe(first);
	world.nowMs -= 2 * 86_400_000;
	alice.text("3");
	await world.settle();
	const second = distribution(alice);
	expect(second).not.toBe(first);
	alice.text("4");
	await world.settle();
	expect(distribution(alice)).toBe(second);
	expect(bob.read()).toEqual(["1", "2", "3", "4"]);
});

test("GROUP-13 messages that are queued at once are no more than 1,000 under one key", async () => {
	const [alice, bob] = await three();
	alice.text("0");
	await world.settle();
	const first = distribution(alice);
	alice.store.run("UPDATE groups SET sent = 990");
	const texts = Array.from({ length: 25 }, (_, index) => String(index + 1));
	for (const text of texts) alice.text(text);
	await world.settle();
	expect(distribution(alice)).not.toBe(first);
	expect(findGroup(alice.store, GROUP)?.sent).toBe(15);
	expect(bob.read()).toEqual(["0", ...texts]);
});
