import { rmSync } from "node:fs";
import { create, toBinary } from "@bufbuild/protobuf";
import { afterEach, beforeEach, expect, test } from "vitest";
import { ProfileSchema, SyncItemSchema } from "../../protocol/gen/content_pb.js";
import { LIMITS } from "../../protocol/limits.ts";
import { ALICE, BOB, TestDevice, TestWorld } from "../machine/testing.ts";
import { setPrivacySwitch } from "../store/account.ts";
import { allProfiles, profileOf } from "../store/profiles.ts";
import { history } from "../store/queries.ts";
import { keepItem } from "../store/synced.ts";
import { type ProfileChange, shownProfile } from "./profile.ts";

let world: TestWorld;
beforeEach(async () => {
	world = await TestWorld.talking();
});
afterEach(() => world.close());

const known = (at: TestDevice, of: string) => profileOf(at.store, of)?.name;

async function show(by: TestDevice, change: ProfileChange): Promise<void> {
	by.inbox.push({ type: "set-profile", change });
	await world.settle();
}

async function say(from: TestDevice, body: string): Promise<void> {
	world.text(from, body);
	await world.settle();
}

test("PROFILE-3 a profile goes ahead of the next message, once, and a change of it likewise", async () => {
	await show(world.alice, { name: "Alice", about: "here" });
	expect(known(world.bob, ALICE)).toBeUndefined();
	const before = world.server.log.length;
	await say(world.alice, "one");
	await say(world.alice, "two");
	expect(world.server.log.length - before).toBe(3);
	expect(known(world.bob, ALICE)).toBe("Alice");
	expect(world.bob.notices).toContainEqual({ type: "profile-changed", account: ALICE });
	world.alice.restart();
	world.connect(world.alice);
	await say(world.alice, "three");
	expect(world.server.log.length - before).toBe(4);
	await show(world.alice, { about: "gone" });
	await say(world.alice, "four");
	expect(profileOf(world.bob.store, ALICE)).toMatchObject({ name: "Alice", about: "gone" });
	expect(history(world.bob.store, ALICE, 20).map(({ body }) => body)).toEqual([
		"hello",
		"hi",
		"one",
		"two",
		"three",
		"four",
	]);
	expect(known(world.alice, BOB)).toBeUndefined();
});

test("PROFILE-3 of two profiles the later one stays, whatever order they come in", async () => {
	await show(world.alice, { name: "newer" });
	await say(world.alice, "one");
	const profile = create(ProfileSchema, { changedMs: 5n, name: "older" });
	const kind = { case: "profile" as const, value: { account: ALICE, profile } };
	const item = create(SyncItemSchema, { changedMs: 5n, kind });
	expect(keepItem(world.bob.store, { kind: "profile", subject: ALICE }, item, 0)).toBe(false);
	expect(known(world.bob, ALICE)).toBe("newer");
	world.nowMs -= 60_000;
	await show(world.alice, { name: "newest, though the clock went back" });
	await say(world.alice, "two");
	expect(known(world.bob, ALICE)).toBe("newest, though the clock went back");
});

test("PROFILE-2 a stranger is shown nothing before being accepted, and what they show goes with their request", async () => {
	world.close();
	world = new TestWorld();
	setPrivacySwitch(world.bob.store, "message_requests", true);
	world.connect(world.alice);
	world.connect(world.bob);
	await show(world.bob, { name: "Bob" });
	await show(world.alice, { name: "Alice" });
	await say(world.alice, "hello");
	expect(known(world.alice, BOB)).toBeUndefined();
	expect(known(world.bob, ALICE)).toBe("Alice");
	expect(world.bob.notices.filter(({ type }) => type === "profile-changed")).toHaveLength(1);
	world.bob.inbox.push({ type: "delete-request", peer: ALICE });
	await world.settle();
	expect(allProfiles(world.bob.store).map(({ account }) => account)).toEqual([BOB]);
	await show(world.alice, { about: "once more" });
	await say(world.alice, "hello?");
	expect(known(world.alice, BOB)).toBeUndefined();
	world.bob.inbox.push({ type: "accept-request", peer: ALICE });
	await world.settle();
	expect(known(world.alice, BOB)).toBe("Bob");
});

test("PROFILE-4 who is blocked is shown nothing any more, until the block ends", async () => {
	await show(world.alice, { name: "before" });
	await say(world.alice, "one");
	world.alice.inbox.push({ type: "set-blocked", peer: BOB, on: true });
	await show(world.alice, { name: "after" });
	await say(world.alice, "two");
	expect(known(world.bob, ALICE)).toBe("before");
	world.alice.inbox.push({ type: "set-blocked", peer: BOB, on: false });
	await say(world.alice, "three");
	expect(known(world.bob, ALICE)).toBe("after");
});

test("PROFILE-4 what comes under a changed key shows nothing before a person accepts it; who shows one gets the profile anew", async () => {
	await show(world.alice, { name: "Alice" });
	await say(world.alice, "one");
	world.alice.inbox.push({ type: "set-verified", peer: BOB, verified: true });
	await world.settle();
	world.bob.store.close();
	for (const suffix of ["", "-wal"]) rmSync(world.bob.path + suffix, { force: true });
	const fresh = new TestDevice(world.folder, BOB, world.server, world.environment);
	world.bob.store = fresh.store;
	world.bob.machine = fresh.machine;
	world.server.rosterVersion++;
	world.connect(world.bob);
	await show(world.bob, { name: "Bob?" });
	await say(world.bob, "my new phone");
	expect(history(world.alice.store, BOB, 10).at(-1)).toMatchObject({ body: "my new phone", underChangedKey: true });
	expect(known(world.alice, BOB)).toBeUndefined();
	world.alice.inbox.push({ type: "accept-identity", peer: BOB });
	await say(world.alice, "two");
	expect(known(world.bob, ALICE)).toBe("Alice");
	await show(world.bob, { name: "Bob" });
	await say(world.bob, "three");
	expect(known(world.alice, BOB)).toBe("Bob");
});

test("PROFILE-3 RETRY-1 a profile that can't be read is asked for, and comes as it is now", async () => {
	await show(world.alice, { name: "Alice" });
	let left = 1;
	world.server.onEntry = (account, entry) => {
		if (account !== BOB || left-- <= 0) return entry;
		const copy = structuredClone(entry);
		for (const { ciphertext } of copy.send.envelopes) {
			const last = ciphertext.length - 1;
			ciphertext[last] = (ciphertext[last] ?? 0) ^ 1;
		}
		return copy;
	};
	await say(world.alice, "after it");
	expect(known(world.bob, ALICE)).toBe("Alice");
	expect(history(world.bob.store, ALICE, 10).map(({ body }) => body)).toEqual(["hello", "hi", "after it"]);
});

test("PROFILE-1 texts beyond the limits, of more than one line, and pictures that can't be one are not shown", () => {
	const profile = (name: string, about: string) =>
		shownProfile(create(ProfileSchema, { changedMs: 1n, name, about, picture: Buffer.from("no pointer") }));
	expect(profile(" Alice ", "two\nlines")).toEqual({ name: "Alice", about: "two\nlines", picture: undefined });
	expect(profile("x".repeat(LIMITS.profile_name_bytes + 1), "")).toMatchObject({ name: "" });
	expect(profile("Alice\nBob: hello", "")).toMatchObject({ name: "" });
	expect(profile("", "ü".repeat(LIMITS.profile_about_bytes / 2 + 1))).toMatchObject({ about: "" });
	const large = create(ProfileSchema, { changedMs: 1n, picture: new Uint8Array(1_000_000) });
	expect(toBinary(ProfileSchema, large).length).toBeGreaterThan(LIMITS.message_ciphertext_bytes);
	expect(shownProfile(large).picture).toBeUndefined();
});
