import { rmSync } from "node:fs";
import { afterEach, beforeEach, expect, test } from "vitest";
import { compareScanned, safetyNumber } from "../signal/safety.ts";
import { findIdentity, putIdentity } from "../store/identities.ts";
import { history, identityState, pendingOutboxCount } from "../store/queries.ts";
import { ALICE, BOB, TestDevice, TestWorld } from "./testing.ts";

let world: TestWorld;
beforeEach(async () => {
	world = await TestWorld.talking();
});
afterEach(() => world.close());

/** Bob has lost his device and registers the account anew, with other keys. */
function reinstall(bob: TestDevice): void {
	bob.store.close();
	for (const suffix of ["", "-wal"]) rmSync(bob.path + suffix, { force: true });
	const fresh = new TestDevice(world.folder, BOB, world.server, world.environment);
	bob.store = fresh.store;
	bob.machine = fresh.machine;
	bob.inbox = [];
	world.server.rosterVersion++;
	world.connect(bob);
}

test("CLIENT-3 a changed key that nobody verified is shown and accepted", async () => {
	reinstall(world.bob);
	world.text(world.alice, "again");
	await world.settle();
	expect(world.alice.notices).toContainEqual({ type: "identity-changed", peer: BOB, blocked: false });
	expect(history(world.bob.store, ALICE, 10).at(-1)).toMatchObject({ body: "again", status: "received" });
	expect(identityState(world.alice.store, BOB)).toBe("unverified");
});

test("CLIENT-3 where the old key was verified nothing is sent until a person accepts the new one", async () => {
	world.alice.inbox.push({ type: "set-verified", peer: BOB, verified: true });
	await world.settle();
	expect(identityState(world.alice.store, BOB)).toBe("verified");
	reinstall(world.bob);
	const logged = world.server.log.length;
	world.text(world.alice, "secret");
	await world.settle();
	expect(world.alice.notices).toContainEqual({ type: "identity-changed", peer: BOB, blocked: true });
	expect(world.server.log.length).toBe(logged);
	expect(pendingOutboxCount(world.alice.store, BOB)).toBe(1);
	world.alice.restart();
	world.connect(world.alice);
	await world.settle();
	expect(world.server.log.length).toBe(logged);
	world.alice.inbox.push({ type: "accept-identity", peer: BOB });
	await world.settle();
	expect(history(world.bob.store, ALICE, 10).at(-1)).toMatchObject({ body: "secret", status: "received" });
	expect(identityState(world.alice.store, BOB)).toBe("unverified");
});

test("CLIENT-3 a first message under a changed key is shown, and blocks answers where the old one was verified", async () => {
	world.alice.inbox.push({ type: "set-verified", peer: BOB, verified: true });
	await world.settle();
	reinstall(world.bob);
	world.text(world.bob, "my new phone");
	await world.settle();
	const marked = { body: "my new phone", status: "received", underChangedKey: true };
	expect(history(world.alice.store, BOB, 10).map((row) => row.underChangedKey)).toEqual([false, false, true]);
	expect(history(world.alice.store, BOB, 10).at(-1)).toMatchObject(marked);
	expect(world.alice.notices).toContainEqual({ type: "message", message: expect.objectContaining(marked) });
	expect(identityState(world.alice.store, BOB)).toBe("blocked");
	const logged = world.server.log.length;
	world.text(world.alice, "who is it?");
	await world.settle();
	expect(world.server.log.length).toBe(logged);
	world.alice.inbox.push({ type: "set-verified", peer: BOB, verified: true });
	await world.settle();
	expect(history(world.bob.store, ALICE, 10).at(-1)).toMatchObject({ body: "who is it?" });
	// The key is accepted now, and what came under it is Bob's.
	expect(history(world.alice.store, BOB, 10).map((row) => row.underChangedKey)).toEqual([false, false, false, false]);
});

test("CLIENT-4 both compute the same safety number; a man in the middle changes it", async () => {
	const alices = safetyNumber(world.alice.store, BOB);
	const bobs = safetyNumber(world.bob.store, ALICE);
	if (alices === undefined || bobs === undefined) throw new Error("no safety number");
	expect(alices.displayable).toMatch(/^\d{60}$/);
	expect(alices.displayable).toBe(bobs.displayable);
	expect(compareScanned(world.alice.store, BOB, bobs.scannable)).toBe(true);
	// Mallory's key stands at Alice in the place of Bob's.
	const mallory = new TestDevice(world.folder, "0c000000-0000-4000-8000-00000000000c", world.server, world.environment);
	const key = Buffer.from(world.server.devices.get(mallory.account)?.identityKey ?? "", "base64url");
	const known = findIdentity(world.alice.store, BOB);
	if (known === undefined) throw new Error("no identity");
	putIdentity(world.alice.store, { ...known, key: new Uint8Array(key) });
	mallory.store.close();
	expect(safetyNumber(world.alice.store, BOB)?.displayable).not.toBe(bobs.displayable);
	expect(compareScanned(world.alice.store, BOB, bobs.scannable)).toBe(false);
});

test("CLIENT-4 a key that waits for acceptance is the one that people compare", async () => {
	const before = safetyNumber(world.alice.store, BOB)?.displayable;
	world.alice.inbox.push({ type: "set-verified", peer: BOB, verified: true });
	await world.settle();
	reinstall(world.bob);
	world.text(world.bob, "my new phone");
	await world.settle();
	const [alices, bobs] = [safetyNumber(world.alice.store, BOB), safetyNumber(world.bob.store, ALICE)];
	expect(alices?.displayable).toBe(bobs?.displayable);
	expect(alices?.displayable).not.toBe(before);
	expect(compareScanned(world.alice.store, BOB, bobs?.scannable ?? new Uint8Array(0))).toBe(true);
});

test("CLIENT-3 while a changed key waits, a third one waits too, though the old one is not verified any more", async () => {
	world.alice.inbox.push({ type: "set-verified", peer: BOB, verified: true });
	await world.settle();
	reinstall(world.bob);
	world.text(world.bob, "my new phone");
	await world.settle();
	const known = findIdentity(world.alice.store, BOB);
	if (known === undefined) throw new Error("no identity");
	expect(known.pending_key).not.toBe(null);
	putIdentity(world.alice.store, { ...known, verified: 0 });
	reinstall(world.bob);
	world.text(world.bob, "and another");
	await world.settle();
	expect(world.alice.notices.at(-1)).toBeDefined();
	expect(findIdentity(world.alice.store, BOB)?.key).toEqual(known.key);
	expect(findIdentity(world.alice.store, BOB)?.pending_key).not.toEqual(known.pending_key);
	const logged = world.server.log.length;
	world.text(world.alice, "to nobody yet");
	await world.settle();
	expect(world.server.log.length).toBe(logged);
});
