/** What each kind of change does on another device, and that what is older, or out of form, does nothing. */
import { create, fromBinary, type MessageInitShape } from "@bufbuild/protobuf";
import { IdentityKeyPair } from "@signalapp/libsignal-client";
import { afterEach, beforeEach, expect, test } from "vitest";
import {
	ContentSchema,
	ConversationFlag,
	Setting,
	Standing,
	type Sync,
	type SyncItemSchema,
	SyncSchema,
} from "../../protocol/gen/content_pb.js";
import { uuidToBytes } from "../../protocol/ids.ts";
import { LIMITS } from "../../protocol/limits.ts";
import { Cipher } from "../signal/cipher.ts";
import { readReceipts, requireAccount, setPrivacySwitch } from "../store/account.ts";
import { contactAccount } from "../store/contacts.ts";
import { putRosterDevice } from "../store/conversations.ts";
import { findDetails } from "../store/details.ts";
import { findIdentity, putIdentity } from "../store/identities.ts";
import { allOutbox } from "../store/outbox.ts";
import { profileOf } from "../store/profiles.ts";
import { history, identityState } from "../store/queries.ts";
import { Context } from "./context.ts";
import type { Notice } from "./interface.ts";
import { onSync, sendShared, share } from "./sync.ts";
import { ALICE, BOB, TestWorld } from "./testing.ts";

let world: TestWorld;
let context: Context;
beforeEach(() => {
	world = new TestWorld();
	const { store } = world.alice;
	context = new Context(store, world.environment, requireAccount(store), new Cipher(store, () => false));
});
afterEach(() => world.close());

type Kind = NonNullable<MessageInitShape<typeof SyncItemSchema>["kind"]>;

/** Another own device says one thing. Returns what a person is told of it. */
function told(changedMs: bigint, kind: Kind): Notice[] {
	context.requests = [];
	onSync(context, 2, create(SyncSchema, { items: [{ changedMs, kind }] }));
	return context.requests.flatMap((request) => (request.type === "notify" ? [request.notice] : []));
}

function anotherDevice(): void {
	putRosterDevice(context.store, BOB, { account: ALICE, device: 2, registration_id: 5 });
}

/** What waits in the outbox for the other devices. */
function outgoing(): Sync[] {
	return allOutbox(context.store, ALICE).flatMap(({ content }) => {
		const { kind } = fromBinary(ContentSchema, content);
		return kind.case === "sync" ? [kind.value] : [];
	});
}

test("SYNC-2 SYNC-3 an older word about a key comes too late", () => {
	const key = IdentityKeyPair.generate().publicKey.serialize();
	const identity = (verified: boolean): Kind => ({ case: "identity", value: { account: BOB, key, verified } });
	told(9n, identity(false));
	told(5n, identity(true));
	expect(identityState(context.store, BOB)).toBe("unverified");
	told(10n, identity(true));
	expect(identityState(context.store, BOB)).toBe("verified");
});

test("SYNC-3 CLIENT-3 while a changed key waits here, no word of another device about a different key ends that", () => {
	const [known, pending, third] = [1, 2, 3].map(() => IdentityKeyPair.generate().publicKey.serialize());
	if (known === undefined || pending === undefined || third === undefined) throw new Error("no keys");
	putIdentity(context.store, { account: BOB, key: known, verified: 1, pending_key: pending });
	const row = findIdentity(context.store, BOB);
	told(5n, { case: "identity", value: { account: BOB, key: third, verified: true } });
	expect(findIdentity(context.store, BOB)).toEqual(row);
	told(6n, { case: "identity", value: { account: BOB, key: known, verified: true } });
	expect(findIdentity(context.store, BOB)).toEqual(row);
	expect(context.touched.has(BOB)).toBe(false);
	told(7n, { case: "identity", value: { account: BOB, key: pending, verified: false } });
	expect(findIdentity(context.store, BOB)).toMatchObject({ verified: 0, pending_key: null });
	expect(Buffer.from(pending).equals(findIdentity(context.store, BOB)?.key ?? new Uint8Array())).toBe(true);
	// What waited for that leaves.
	expect(context.touched.has(BOB)).toBe(true);
});

test("SYNC-1 SYNC-2 a person is told what another device has changed, once, and nothing of what came too late", () => {
	const synced = [{ type: "synced", peer: BOB }];
	const flag = { conversation: BOB, flag: ConversationFlag.PINNED, value: 1n };
	expect(told(9n, { case: "flag", value: flag })).toEqual(synced);
	expect(told(5n, { case: "flag", value: { ...flag, value: 0n } })).toEqual([]);
	expect(told(9n, { case: "read", value: { conversation: BOB, upTo: 7 } })).toEqual(synced);
	expect(told(10n, { case: "read", value: { conversation: BOB, upTo: 7 } })).toEqual([]);
	expect(told(11n, { case: "read", value: { conversation: BOB, upTo: 4 } })).toEqual([]);
	const blocked = { conversation: BOB, standing: Standing.BLOCKED, on: true };
	expect(told(9n, { case: "standing", value: blocked })).toEqual(synced);
	expect(told(5n, { case: "standing", value: { ...blocked, on: false } })).toEqual([]);
	const shows = (name: string): Kind => ({ case: "profile", value: { account: BOB, profile: { name } } });
	expect(told(9n, shows("Bobby"))).toEqual([{ type: "profile-changed", account: BOB }]);
	expect(told(5n, shows("Robert"))).toEqual([]);
	expect(profileOf(context.store, BOB)?.name).toBe("Bobby");
});

test("SYNC-1 PROFILE-3 what another device shows of the account is news to its peers, here too", () => {
	const shows = (name: string): Kind => {
		return { case: "profile", value: { account: ALICE, profile: { changedMs: 9n, name } } };
	};
	expect(context.profiles.isNews(context.store, ALICE, BOB)).toBe(false);
	told(9n, shows("Alice"));
	expect(context.profiles.isNews(context.store, ALICE, BOB)).toBe(true);
});

test("SYNC-2 what is out of form changes nothing: a contact that is no account, a group that was accepted", () => {
	told(9n, { case: "contact", value: { username: "bob", account: "nobody" } });
	expect(contactAccount(context.store, "bob")).toBe(undefined);
	const value = { conversation: "ab".repeat(32), standing: Standing.ACCEPTED, on: true };
	told(9n, { case: "standing", value });
	expect(context.store.all("SELECT * FROM synced")).toEqual([]);
	expect(context.store.all("SELECT * FROM standings")).toEqual([]);
});

test("REQUEST-1 SYNC-1 a stranger's profile goes with their last message, whichever device deletes the request", async () => {
	const ids = [world.text(world.bob, "one"), world.text(world.bob, "two")];
	world.connect(world.bob);
	world.connect(world.alice);
	await world.settle();
	setPrivacySwitch(context.store, "message_requests", true);
	const shows: Kind = { case: "profile", value: { account: BOB, profile: { name: "Bob" } } };
	const deletes = (id = ""): Kind => {
		const message = { author: uuidToBytes(BOB), messageId: uuidToBytes(id) };
		return { case: "deleted", value: { conversation: BOB, message } };
	};
	told(5n, shows);
	told(6n, deletes(ids[0]));
	expect(profileOf(context.store, BOB)?.name).toBe("Bob");
	told(6n, deletes(ids[1]));
	expect(history(context.store, BOB, 10)).toEqual([]);
	expect(profileOf(context.store, BOB)).toBe(undefined);
	// Of whom the user has accepted it stays, though nothing that they wrote does.
	told(7n, { case: "standing", value: { conversation: BOB, standing: Standing.ACCEPTED, on: true } });
	told(8n, shows);
	told(9n, deletes(ids[1]));
	expect(profileOf(context.store, BOB)?.name).toBe("Bob");
});

test("TIMER-4 SYNC-1 a message's time runs from its reading on another device", async () => {
	world.wish(world.bob, { kind: "timer", seconds: 60 });
	const id = world.text(world.bob, "soon gone");
	world.connect(world.bob);
	world.connect(world.alice);
	await world.settle();
	const readMs = world.nowMs;
	world.nowMs += 5_000;
	told(BigInt(readMs), { case: "read", value: { conversation: BOB, upTo: 2 } });
	expect(findDetails(context.store, BOB, id)?.expires_at_ms).toBe(readMs + 60_000);
	expect(context.requests).toContainEqual({ type: "tick-at", atMs: readMs + 60_000 });
});

test("PRESENCE-1 SYNC-1 who switches presence off on another device leaves here at once", () => {
	context.online = true;
	context.connection(BOB).welcomed = true;
	told(9n, { case: "setting", value: { setting: Setting.ONLINE, on: false } });
	const sent = context.requests.flatMap((request) => (request.type === "send-frame" ? [request.frame.frame] : []));
	expect(sent).toMatchObject([{ case: "presence", value: { online: false } }]);
});

test("REQUEST-1 SYNC-1 switching requests off and on, here or there, counts for who wrote before at once", async () => {
	const { alice } = world;
	const said = async (): Promise<number> => {
		const requests = await alice.machine.step([{ type: "typing", peer: BOB, started: true }]);
		return requests.filter(({ type }) => type === "send-frame").length;
	};
	world.connect(alice);
	await world.settle();
	for (const on of [true, false, true]) {
		await alice.machine.step([{ type: "set-privacy", what: "message_requests", on }]);
		expect(await said()).toBe(on ? 0 : 1);
	}
});

test("SYNC-1 flags, receipts and names that are set here are told there", async () => {
	anotherDevice();
	const { alice } = world;
	const requests = await alice.machine.step([
		{ type: "set-read-receipts", on: false },
		{ type: "share-contact", username: "bob", account: BOB },
		{ type: "set-flag", peer: BOB, flag: ConversationFlag.ARCHIVED, value: 1 },
		{ type: "mark-read", peer: BOB, upTo: 3 },
	]);
	expect(readReceipts(context.store)).toBe(false);
	expect(requests).toContainEqual({ type: "notify", notice: { type: "synced", peer: BOB } });
	// The conversation with oneself is opened for it.
	expect(requests).toContainEqual({ type: "open-conversation", peer: ALICE });
	expect(outgoing()).toHaveLength(1);
	const kinds = outgoing()[0]?.items.map(({ kind }) => kind);
	expect(kinds?.slice(0, 3)).toMatchObject([
		{ case: "setting", value: { setting: Setting.READ_RECEIPTS, on: false } },
		{ case: "contact", value: { username: "bob", account: BOB } },
		{ case: "flag", value: { conversation: BOB, flag: ConversationFlag.ARCHIVED, value: 1n } },
	]);
});

test("SYNC-1 a position that was read is told, and kept where the conversation is, not once more for a new device", () => {
	const value = { conversation: BOB, upTo: 3 };
	share(context, { case: "read", value });
	expect(context.shared).toEqual([]);
	anotherDevice();
	share(context, { case: "read", value });
	expect(context.shared).toMatchObject([{ kind: { case: "read", value } }]);
	expect(context.store.all("SELECT * FROM synced")).toEqual([]);
});

test("SYNC-1 SYNC-4 what is told fits into messages, and can be asked for again by who it was for", () => {
	anotherDevice();
	const name = "x".repeat(5_000);
	for (let index = 0; index < 10; index++) {
		const account = `0b000000-0000-4000-8000-00000000000${index}`;
		share(context, { case: "profile", value: { account, profile: { name } } });
	}
	sendShared(context);
	expect(outgoing().map(({ items }) => items.length)).toEqual([6, 4]);
	for (const { content } of allOutbox(context.store, ALICE)) {
		expect(content.length).toBeLessThan(LIMITS.sync_bytes + 1_024);
	}
	onSync(context, 3, create(SyncSchema, { request: true }));
	const kept = context.store.all("SELECT target FROM resendable WHERE peer = ? ORDER BY id", [ALICE]);
	const answer = { target: `${ALICE}.3` };
	expect(kept).toEqual([{ target: "" }, { target: "" }, answer, answer]);
	// The conversation is opened once it is needed, not while it is open.
	context.requests = [];
	context.connection(ALICE).open = true;
	share(context, { case: "read", value: { conversation: BOB, upTo: 3 } });
	sendShared(context);
	expect(context.requests).toEqual([]);
	expect(context.touched.has(ALICE)).toBe(true);
});
