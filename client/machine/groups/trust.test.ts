/** Who is given keys and messages of a group, and what is believed of those who send (rules GROUP-3, -10, -16, -17). */
import { afterEach, beforeEach, expect, test } from "vitest";
import { EnvelopeKind } from "../../../protocol/gen/common_pb.js";
import { fromHex, uuidToBytes } from "../../../protocol/ids.ts";
import { Cipher } from "../../signal/cipher.ts";
import { GroupCipher } from "../../signal/sender_keys.ts";
import { readMeta, requireAccount } from "../../store/account.ts";
import { findGroup } from "../../store/groups.ts";
import { enqueue } from "../../store/outbox.ts";
import { message } from "../../store/queries.ts";
import { plaintextOf, retryContent } from "../content.ts";
import { textBytes } from "../wire.ts";
import { GROUP, type GroupDevice, GroupWorld } from "./testing.ts";

let world: GroupWorld;
beforeEach(() => {
	world = new GroupWorld();
});
afterEach(() => world.close());

async function three(): Promise<[GroupDevice, GroupDevice, GroupDevice]> {
	const devices: [GroupDevice, GroupDevice, GroupDevice] = [world.add("a"), world.add("b"), world.add("c")];
	await world.found(...devices);
	return devices;
}

/** Comes back with other keys, and connects. */
async function reinstall(device: GroupDevice, letter: string): Promise<GroupDevice> {
	device.store.close();
	const again = world.add(letter);
	world.server.refreshRoster(GROUP, world.push);
	again.inbox.push({ type: "learn-conversations", peers: [GROUP] });
	await world.settle();
	return again;
}

/** Counts claims of the account's prekeys from now on. */
function countClaims(of: GroupDevice): () => number {
	let count = 0;
	world.server.onClaim = (account, bundles) => {
		if (account === of.account) count++;
		return bundles;
	};
	return () => count;
}

/** Envelopes that a device got from another one, from an entry of the log on. */
const envelopes = (from: GroupDevice, to: GroupDevice, since = 0) =>
	world.server
		.group(GROUP)
		.log.slice(since)
		.filter(({ sender }) => sender.account === from.account)
		.flatMap(({ send }) => send?.envelopes ?? [])
		.filter((one) => Buffer.compare(one.to?.account ?? new Uint8Array(0), uuidToBytes(to.account)) === 0);

const head = () => world.server.group(GROUP).log.length;
const outbox = (device: GroupDevice) => device.store.all<{ target: string }>("SELECT target FROM outbox");

/** Puts a text for one device into the outbox, as an answer to who asks again. */
async function queueFor(from: GroupDevice, target: string, body: string): Promise<string> {
	const id = from.machine.newMessageId();
	enqueue(from.store, id, GROUP, textBytes(id, world.nowMs, body, "somebody"), target);
	from.inbox.push({ type: "wake", account: GROUP });
	await world.settle();
	return id;
}

/** An entry as the server would show it, which it needn't have. */
function show(to: GroupDevice, from: GroupDevice, kind: EnvelopeKind, ciphertext: Uint8Array): void {
	const id = from.machine.newMessageId();
	const { number } = world.server.append(GROUP, id, from, undefined, undefined);
	world.push(to, {
		$typeName: "parley.v1.ConversationDown",
		frame: {
			case: "entry",
			value: {
				$typeName: "parley.v1.Entry",
				number,
				serverTimeMs: 1n,
				messageId: uuidToBytes(id),
				senderAccount: uuidToBytes(from.account),
				senderDevice: from.device,
				kind,
				ciphertext,
			},
		},
	});
}

function textIn(from: GroupDevice, conversation: string, body: string): Uint8Array<ArrayBuffer> {
	const id = from.machine.newMessageId();
	return plaintextOf(textBytes(id, world.nowMs, body, "somebody"), fromHex(conversation));
}

/** Under the device's session with another one. */
async function sealFor(
	from: GroupDevice,
	to: GroupDevice,
	plaintext: Uint8Array<ArrayBuffer>,
	cipher = new Cipher(from.store, () => false),
) {
	const sealed = await cipher.seal(to.account, to.device, plaintext, new Date(world.nowMs));
	if (sealed === undefined) throw new Error("there is no session");
	return sealed;
}

test("GROUP-17 CLIENT-3 no key and no message goes to a changed identity key that nobody has accepted; the others get both", async () => {
	const [alice, bob, carol] = await three();
	alice.inbox.push({ type: "set-verified", peer: carol.account, verified: true });
	alice.text("1");
	await world.settle();
	const again = await reinstall(carol, "c");
	// From Bob, who has verified nobody, she learns the group; her key comes to Alice over a session under the new
	// identity.
	bob.text("2");
	await world.settle();
	again.text("my new phone");
	await world.settle();
	expect(again.read()).toContain("2");
	expect(alice.told("identity-changed")).toMatchObject([{ peer: carol.account, blocked: true }]);
	const since = head();
	const claims = countClaims(carol);
	const id = alice.text("not under this key");
	await world.settle();
	expect(bob.read()).toContain("not under this key");
	expect(envelopes(alice, again, since)).toEqual([]);
	expect(again.read()).not.toContain("not under this key");
	expect(alice.told("left-out")).toMatchObject([{ messageId: id, accounts: [carol.account] }]);
	// Not under any connection either, and nobody's prekeys are used up for it.
	alice.restart();
	alice.connect();
	alice.text("nor now");
	await world.settle();
	expect(envelopes(alice, again, since)).toEqual([]);
	expect(claims()).toBe(0);
	// Libsignal is not asked to, and would not.
	await expect(sealFor(alice, again, textIn(alice, GROUP, "by no means"))).rejects.toThrow("no session");
	alice.inbox.push({ type: "accept-identity", peer: carol.account });
	alice.text("now");
	await world.settle();
	expect(again.read()).toContain("now");
	expect(again.read()).not.toContain("not under this key");
	expect(again.read()).not.toContain("nor now");
});

test("GROUP-16 GROUP-11 what waits for one device is dropped where the verified state does not list its account", async () => {
	const [alice] = await three();
	const eve = world.add("e");
	world.server.group(GROUP).members.push(eve.account);
	world.server.refreshRoster(GROUP, world.push);
	await world.settle();
	const claims = countClaims(eve);
	await queueFor(alice, `${eve.account}.1`, "not for eve");
	expect(envelopes(alice, eve)).toEqual([]);
	expect(outbox(alice)).toEqual([]);
	expect(claims()).toBe(0);
});

test("GROUP-16 GROUP-17 what waits for one device is dropped while its account's changed key is not accepted", async () => {
	const [alice, bob, carol] = await three();
	alice.inbox.push({ type: "set-verified", peer: carol.account, verified: true });
	await world.settle();
	const again = await reinstall(carol, "c");
	alice.text("1");
	await world.settle();
	expect(bob.read()).toContain("1");
	const claims = countClaims(carol);
	const since = head();
	await queueFor(alice, `${carol.account}.1`, "not under this key");
	expect(envelopes(alice, again, since)).toEqual([]);
	expect(outbox(alice)).toEqual([]);
	expect(claims()).toBe(0);
});

test("GROUP-16 what waits for a device that was installed anew goes over a session with the new installation", async () => {
	const [alice, bob, carol] = await three();
	alice.text("1");
	await world.settle();
	const again = await reinstall(carol, "c");
	bob.text("2");
	await world.settle();
	const claims = countClaims(carol);
	const since = head();
	await queueFor(alice, `${carol.account}.1`, "again for you");
	expect(claims()).toBe(1);
	expect(envelopes(alice, again, since).at(-1)?.kind).toBe(EnvelopeKind.PREKEY);
	expect(again.read()).toContain("again for you");
});

test("GROUP-16 what waits for a device that is gone, or without prekeys, is dropped after one claim", async () => {
	const [alice, , carol] = await three();
	const claims = countClaims(carol);
	await queueFor(alice, `${carol.account}.9`, "for no device");
	expect(outbox(alice)).toEqual([]);
	// On the roster, and with other keys than those that the server hands out.
	const again = await reinstall(carol, "c");
	const since = head();
	world.server.onClaim = ((before) => (account, bundles) => ({ ...before(account, bundles), devices: [] }))(
		world.server.onClaim,
	);
	await queueFor(alice, `${carol.account}.1`, "for nobody");
	expect(outbox(alice)).toEqual([]);
	expect(claims()).toBe(1);
	expect(envelopes(alice, again, since)).toEqual([]);
});

test("GROUP-16 RETRY-1 a new installation that the roster does not show yet asks in vain for what was before it", async () => {
	const [alice, , carol] = await three();
	const id = alice.text("before");
	await world.settle();
	carol.store.close();
	const again = world.add("c", 1, carol.restarted());
	const cipher = new Cipher(again.store, () => false);
	const bundles = world.server.claim(alice.account);
	const [device] = bundles?.devices ?? [];
	if (bundles === undefined || device === undefined) throw new Error("no prekeys");
	await cipher.begin(alice.account, bundles.identityKey, device, new Date(world.nowMs));
	const request = retryContent(again.machine.newMessageId(), world.nowMs, uuidToBytes(id));
	const sealed = await sealFor(again, alice, plaintextOf(request, fromHex(GROUP)), cipher);
	show(alice, again, sealed.kind, sealed.ciphertext);
	await world.settle();
	// The request was read, as the session with the new installation shows.
	const session = new Cipher(alice.store, () => false).sessions.find(carol.account, 1);
	expect(session?.remoteRegistrationId()).toBe(readMeta(again.store, "registration_id"));
	expect(alice.store.all("SELECT target FROM resendable")).toEqual([]);
});

test("GROUP-16 what was refused eight times for its roster is not tried again", async () => {
	const [alice, bob] = await three();
	alice.text("1");
	await world.settle();
	const since = head();
	const id = alice.machine.newMessageId();
	enqueue(alice.store, id, GROUP, textBytes(id, world.nowMs, "once more", "alice"), `${bob.account}.1`);
	alice.store.run("UPDATE outbox SET attempts = 8 WHERE id = ?", [id]);
	alice.inbox.push({ type: "wake", account: GROUP });
	await world.settle();
	expect(envelopes(alice, bob, since)).toEqual([]);
	expect(outbox(alice)).toEqual([]);
});

test("GROUP-3 what a member may not send fails at once, and never leaves the device", async () => {
	const [alice, bob] = await three();
	alice.want({ do: "rules", rules: { send: "admins" } });
	await world.settle();
	const since = head();
	const id = bob.text("though I may not");
	await world.settle();
	expect(message(bob.store, id)?.status).toBe("failed");
	expect(bob.told("refused")).toMatchObject([{ code: "NOT_PERMITTED", messageId: id }]);
	const shared = world.server.group(GROUP).log.slice(since);
	expect(shared.filter(({ send }) => (send?.shared.length ?? 0) > 0)).toEqual([]);
	alice.text("I may");
	await world.settle();
	expect(bob.read()).toContain("I may");
});

test("GROUP-3 nobody goes around the rule with a message for single devices", async () => {
	const [alice, bob, carol] = await three();
	bob.text("while I may");
	await world.settle();
	alice.want({ do: "rules", rules: { send: "admins" } });
	await world.settle();
	await queueFor(bob, `${carol.account}.1`, "though I may not");
	expect(envelopes(bob, carol)).not.toEqual([]);
	expect(carol.read()).toEqual(["while I may"]);
	expect(carol.told("group-warning")).toMatchObject([{ code: "MESSAGE_NOT_PERMITTED", account: bob.account }]);
	await queueFor(alice, `${carol.account}.1`, "admins may");
	expect(carol.read()).toEqual(["while I may", "admins may"]);
});

test("GROUP-3 RETRY-1 what was sent while it was permitted is sent again afterwards too", async () => {
	const [alice, bob, carol] = await three();
	bob.text("1");
	await world.settle();
	carol.store.run("DELETE FROM sender_keys");
	carol.disconnect();
	await world.settle();
	bob.text("while I may");
	await world.settle();
	alice.want({ do: "rules", rules: { send: "admins" } });
	await world.settle();
	carol.connect();
	await world.settle();
	expect(carol.read()).toEqual(["1", "while I may"]);
	expect(carol.told("group-warning")).toEqual([]);
});

test("GROUP-10 a message that waits for its key is judged by the rules at its place in the log", async () => {
	const [alice, bob, carol] = await three();
	// Bob's key is lost, and what he is asked for too: carol has to wait for the key.
	world.server.drop = ({ envelopes }, sender) => envelopes.length > 0 && sender.account !== alice.account;
	bob.text("while I may");
	await world.settle();
	alice.want({ do: "rules", rules: { send: "admins" } });
	await world.settle();
	// The server lets him.
	const key = findGroup(bob.store, GROUP)?.distribution ?? "";
	const sealed = await new GroupCipher(bob.store, requireAccount(bob.store)).seal(GROUP, key, textIn(bob, GROUP, "no"));
	show(carol, bob, EnvelopeKind.SENDER_KEY, sealed);
	await world.settle();
	expect(carol.store.all("SELECT number FROM group_entries")).toHaveLength(1);
	expect(carol.told("group-warning")).toMatchObject([{ code: "MESSAGE_NOT_PERMITTED", account: bob.account }]);
	// Only his frame with the key comes: what she asks for is lost.
	world.server.drop = ({ envelopes }, sender) => sender.account === carol.account && envelopes.length > 0;
	bob.disconnect();
	bob.connect();
	await world.settle();
	expect(carol.read()).toContain("while I may");
	expect(carol.read()).not.toContain("no");
	expect(carol.told("group-warning")).toHaveLength(1);
});

test("CLIENT-5 a message to all that was written for another group is a placeholder with a warning", async () => {
	const [alice, bob] = await three();
	alice.text("1");
	await world.settle();
	const key = findGroup(alice.store, GROUP)?.distribution ?? "";
	const cipher = new GroupCipher(alice.store, requireAccount(alice.store));
	show(
		bob,
		alice,
		EnvelopeKind.SENDER_KEY,
		await cipher.seal(GROUP, key, textIn(alice, "cd".repeat(32), "for others")),
	);
	await world.settle();
	expect(bob.read()).toEqual(["1", undefined]);
	expect(bob.told("refused")).toMatchObject([{ code: "WRONG_CONVERSATION" }]);
});

test("CLIENT-5 what was written to one person is no message of a group, though the server shows it there", async () => {
	const [alice, bob] = await three();
	alice.text("1");
	await world.settle();
	const cipher = new Cipher(alice.store, () => false);
	const elsewhere = await sealFor(alice, bob, textIn(alice, "cd".repeat(32), "for your eyes only"), cipher);
	show(bob, alice, elsewhere.kind, elsewhere.ciphertext);
	await world.settle();
	expect(bob.read()).toEqual(["1"]);
	expect(bob.told("refused")).toMatchObject([{ code: "WRONG_CONVERSATION" }]);
	// In its own conversation it is one.
	const here = await sealFor(alice, bob, textIn(alice, GROUP, "for the group"), cipher);
	show(bob, alice, here.kind, here.ciphertext);
	await world.settle();
	expect(bob.read()).toContain("for the group");
});
