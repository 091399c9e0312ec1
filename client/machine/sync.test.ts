import { create, fromBinary } from "@bufbuild/protobuf";
import { IdentityKeyPair } from "@signalapp/libsignal-client";
import { afterEach, beforeEach, expect, test } from "vitest";
import { type Watermark, WatermarkSchema } from "../../protocol/gen/common_pb.js";
import {
	ContentSchema,
	ConversationFlag,
	Setting,
	Standing,
	type Sync,
	SyncSchema,
} from "../../protocol/gen/content_pb.js";
import { type ConversationDown, ConversationDownSchema } from "../../protocol/gen/conversation_down_pb.js";
import { uuidToBytes } from "../../protocol/ids.ts";
import { LIMITS } from "../../protocol/limits.ts";
import { acceptPeer } from "../messages/requests.ts";
import { Cipher } from "../signal/cipher.ts";
import {
	PRIVACY_SWITCHES,
	privacySwitch,
	readMeta,
	readReceipts,
	requireAccount,
	writeMeta,
} from "../store/account.ts";
import { contactAccount, rememberContact } from "../store/contacts.ts";
import { conversation, putRosterDevice, setRead } from "../store/conversations.ts";
import { putIdentity } from "../store/identities.ts";
import { allOutbox, enqueue } from "../store/outbox.ts";
import { history, identityState, message } from "../store/queries.ts";
import { readTime } from "../store/read_times.ts";
import { blockOf, isAccepted, timerOf } from "../store/standings.ts";
import { conversationFlag } from "../store/synced.ts";
import { syncContent } from "./content.ts";
import { Context } from "./context.ts";
import { onSync, requestSync, sendShared, share } from "./sync.ts";
import { ALICE, BOB, TestWorld } from "./testing.ts";

let world: TestWorld;
beforeEach(() => {
	world = new TestWorld();
});
afterEach(() => world.close());

/** Alice's machine from inside, as within a step. */
function aliceContext(): Context {
	const { store } = world.alice;
	return new Context(store, world.environment, requireAccount(store), new Cipher(store, () => false));
}

function sync(...items: NonNullable<Parameters<typeof create<typeof SyncSchema>>[1]>["items"] & object): Sync {
	return create(SyncSchema, { items });
}

const verified = (key: Uint8Array) =>
	sync({ changedMs: 5n, kind: { case: "identity", value: { account: BOB, key, verified: true } } });

/** What waits in the outbox for the other devices. */
const outgoing = () =>
	allOutbox(world.alice.store, ALICE).map(({ content, target }) => {
		const { kind } = fromBinary(ContentSchema, content);
		return { target, sync: kind.case === "sync" ? kind.value : undefined };
	});

test("SYNC-1 nobody but an own device can tell something: a sync from a peer changes nothing", async () => {
	const { alice, bob } = world;
	world.text(bob, "hello");
	world.connect(alice);
	await world.settle();
	const id = bob.machine.newMessageId();
	const muted = { conversation: BOB, flag: ConversationFlag.MUTED, value: 9n };
	const items = [
		{ changedMs: 9n, kind: { case: "flag" as const, value: muted } },
		{ changedMs: 9n, kind: { case: "contact" as const, value: { username: "mallory", account: BOB } } },
	];
	enqueue(bob.store, id, ALICE, syncContent(id, 1, create(SyncSchema, { items, request: true })), null);
	world.text(bob, "after it");
	await world.settle();
	expect(conversationFlag(alice.store, BOB, ConversationFlag.MUTED)).toBe(0);
	expect(contactAccount(alice.store, "mallory")).toBe(undefined);
	expect(outgoing()).toEqual([]);
});

test("SYNC-3 a verified key counts where the same or none is known; another stays what it is", () => {
	const context = aliceContext();
	const { store } = context;
	const [known, other] = [1, 2].map(() => IdentityKeyPair.generate().publicKey.serialize());
	if (known === undefined || other === undefined) throw new Error("no keys");
	onSync(context, 2, verified(known));
	expect(identityState(store, BOB)).toBe("verified");
	putIdentity(store, { account: BOB, key: known, verified: 0, pending_key: null });
	store.run("DELETE FROM synced");
	onSync(context, 2, verified(other));
	expect(identityState(store, BOB)).toBe("unverified");
	// Verified here, changed, and accepted on the other device: the same key that waits here.
	putIdentity(store, { account: BOB, key: known, verified: 1, pending_key: other });
	store.run("DELETE FROM synced");
	onSync(context, 2, verified(other));
	expect(identityState(store, BOB)).toBe("verified");
});

test("SYNC-2 a change made here is later than what it replaces, though the other's clock is years ahead", () => {
	const context = aliceContext();
	const ahead = BigInt(world.nowMs) + 10n ** 11n;
	const flag = { conversation: BOB, flag: ConversationFlag.PINNED, value: 1n };
	onSync(context, 2, sync({ changedMs: ahead, kind: { case: "flag", value: flag } }));
	share(context, { case: "flag", value: { ...flag, value: 0n } });
	expect(conversationFlag(context.store, BOB, ConversationFlag.PINNED)).toBe(0);
	expect(context.shared[0]?.changedMs).toBe(ahead + 1n);
});

test("SYNC-2 a read position only grows, and what is no item of this version is left alone", () => {
	const context = aliceContext();
	const read = (upTo: number, changedMs: bigint, conversation = BOB) =>
		sync({ changedMs, kind: { case: "read", value: { conversation, upTo } } });
	onSync(context, 2, read(7, 5n));
	onSync(context, 3, read(4, 9n));
	expect(conversation(context.store, BOB).read).toBe(7);
	onSync(context, 2, read(7, 5n, "not an account"));
	onSync(
		context,
		2,
		sync({ changedMs: 5n }, { changedMs: 5n, kind: { case: "contact", value: { username: "No!", account: BOB } } }),
	);
	const flag = { conversation: "nobody", flag: ConversationFlag.PINNED, value: 1n };
	onSync(context, 2, sync({ changedMs: 5n, kind: { case: "flag", value: flag } }));
	expect(context.store.all("SELECT * FROM synced")).toEqual([]);
	expect(context.store.value("SELECT COUNT(*) AS value FROM conversations WHERE peer <> ?", [BOB])).toBe(0);
});

test("SYNC-1 of more items than a message may have the first are taken", () => {
	const context = aliceContext();
	const items = Array.from({ length: LIMITS.sync_items + 1 }, (_, index) => {
		const value = { username: `user_${index}`, account: BOB };
		return { changedMs: 5n, kind: { case: "contact" as const, value } };
	});
	onSync(context, 2, sync(...items));
	expect(contactAccount(context.store, `user_${LIMITS.sync_items - 1}`)).toBe(BOB);
	expect(contactAccount(context.store, `user_${LIMITS.sync_items}`)).toBeUndefined();
});

test("SYNC-1 a group is read, muted and pinned on all devices like any other conversation", () => {
	const context = aliceContext();
	const group = "ab".repeat(32);
	const flag = { conversation: group, flag: ConversationFlag.PINNED, value: 1n };
	onSync(context, 2, sync({ changedMs: 5n, kind: { case: "flag", value: flag } }));
	expect(conversationFlag(context.store, group, ConversationFlag.PINNED)).toBe(1);
	onSync(context, 2, sync({ changedMs: 5n, kind: { case: "read", value: { conversation: group, upTo: 7 } } }));
	expect(conversation(context.store, group).read).toBe(7);
	putRosterDevice(context.store, BOB, { account: ALICE, device: 2, registration_id: 5 });
	share(context, { case: "flag", value: { ...flag, value: 0n } });
	share(context, { case: "read", value: { conversation: group, upTo: 8 } });
	expect(context.shared).toHaveLength(2);
});

test("TIMER-4 SYNC-2 another device's clock that is ahead lets no message stay longer, and its position is not kept twice", () => {
	const context = aliceContext();
	const value = { conversation: BOB, upTo: 7 };
	onSync(context, 2, sync({ changedMs: BigInt(world.nowMs) + 9_000_000n, kind: { case: "read", value } }));
	expect(readTime(context.store, BOB, 7)).toBe(world.nowMs);
	expect(context.store.all("SELECT * FROM synced")).toEqual([]);
});

test("SYNC-2 a name that leads elsewhere here keeps leading there", () => {
	const context = aliceContext();
	rememberContact(context.store, "bob", BOB);
	onSync(context, 2, sync({ changedMs: 5n, kind: { case: "contact", value: { username: "bob", account: ALICE } } }));
	expect(contactAccount(context.store, "bob")).toBe(BOB);
});

test("SYNC-1 one device alone writes nothing to others; with another it is told once a step", () => {
	const context = aliceContext();
	const flag = { conversation: BOB, flag: ConversationFlag.ARCHIVED, value: 1n };
	share(context, { case: "flag", value: flag });
	sendShared(context);
	expect(outgoing()).toEqual([]);
	putRosterDevice(context.store, BOB, { account: ALICE, device: 2, registration_id: 5 });
	share(context, { case: "flag", value: { ...flag, value: 0n } });
	share(context, { case: "read", value: { conversation: BOB, upTo: 3 } });
	sendShared(context);
	sendShared(context);
	expect(outgoing().map(({ target, sync }) => [target, sync?.items.length])).toEqual([[null, 2]]);
});

test("SYNC-1 switches, accepted requests, blocks and deletions of another device count here, the later one of each", () => {
	const context = aliceContext();
	const { store } = context;
	const setting = (what: Setting, on: boolean, changedMs: bigint) =>
		sync({ changedMs, kind: { case: "setting", value: { setting: what, on } } });
	for (const [what, key] of [
		[Setting.TYPING, "typing"],
		[Setting.ONLINE, "presence"],
		[Setting.LAST_SEEN, "last_seen"],
		[Setting.MESSAGE_REQUESTS, "message_requests"],
		[Setting.DISCOVERABLE, "discoverable"],
	] as const) {
		const others = () => [
			readReceipts(store),
			...PRIVACY_SWITCHES.filter((each) => each !== key).map((each) => privacySwitch(store, each)),
		];
		const before = others();
		onSync(context, 2, setting(what, false, 9n));
		onSync(context, 2, setting(what, true, 5n));
		expect(privacySwitch(store, key), key).toBe(false);
		expect(others(), key).toEqual(before);
		onSync(context, 2, setting(what, true, 10n));
		expect(privacySwitch(store, key), key).toBe(true);
	}
	onSync(context, 2, setting(Setting.READ_RECEIPTS, false, 9n));
	expect(readReceipts(store)).toBe(false);
	const standing = (what: Standing, on: boolean, changedMs: bigint) =>
		sync({ changedMs, kind: { case: "standing", value: { conversation: BOB, standing: what, on } } });
	expect(isAccepted(store, BOB)).toBe(false);
	onSync(context, 2, standing(Standing.ACCEPTED, false, 8n));
	expect(isAccepted(store, BOB)).toBe(false);
	onSync(context, 2, standing(Standing.ACCEPTED, true, 9n));
	expect(isAccepted(store, BOB)).toBe(true);
	onSync(context, 2, standing(Standing.BLOCKED, true, 9n));
	onSync(context, 2, standing(Standing.BLOCKED, false, 5n));
	expect(blockOf(store, BOB)).toEqual({ blocked: true, due: false });
	onSync(context, 2, standing(Standing.BLOCKED, false, 10n));
	expect(blockOf(store, BOB)).toEqual({ blocked: false, due: false });
});

test("SYNC-1 DELETE-1 what another device deleted goes here too, and doesn't come back when it comes later", async () => {
	const { alice, bob } = world;
	const ids = [world.text(bob, "one"), world.text(bob, "two")];
	const context = aliceContext();
	const deletion = (id: string) => ({
		changedMs: 5n,
		kind: {
			case: "deleted" as const,
			value: { conversation: BOB, message: { author: uuidToBytes(BOB), messageId: uuidToBytes(id) } },
		},
	});
	onSync(context, 2, sync(deletion(ids[0] ?? "")));
	world.connect(alice);
	world.connect(bob);
	await world.settle();
	expect(history(alice.store, BOB, 10).map(({ body }) => body)).toEqual(["two"]);
	onSync(context, 2, sync(deletion(ids[1] ?? "")));
	expect(history(alice.store, BOB, 10)).toEqual([]);
	// A new device has nothing to delete: nothing of it is kept.
	expect(alice.store.all("SELECT * FROM synced WHERE kind = 'deleted'")).toEqual([]);
});

test("SYNC-1 what a person does here is told, though it is more than one message holds, and kept for a new device", async () => {
	const context = aliceContext();
	putRosterDevice(context.store, BOB, { account: ALICE, device: 2, registration_id: 5 });
	const { alice } = world;
	await alice.machine.step([
		{ type: "set-privacy", what: "typing", on: false },
		{ type: "accept-request", peer: BOB },
		{ type: "set-blocked", peer: BOB, on: true },
	]);
	expect(outgoing()[0]?.sync?.items.map(({ kind }) => kind)).toMatchObject([
		{ case: "setting", value: { setting: Setting.TYPING, on: false } },
		{ case: "standing", value: { standing: Standing.ACCEPTED, on: true } },
		{ case: "standing", value: { standing: Standing.BLOCKED, on: true } },
	]);
	const many = Array.from({ length: 150 }, () => alice.machine.newMessageId());
	await alice.machine.step(
		many.map((id) => ({ type: "delete-here" as const, peer: BOB, message: { author: BOB, id } })),
	);
	expect(outgoing().map(({ sync }) => sync?.items.length)).toEqual([3, 100, 50]);
	onSync(context, 3, create(SyncSchema, { request: true }));
	const kept = outgoing()
		.find(({ target }) => target === `${ALICE}.3`)
		?.sync?.items.map(({ kind }) => kind.case);
	expect(kept).toEqual(["setting", "standing", "standing"]);
});

test("SYNC-4 a new device learns whom the user has written to: they are no strangers there", () => {
	const context = aliceContext();
	acceptPeer(context, BOB);
	expect(context.shared).toEqual([]);
	onSync(context, 3, create(SyncSchema, { request: true }));
	expect(outgoing()[0]?.sync?.items.map(({ kind }) => kind)).toMatchObject([
		{ case: "standing", value: { conversation: BOB, standing: Standing.ACCEPTED, on: true } },
	]);
});

test("SYNC-4 a new device asks once, and gets everything in pages for itself", () => {
	const context = aliceContext();
	writeMeta(context.store, "sync_wanted", 1);
	requestSync(context);
	requestSync(context);
	expect(readMeta(context.store, "sync_wanted")).toBe(undefined);
	expect(outgoing().map(({ sync }) => sync?.request)).toEqual([true]);
	for (let index = 0; index < 150; index++) {
		share(context, { case: "contact", value: { username: `name_${index}`, account: BOB } });
	}
	setRead(context.store, BOB, 7);
	onSync(context, 3, create(SyncSchema, { request: true }));
	const answers = outgoing().filter(({ target }) => target === `${ALICE}.3`);
	expect(answers.map(({ sync }) => sync?.items.length)).toEqual([100, 51]);
	expect(answers[1]?.sync?.items.at(-1)?.kind).toMatchObject({ case: "read", value: { conversation: BOB, upTo: 7 } });
});

test("WATERMARK-3 a new device of a peer delivers nothing that was sent before it came", async () => {
	const { alice, bob } = world;
	const [first, second] = [world.text(alice, "one"), world.text(alice, "two")];
	world.connect(alice);
	await world.settle();
	const mark = (device: number, delivered: number, after: number): Watermark =>
		create(WatermarkSchema, { account: uuidToBytes(BOB), device, delivered, read: 0, after });
	const tell = async (value: Watermark): Promise<void> => {
		const frame: ConversationDown = create(ConversationDownSchema, { frame: { case: "watermark", value } });
		alice.inbox.push({ type: "conversation-frame", peer: BOB, frame });
		await world.settle();
	};
	const statuses = () => [first, second].map((id) => message(alice.store, id)?.status);
	await tell(mark(2, 9, 2));
	expect(statuses()).toEqual(["sent", "sent"]);
	await tell(mark(1, 1, 0));
	expect(statuses()).toEqual(["delivered", "sent"]);
	await tell(mark(1, 2, 0));
	expect(statuses()).toEqual(["delivered", "delivered"]);
	expect(bob.notices).toEqual([]);
});

test("TIMER-5 SYNC-4 a new device learns the timers; what it hears of them in the log counts before that", async () => {
	const { alice, bob } = world;
	for (const device of [alice, bob]) world.connect(device);
	world.wish(alice, { kind: "timer", seconds: 60 });
	await world.settle();
	putRosterDevice(alice.store, BOB, { account: ALICE, device: 2, registration_id: 5 });
	onSync(aliceContext(), 2, create(SyncSchema, { request: true }));
	const told = outgoing().flatMap(({ sync }) => sync?.items.filter((item) => item.kind.case === "timer") ?? []);
	expect(told).toMatchObject([{ changedMs: BigInt(world.nowMs), kind: { value: { conversation: BOB, seconds: 60 } } }]);
	// As a new device that has heard nothing yet, in whatever order the others answer.
	const timer = (changedMs: bigint, seconds: number) =>
		sync({ changedMs, kind: { case: "timer", value: { conversation: ALICE, seconds } } });
	const store = bob.store;
	store.run("DELETE FROM actions");
	store.run("DELETE FROM standings");
	const context = new Context(store, world.environment, requireAccount(store), new Cipher(store, () => false));
	onSync(context, 2, timer(7n, 4_000_000_000));
	expect(timerOf(store, ALICE)).toBe(LIMITS.timer_seconds);
	onSync(context, 3, timer(9n, 60));
	onSync(context, 2, timer(8n, 30));
	expect(timerOf(store, ALICE)).toBe(60);
	world.wish(bob, { kind: "timer", seconds: 5 });
	await world.settle();
	onSync(context, 2, timer(99n, 30));
	expect(timerOf(store, ALICE)).toBe(5);
});
