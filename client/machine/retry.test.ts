import { afterEach, beforeEach, expect, test } from "vitest";
import { history } from "../store/queries.ts";
import { ALICE, BOB, TestWorld } from "./testing.ts";

let world: TestWorld;
beforeEach(async () => {
	world = await TestWorld.talking();
});
afterEach(() => world.close());

/** Damages what goes down to Bob, as long as `damaged` says so. */
function damage(damaged: () => boolean): void {
	world.server.onEntry = (account, entry) => {
		if (account !== BOB || !damaged()) return entry;
		const copy = structuredClone(entry);
		for (const envelope of copy.send.envelopes) {
			const last = envelope.ciphertext.length - 1;
			envelope.ciphertext[last] = (envelope.ciphertext[last] ?? 0) ^ 1;
		}
		return copy;
	};
}

test("RETRY-1 an entry that can't be decrypted leaves a placeholder; the resent text replaces it in its place", async () => {
	let left = 1;
	damage(() => left-- > 0);
	const id = world.text(world.alice, "damaged on the way");
	await world.settle();
	const stored = history(world.bob.store, ALICE, 10);
	expect(stored.map((row) => row.body)).toEqual(["hello", "hi", "damaged on the way"]);
	expect(stored.at(-1)).toMatchObject({ id, number: 3, status: "received" });
	const shown = world.bob.notices.filter((notice) => notice.type === "message" || notice.type === "message-changed");
	expect(shown).toContainEqual(
		expect.objectContaining({ type: "message", message: expect.objectContaining({ id, status: "undecryptable" }) }),
	);
	world.text(world.alice, "and on");
	await world.settle();
	expect(history(world.bob.store, ALICE, 10).at(-1)?.body).toBe("and on");
	// The one who sent it sees no second message.
	expect(history(world.alice.store, BOB, 10).map((row) => row.body)).toEqual([
		"hello",
		"hi",
		"damaged on the way",
		"and on",
	]);
});

test("RETRY-1 asking ends: a line that damages everything brings placeholders, not a storm", async () => {
	damage(() => true);
	world.text(world.alice, "never readable");
	await world.settle();
	expect(world.server.log.length).toBeLessThan(40);
	expect(history(world.bob.store, ALICE, 100).some((row) => row.status === "undecryptable")).toBe(true);
});

test("RETRY-1 a body that is no content leaves a placeholder and the conversation goes on", async () => {
	const frames = world.server.log.length;
	world.text(world.alice, "fine");
	await world.alice.machine.step([{ type: "conversation-closed", peer: BOB }, ...world.alice.inbox.splice(0)]);
	world.alice.store.run("UPDATE outbox SET content = x'ffffff'");
	world.connect(world.alice);
	await world.settle();
	expect(world.server.log.length).toBe(frames + 1);
	expect(history(world.bob.store, ALICE, 10).at(-1)).toMatchObject({ body: undefined, status: "undecryptable" });
	world.text(world.alice, "next");
	await world.settle();
	expect(history(world.bob.store, ALICE, 10).at(-1)).toMatchObject({ body: "next" });
});

test("RETRY-1 a lost resend is asked for too, and leaves no second placeholder", async () => {
	let left = 2;
	damage(() => left-- > 0);
	world.text(world.alice, "twice unlucky");
	await world.settle();
	expect(history(world.bob.store, ALICE, 10).map((row) => row.body)).toEqual(["hello", "hi", "twice unlucky"]);
});

test("RETRY-1 what nobody can ask for any more is forgotten after the retention time", async () => {
	let left = 2;
	damage(() => left-- > 0);
	world.text(world.alice, "damaged");
	await world.settle();
	const rows = () =>
		[world.alice, world.bob].flatMap(({ store }) =>
			["retries", "resendable"].map((table) => store.value<number>(`SELECT COUNT(*) AS value FROM ${table}`)),
		);
	const before = rows();
	expect(Math.min(...before.map((count) => count ?? 0))).toBeGreaterThan(0);
	const day = 24 * 60 * 60 * 1_000;
	const start = async () => {
		for (const device of [world.alice, world.bob]) await device.machine.step([{ type: "account-opened" }]);
	};
	world.nowMs += 45 * day;
	await start();
	expect(rows()).toEqual(before);
	world.nowMs += day;
	await start();
	expect(rows()).toEqual([0, 0, 0, 0]);
});
