/** Nobody keeps a device busy with requests to send again, and nobody gets by them what was not for them (RETRY-1). */
import { afterEach, beforeEach, expect, test } from "vitest";
import { uuidToBytes } from "../../protocol/ids.ts";
import { LIMITS } from "../../protocol/limits.ts";
import { enqueue } from "../store/outbox.ts";
import { history } from "../store/queries.ts";
import { retryContent } from "./content.ts";
import { ALICE, BOB, says, type TestDevice, TestWorld } from "./testing.ts";

let world: TestWorld;
beforeEach(async () => {
	world = await TestWorld.talking();
});
afterEach(() => world.close());

/** Asks for a message again, as often as it likes. */
async function ask(device: TestDevice, peer: string, wanted: string): Promise<void> {
	const id = device.machine.newMessageId();
	enqueue(device.store, id, peer, retryContent(id, world.nowMs, uuidToBytes(wanted)), `${peer}.1`);
	world.connect(device);
	await world.settle();
}

/** How often a device has asked, or was answered, by its own count of it. */
const counts = (device: TestDevice, message: string, direction: string) =>
	device.store.value<number>("SELECT MAX(count) AS value FROM retries WHERE message = ? AND direction = ?", [
		...[message, direction],
	]);

const resends = (device: TestDevice) =>
	device.store.value<number>("SELECT COUNT(*) AS value FROM resendable WHERE target <> ''") ?? 0;

test("RETRY-1 a message is sent again so often and no more, however often it is asked for", async () => {
	const wanted = world.text(world.alice, "asked for");
	await world.settle();
	const sent: number[] = [];
	for (let round = 0; round < LIMITS.retry_requests_per_message + 3; round++) {
		const before = resends(world.alice);
		await ask(world.bob, ALICE, wanted);
		sent.push(resends(world.alice) - before);
	}
	expect(sent).toEqual([1, 1, 1, 0, 0, 0]);
	expect(LIMITS.retry_requests_per_message).toBe(3);
	// Another message is another count.
	const other = world.text(world.alice, "another");
	await world.settle();
	const before = resends(world.alice);
	await ask(world.bob, ALICE, other);
	expect(resends(world.alice)).toBe(before + 1);
	expect(history(world.bob.store, ALICE, 9).map(({ body }) => body)).toEqual(["hello", "hi", "asked for", "another"]);
});

test("RETRY-1 a message that never becomes readable is asked for so often and no more", async () => {
	const id = world.text(world.alice, "never readable");
	// Only this message's bytes are damaged, whatever frame brings them: other entries can be read in between.
	let asked = 0;
	world.server.onEntry = (account, entry) => {
		if (account === ALICE) asked += 1;
		if (account !== BOB) return entry;
		const copy = structuredClone(entry);
		for (const envelope of copy.send.envelopes) envelope.ciphertext[40] = (envelope.ciphertext[40] ?? 0) ^ 1;
		return copy;
	};
	await world.settle();
	for (let round = 0; round < 12; round++) {
		world.connect(world.bob);
		await world.settle();
	}
	expect(counts(world.bob, id, "asked")).toBeLessThanOrEqual(LIMITS.retry_requests_per_message + 1);
	expect(asked).toBeGreaterThan(0);
	expect(asked).toBeLessThan(40);
});

test("RETRY-1 what is one's own, of another conversation, or was for other devices is not sent to who asks", async () => {
	const notes = world.alice.machine.newMessageId();
	world.alice.inbox.push({ type: "send-text", id: notes, peer: ALICE, body: "notes to self" });
	await world.settle();
	const theirs = world.text(world.bob, "Bob's own");
	await world.settle();
	const before = resends(world.alice);
	for (const wanted of [notes, theirs, world.alice.machine.newMessageId()]) await ask(world.bob, ALICE, wanted);
	expect(resends(world.alice)).toBe(before);
	expect(history(world.bob.store, ALICE, 9).map(({ body }) => body)).toEqual(["hello", "hi", "Bob's own"]);
});

/** An entry of Alice's that nobody can read, as a server that plays with Bob may make it up. */
function unreadable(number: number, id: string) {
	const value = {
		...{ $typeName: "parley.v1.Entry" as const, number, serverTimeMs: 1n, messageId: uuidToBytes(id) },
		...{ senderAccount: uuidToBytes(ALICE), senderDevice: 1, kind: 2, ciphertext: new Uint8Array(40).fill(3) },
	};
	return says(ALICE, { case: "entry", value });
}

test("RETRY-1 REFUSED-2 a server that repeats an unreadable message under new numbers makes nobody ask for it for ever", async () => {
	const id = world.alice.machine.newMessageId();
	for (let number = 3; number < 13; number++) {
		await world.bob.machine.step([unreadable(number, id)]);
	}
	expect(resends(world.bob)).toBe(LIMITS.retry_requests_per_message);
});

test("RETRY-1 after 32 unreadable messages in a row their device is asked for none, until one of it can be read", async () => {
	for (let number = 3; number < 43; number++) {
		await world.bob.machine.step([unreadable(number, world.alice.machine.newMessageId())]);
	}
	expect(resends(world.bob)).toBe(32);
	const failing = () => counts(world.bob, "failing", "asked") ?? 0;
	expect(failing()).toBe(40);
});

test("RETRY-1 an edit that was for the old key goes to nobody who shows another one", async () => {
	const id = world.text(world.alice, "first");
	await world.settle();
	const edit = world.wish(world.alice, { kind: "edit", message: { author: ALICE, id }, body: "second", ranges: [] });
	await world.settle();
	const before = resends(world.alice);
	await ask(world.bob, ALICE, edit);
	expect(resends(world.alice)).toBe(before + 1);
	world.alice.store.run("UPDATE actions SET addressed = NULL");
	await ask(world.bob, ALICE, edit);
	expect(resends(world.alice)).toBe(before + 1);
});
