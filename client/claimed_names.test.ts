import { afterEach, beforeEach, expect, test } from "vitest";
import { ClaimedNames } from "./claimed_names.ts";
import { ALICE, TestWorld } from "./machine/testing.ts";
import { toBase64url } from "./signal/bytes.ts";
import { usernameHash } from "./signal/username.ts";
import { accountsWithClaims, claimedName, claimName, contactName, rememberContact } from "./store/contacts.ts";
import type { RunnerNotice } from "./transport/runner.ts";

const OTHER = "0c000000-0000-4000-8000-00000000000c";
const ALICES_NAME = `user_${ALICE.slice(0, 8)}`;

let world: TestWorld;
beforeEach(() => {
	world = new TestWorld();
});
afterEach(() => world.close());

/** Bob's names, at a server that knows these; `shown` is what Bob sees, with the name that it has then. */
function names(owners: Record<string, string>): { names: ClaimedNames; shown: string[]; asked: string[] } {
	const asked: string[] = [];
	const shown: string[] = [];
	const hashes = new Map(Object.entries(owners).map(([name, owner]) => [toBase64url(usernameHash(name)), owner]));
	const { store } = world.bob;
	const checker = new ClaimedNames({
		store,
		lookup: async (hash) => {
			asked.push(hash);
			return hashes.get(hash);
		},
		deliver: (notice) => {
			if (notice.type === "message") shown.push(contactName(store, notice.message.peer) ?? notice.message.peer);
		},
		onIdle: () => {},
	});
	return { names: checker, shown, asked };
}

async function receive(body: string): Promise<RunnerNotice[]> {
	world.text(world.alice, body);
	world.connect(world.bob);
	const before = world.bob.notices.length;
	await world.settle();
	return world.bob.notices.slice(before);
}

test("ACCOUNT-2 a stranger's name is shown once the server confirms it", async () => {
	const notices = await receive("hello");
	expect(claimedName(world.bob.store, ALICE)).toBe(ALICES_NAME);
	const bob = names({ [ALICES_NAME]: ALICE });
	for (const notice of notices) bob.names.pass(notice);
	expect(bob.shown).toEqual([]);
	await bob.names.finish();
	expect(bob.shown).toEqual([ALICES_NAME]);
	expect(accountsWithClaims(world.bob.store)).toEqual([]);
});

test("ACCOUNT-2 a claimed name that belongs to somebody else is not shown, and asked about once", async () => {
	const notices = [...(await receive("one")), ...(await receive("two"))];
	const bob = names({ [ALICES_NAME]: OTHER });
	for (const notice of notices) bob.names.pass(notice);
	await bob.names.finish();
	for (const notice of await receive("three")) bob.names.pass(notice);
	expect(bob.shown).toEqual([ALICE, ALICE, ALICE]);
	expect(bob.asked).toHaveLength(1);
	expect(contactName(world.bob.store, ALICE)).toBeUndefined();
});

test("ACCOUNT-2 a confirmed name does not take the place of a contact's", async () => {
	rememberContact(world.bob.store, ALICES_NAME, OTHER);
	const notices = await receive("hello");
	const bob = names({ [ALICES_NAME]: ALICE });
	for (const notice of notices) bob.names.pass(notice);
	await bob.names.finish();
	expect(bob.shown).toEqual([ALICE]);
	expect(contactName(world.bob.store, OTHER)).toBe(ALICES_NAME);
});

test("a name that can't be checked now waits, and the message is shown under the account id", async () => {
	const notices = await receive("hello");
	const shown: RunnerNotice[] = [];
	const offline = new ClaimedNames({
		store: world.bob.store,
		lookup: () => Promise.reject(new Error("no network")),
		deliver: (notice) => shown.push(notice),
		onIdle: () => {},
	});
	for (const notice of notices) offline.pass(notice);
	await offline.finish();
	expect(shown).toEqual(notices);
	const later = names({ [ALICES_NAME]: ALICE });
	later.names.checkAll();
	await later.names.finish();
	expect(contactName(world.bob.store, ALICE)).toBe(ALICES_NAME);
});

test("a contact's claims are not kept", () => {
	rememberContact(world.bob.store, "alice", ALICE);
	claimName(world.bob.store, ALICE, "mallory");
	expect(claimedName(world.bob.store, ALICE)).toBeUndefined();
});
