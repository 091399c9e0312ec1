/** What people are told of a step, and where what failed stands. */
import { afterEach, beforeEach, expect, test } from "vitest";
import { ALICE, BOB, TestWorld } from "../machine/testing.ts";
import { findMessage, setFailed } from "../store/messages.ts";
import { history } from "../store/queries.ts";
import { chats } from "./chats.ts";
import { timeline } from "./timeline.ts";

let world: TestWorld;
beforeEach(async () => {
	world = await TestWorld.talking();
});
afterEach(() => world.close());

test("EDIT-3 a message and what was done with it in one step are told once, as it is then: no text of before appears", async () => {
	const { alice, bob } = world;
	bob.notices.length = 0;
	const id = world.draft(alice, { body: "a secret", ranges: [{ start: 2, length: 6, style: "spoiler" }] });
	const message = { author: ALICE, id };
	world.wish(alice, { kind: "edit", message, body: "never mind", ranges: [] });
	world.wish(alice, { kind: "edit", message, body: "nothing", ranges: [] });
	bob.batch = 128;
	await world.settle(alice);
	await world.settle();
	const told = bob.notices.filter(({ type }) => type === "message" || type === "message-changed");
	expect(told).toMatchObject([{ type: "message", message: { id, body: "nothing" } }]);
	// In another step it is told again.
	world.wish(alice, { kind: "reaction", message, emoji: "👍" });
	await world.settle();
	const last = bob.notices.findLast(({ type }) => type === "message-changed");
	expect(last).toMatchObject({ acted: true, message: { id, body: "nothing" } });
});

test("CLIENT-2 what failed stands where it failed, not behind all that comes later", async () => {
	const { alice } = world;
	const id = world.text(alice, "to nobody");
	alice.open.clear();
	await world.settle();
	const row = findMessage(alice.store, ALICE, id);
	if (row === undefined) throw new Error("it is not there");
	setFailed(alice.store, row);
	alice.store.run("DELETE FROM outbox");
	world.connect(alice);
	await world.settle();
	world.text(world.bob, "later");
	await world.settle();
	const { nowMs } = world;
	const bodies = history(alice.store, BOB, 10, nowMs).map(({ body }) => body);
	expect(bodies.slice(-2)).toEqual(["to nobody", "later"]);
	expect(history(alice.store, BOB, 1, nowMs)).toMatchObject([{ body: "later" }]);
	const items = timeline(alice.store, BOB, 2, nowMs);
	expect(items).toMatchObject([{ message: { body: "to nobody", number: undefined } }, { message: { body: "later" } }]);
	expect(chats(alice.store, nowMs)).toMatchObject([{ peer: BOB, unread: 2, last: { body: "later" } }]);
});
