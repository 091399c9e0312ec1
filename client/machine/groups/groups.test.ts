import { afterEach, beforeEach, expect, test } from "vitest";
import { uuidToBytes } from "../../../protocol/ids.ts";
import { putGroupDevice } from "../../store/group_roster.ts";
import { leftOutAccounts, memberMarks } from "../../store/group_watermarks.ts";
import { findGroup } from "../../store/groups.ts";
import { history, message } from "../../store/queries.ts";
import { account, GROUP, type GroupDevice, GroupWorld } from "./testing.ts";

let world: GroupWorld;
beforeEach(() => {
	world = new GroupWorld();
});
afterEach(() => world.close());

const secret = "s".repeat(43);
const distribution = (device: GroupDevice) => findGroup(device.store, GROUP)?.distribution;
const sends = () => world.server.group(GROUP).log.flatMap(({ send }) => (send === undefined ? [] : [send]));

async function three(): Promise<[GroupDevice, GroupDevice, GroupDevice]> {
	const devices: [GroupDevice, GroupDevice, GroupDevice] = [world.add("a"), world.add("b"), world.add("c")];
	await world.found(...devices);
	return devices;
}

test("GROUP-12 one ciphertext for all: three people talk in a group", async () => {
	const [alice, bob, carol] = await three();
	const id = alice.text("hello");
	bob.text("hi");
	await world.settle();
	for (const device of [alice, bob, carol]) expect(device.read().sort()).toEqual(["hello", "hi"]);
	expect(sends().filter(({ shared }) => shared.length > 0)).toHaveLength(2);
	expect(message(alice.store, id)).toMatchObject({ status: "delivered", sender: account("a") });
	expect(
		history(carol.store, GROUP, 10)
			.map(({ sender }) => sender)
			.sort(),
	).toEqual([account("a"), account("b")]);
});

test("GROUP-12 SYNC-4 another device of an account learns the group from its sisters, reads and sends", async () => {
	const [alice, bob] = await three();
	bob.text("before");
	await world.settle();
	const second = world.add("a", 2, alice);
	world.server.refreshRoster(GROUP, world.push);
	second.inbox.push({ type: "learn-conversations", peers: [GROUP] });
	await world.settle();
	expect(findGroup(second.store, GROUP)).toMatchObject({ title: "friends", member: 1 });
	alice.text("from the first");
	bob.text("from bob");
	await world.settle();
	second.text("from the second");
	await world.settle();
	expect(second.read().sort()).toEqual(["from bob", "from the first", "from the second"]);
	expect(alice.read()).toContain("from the second");
	expect(bob.read()).toContain("from the second");
});

test("GROUP-13 the sender key stays over restarts, names and who comes, and goes with who leaves", async () => {
	const [alice, bob, carol] = await three();
	alice.text("1");
	await world.settle();
	const first = distribution(alice);
	expect(first).toBeTruthy();
	alice.restart();
	alice.connect();
	alice.want({ do: "rename", title: "others" });
	const dora = world.add("d");
	await world.settle();
	alice.want({ do: "add", accounts: [account("d")] });
	await world.settle();
	dora.connect();
	await world.settle();
	alice.text("2");
	await world.settle();
	expect(distribution(alice)).toBe(first);
	expect(dora.read()).toEqual(["2"]);
	alice.want({ do: "remove", accounts: [account("c")], secret });
	await world.settle();
	alice.text("3");
	await world.settle();
	expect(distribution(alice)).not.toBe(first);
	for (const device of [bob, dora]) expect(device.read()).toContain("3");
	expect(carol.read()).toEqual(["1", "2"]);
	expect(carol.told("group-left")).toHaveLength(1);
	// Even if the server hands the removed one everything, and it keeps what it has.
	const late = world.server.group(GROUP).log.at(-1);
	const entry = { number: 99, serverTimeMs: 1n, messageId: sends().at(-1)?.messageId ?? new Uint8Array(16) };
	const ciphertext = late?.send?.shared ?? new Uint8Array(0);
	const sender = { senderAccount: uuidToBytes(account("a")), senderDevice: 1, kind: 3, ciphertext };
	carol.open.add(GROUP);
	world.push(carol, {
		$typeName: "parley.v1.ConversationDown",
		frame: { case: "entry", value: { $typeName: "parley.v1.Entry", ...entry, ...sender } },
	});
	await world.settle();
	expect(carol.read()).not.toContain("3");
});

test("GROUP-13 a device that is unlinked, though its account stays, reads nothing more", async () => {
	const [alice, bob] = await three();
	const second = world.add("b", 2, bob);
	world.server.refreshRoster(GROUP, world.push);
	second.connect();
	await world.settle();
	alice.text("for both");
	await world.settle();
	expect(second.read()).toEqual(["for both"]);
	const before = distribution(alice);
	world.server.devices.delete(`${bob.account}.2`);
	world.server.refreshRoster(GROUP, world.push);
	await world.settle();
	alice.text("for one");
	await world.settle();
	expect(distribution(alice)).not.toBe(before);
	expect(bob.read()).toEqual(["for both", "for one"]);
	expect(second.read()).toEqual(["for both"]);
});

test("GROUP-13 the sender key is renewed after 7 days, and after 1,000 messages", async () => {
	const [alice, bob] = await three();
	alice.text("1");
	await world.settle();
	const first = distribution(alice);
	world.nowMs += 6 * 86_400_000;
	alice.text("2");
	await world.settle();
	expect(distribution(alice)).toBe(first);
	world.nowMs += 2 * 86_400_000;
	alice.text("3");
	await world.settle();
	const second = distribution(alice);
	expect(second).not.toBe(first);
	alice.store.run("UPDATE groups SET sent = 999");
	alice.text("4");
	await world.settle();
	expect(distribution(alice)).toBe(second);
	alice.text("5");
	await world.settle();
	expect(distribution(alice)).not.toBe(second);
	expect(bob.read()).toEqual(["1", "2", "3", "4", "5"]);
});

test("GROUP-11 whom only the server lists is given no key", async () => {
	const [alice, bob] = await three();
	const eve = world.add("e");
	world.server.group(GROUP).members.push(account("e"));
	world.server.refreshRoster(GROUP, world.push);
	eve.connect();
	await world.settle();
	alice.text("not for eve");
	await world.settle();
	expect(bob.read()).toEqual(["not for eve"]);
	expect(eve.read()).toEqual([]);
	const envelopes = sends().flatMap((send) => send.envelopes);
	expect(envelopes.map(({ to }) => to?.account[0])).not.toContain(0x65);
	expect(sends().at(-1)?.shared.length).toBeGreaterThan(0);
});

test("GROUP-12 RETRY-1 a key that comes after its messages opens them; placeholders stand there meanwhile", async () => {
	const [bob, alice] = await three();
	world.server.drop = ({ envelopes }, sender) => envelopes.length > 0 && sender.account === alice.account;
	const id = alice.text("too early");
	alice.text("also");
	await world.settle();
	expect(bob.read()).toEqual([undefined, undefined]);
	expect(message(bob.store, id)).toMatchObject({ status: "undecryptable" });
	world.server.drop = () => false;
	alice.disconnect();
	alice.connect();
	await world.settle();
	expect(bob.read()).toEqual(["too early", "also"]);
	expect(bob.told("message-changed").some(({ message }) => message.id === id)).toBe(true);
});

test("GROUP-12 RETRY-1 who has lost the keys of a group gets messages and keys again", async () => {
	const [alice, bob, carol] = await three();
	alice.text("1");
	await world.settle();
	bob.store.run("DELETE FROM sender_keys");
	alice.text("2");
	await world.settle();
	expect(bob.read()).toEqual(["1", "2"]);
	alice.text("3");
	await world.settle();
	expect(bob.read()).toEqual(["1", "2", "3"]);
	expect(bob.told("message").filter(({ message }) => message.status === "undecryptable")).toHaveLength(1);
	expect(carol.read()).toEqual(["1", "2", "3"]);
});

test("GROUP-12 RETRY-1 a broken session heals: the key comes over a new one", async () => {
	const [alice, bob] = await three();
	alice.text("1");
	await world.settle();
	alice.store.run("UPDATE groups SET distribution = NULL");
	alice.store.run("DELETE FROM sender_key_holders");
	bob.store.run("DELETE FROM sessions");
	bob.restart();
	bob.connect();
	alice.restart();
	alice.connect();
	alice.text("2");
	await world.settle();
	expect(bob.read()).toEqual(["1", "2"]);
});

test("GROUP-16 a stale roster is merged, and the message goes again under its id", async () => {
	const [alice, bob] = await three();
	alice.text("1");
	await world.settle();
	const dora = world.add("d");
	bob.want({ do: "add", accounts: [account("d")] });
	await world.settle(bob);
	dora.connect();
	// Alice sends before she hears of the change.
	alice.batch = 1;
	const id = alice.text("2");
	alice.inbox.unshift(...alice.inbox.splice(-1));
	await world.settle();
	expect(bob.read()).toEqual(["1", "2"]);
	expect(dora.read()).toEqual(["2"]);
	expect(world.server.group(GROUP).log.filter((entry) => entry.id === id)).toHaveLength(1);
	expect(world.server.refusals).toBeGreaterThan(0);
});

test("GROUP-16 a device that came later asks in vain for what was before it", async () => {
	const [alice, bob] = await three();
	const id = alice.text("before");
	await world.settle();
	const dora = world.add("d");
	bob.want({ do: "add", accounts: [account("d")] });
	await world.settle();
	dora.connect();
	await world.settle();
	alice.text("after");
	await world.settle();
	const before = world.server.group(GROUP).log.length;
	// The server shows dora the old entry as if it were new; she has lost alice's key, and asks.
	dora.store.run("DELETE FROM sender_keys");
	const send = world.server.group(GROUP).log.find((entry) => entry.id === id)?.send;
	if (send === undefined) throw new Error("the message is not in the log");
	const { shared } = send;
	const old = { number: before + 1, serverTimeMs: 1n, messageId: send.messageId };
	const from = { senderAccount: uuidToBytes(account("a")), senderDevice: 1, kind: 3, ciphertext: shared };
	world.push(dora, {
		$typeName: "parley.v1.ConversationDown",
		frame: { case: "entry", value: { $typeName: "parley.v1.Entry", ...old, ...from } },
	});
	await world.settle();
	expect(message(dora.store, id)).toMatchObject({ status: "undecryptable" });
	expect(dora.read()).not.toContain("before");
});

test("GROUP-16 a device that was installed anew gets a new key, and everybody else goes on", async () => {
	const [alice, bob, carol] = await three();
	alice.text("1");
	await world.settle();
	carol.store.close();
	const again = world.add("c", 1, carol.restarted());
	world.server.refreshRoster(GROUP, world.push);
	again.connect();
	await world.settle();
	alice.text("2");
	await world.settle();
	expect(bob.read()).toEqual(["1", "2"]);
	expect(again.read()).toEqual(["2"]);
});

test("GROUP-17 one member has broken keys: the others get the message, and the sender learns who did not", async () => {
	const [alice, bob, carol] = [world.add("a"), world.add("b"), world.add("c")];
	world.server.onClaim = (who, bundles) => {
		if (who !== carol.account) return bundles;
		const devices = bundles.devices.map((device) => ({
			...device,
			signedPreKey: { ...device.signedPreKey, signature: "A".repeat(86) },
		}));
		return { ...bundles, devices };
	};
	await world.found(alice, bob, carol);
	const id = alice.text("for those who can");
	await world.settle();
	expect(bob.read()).toEqual(["for those who can"]);
	expect(alice.told("left-out")).toMatchObject([{ messageId: id, accounts: [account("c")] }]);
	expect(leftOutAccounts(alice.store, id)).toEqual([account("c")]);
	expect(message(alice.store, id)?.status).not.toBe("queued");
	// Once the keys are good it gets what comes.
	world.server.onClaim = (_who, bundles) => bundles;
	alice.disconnect();
	alice.connect();
	await world.settle();
	alice.text("for all");
	await world.settle();
	expect(carol.read()).toContain("for all");
});

test("WATERMARK-1 a group message is delivered, and read, when it is at all members; each one's place is known", async () => {
	const [alice, bob, carol] = await three();
	carol.disconnect();
	await world.settle();
	const id = alice.text("hello");
	await world.settle();
	expect(message(alice.store, id)?.status).toBe("sent");
	carol.connect();
	await world.settle();
	expect(message(alice.store, id)?.status).toBe("delivered");
	const number = message(alice.store, id)?.number ?? 0;
	bob.inbox.push({ type: "mark-read", peer: GROUP, upTo: number });
	await world.settle();
	expect(message(alice.store, id)?.status).toBe("delivered");
	expect(memberMarks(alice.store, GROUP).find((mark) => mark.account === bob.account)?.read).toBe(number);
	carol.inbox.push({ type: "mark-read", peer: GROUP, upTo: number });
	await world.settle();
	expect(message(alice.store, id)?.status).toBe("read");
});

/** Bob's device believes that so many more are in the group. */
function crowd(bob: GroupDevice, count: number): void {
	const others = Array.from({ length: count }, (_, index) => ({
		account: account(String.fromCharCode(0x100 + index)),
		device: 1,
		registration_id: 7,
	}));
	bob.store.transaction(() => {
		for (const device of others) putGroupDevice(bob.store, GROUP, device, 1);
	});
}

test("GROUP-8 in a large group a device acknowledges at most once in as many milliseconds as there are devices", async () => {
	const [alice, bob] = await three();
	crowd(bob, 97);
	const status = (id: string) => message(alice.store, id)?.status;
	const first = alice.text("first");
	await world.settle();
	const second = alice.text("second");
	await world.settle();
	expect([status(first), status(second), bob.read().length]).toEqual(["delivered", "sent", 2]);
	world.nowMs += 99;
	bob.inbox.push({ type: "wake", account: GROUP });
	await world.settle();
	expect(status(second)).toBe("sent");
	world.nowMs += 1;
	bob.inbox.push({ type: "wake", account: GROUP });
	await world.settle();
	expect(status(second)).toBe("delivered");
});

test("GROUP-8 it acknowledges sooner when half of what may be on the way to it has come", async () => {
	const [alice, bob] = await three();
	crowd(bob, 1_021);
	const status = (id: string) => message(alice.store, id)?.status;
	alice.text("first");
	await world.settle();
	// Each of 1,024 devices has 32 KiB: 16 KiB are half of that.
	const small = alice.text("x".repeat(6_000));
	await world.settle();
	expect(status(small)).toBe("sent");
	const large = alice.text("x".repeat(11_000));
	await world.settle();
	expect([status(small), status(large)]).toEqual(["delivered", "delivered"]);
	const next = alice.text("x".repeat(6_000));
	await world.settle();
	expect(status(next)).toBe("sent");
});
