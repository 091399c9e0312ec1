/** An old copy of a device's file is put back while its peer went on: the line heals by itself, and nothing is lost. */
import { copyFileSync } from "node:fs";
import { create } from "@bufbuild/protobuf";
import { afterEach, beforeEach, expect, test } from "vitest";
import { MissedEntrySchema, MissedSchema } from "../../protocol/gen/conversation_down_pb.js";
import { uuidToBytes } from "../../protocol/ids.ts";
import { ALICE, BOB, says, type TestDevice, TestWorld } from "../machine/testing.ts";
import { history } from "../store/queries.ts";

const STRANGER = "00000000-0000-4000-8000-00000000000e";

let world: TestWorld;
beforeEach(async () => {
	world = new TestWorld();
	world.connect(world.alice);
	world.connect(world.bob);
	world.text(world.alice, "hello");
	await world.settle();
	world.text(world.bob, "hi");
	await world.settle();
});
afterEach(() => world.close());

const shown = (device: TestDevice) => history(device.store, device === world.alice ? BOB : ALICE, 50);
const bodies = (device: TestDevice) => shown(device).map(({ body }) => body);

/** A copy of the device's file as it is now; what it returns puts that back. */
function backUp(device: TestDevice): () => void {
	device.store.run("PRAGMA wal_checkpoint(TRUNCATE)");
	device.store.close();
	copyFileSync(device.path, `${device.path}.old`);
	device.restart();
	return () => {
		device.store.close();
		copyFileSync(`${device.path}.old`, device.path);
		device.restart();
		world.connect(device);
	};
}

test("RETRY-2 texts of a device with an old copy of its file arrive, though its ratchet has gone back", async () => {
	const putBack = backUp(world.bob);
	world.connect(world.bob);
	for (const body of ["one", "two", "three"]) world.text(world.bob, body);
	await world.settle();
	putBack();
	await world.settle();
	for (const body of ["four", "five"]) world.text(world.bob, body);
	await world.settle();
	expect(bodies(world.alice)).toEqual(["hello", "hi", "one", "two", "three", "four", "five"]);
	expect(shown(world.alice).every(({ status }) => status !== "undecryptable")).toBe(true);
	world.text(world.alice, "and back");
	world.text(world.bob, "and on");
	await world.settle();
	expect(bodies(world.alice).at(-1)).toBe("and on");
	expect(bodies(world.bob)).toContain("and back");
});

test("RETRY-2 what the peer has sent since is fetched again and read", async () => {
	const putBack = backUp(world.bob);
	world.connect(world.bob);
	for (const body of ["one", "two"]) {
		world.text(world.alice, body);
		await world.settle();
		world.text(world.bob, `${body}, yes`);
		await world.settle();
	}
	putBack();
	await world.settle();
	world.text(world.alice, "three");
	await world.settle();
	const texts = bodies(world.bob);
	for (const body of ["hello", "hi", "one", "two", "three"]) expect(texts).toContain(body);
	world.text(world.bob, "four");
	await world.settle();
	expect(bodies(world.alice).at(-1)).toBe("four");
	expect(shown(world.alice).every(({ status }) => status !== "undecryptable")).toBe(true);
});

const FOUR = ["one", "two", "three", "four"];

test("RETRY-3 what was acknowledged since is asked for, and comes to its place; nothing twice", async () => {
	world.server.wipes = true;
	const putBack = backUp(world.bob);
	world.connect(world.bob);
	for (const body of FOUR.slice(0, 3)) world.text(world.alice, body);
	await world.settle();
	const before = shown(world.bob);
	world.bob.notices.length = 0;
	putBack();
	await world.settle();
	world.text(world.alice, "four");
	await world.settle();
	expect(bodies(world.bob)).toEqual(["hello", "hi", ...FOUR]);
	const after = shown(world.bob);
	for (const message of before) expect(after).toContainEqual(expect.objectContaining({ ...timeless(message) }));
	const missed = world.bob.notices.flatMap((notice) => (notice.type === "missed" ? [notice] : []));
	expect(missed.map(({ from, to, asked }) => [from, to, asked])).toEqual(
		[3, 4, 5].map((number) => [number, number, 1]),
	);
	expect(shown(world.alice)).toHaveLength(6);
	// A server that says it again brings nothing a second time.
	world.connect(world.bob);
	await world.settle();
	expect(bodies(world.bob)).toEqual(["hello", "hi", ...FOUR]);
	world.text(world.bob, "and on");
	world.text(world.alice, "and on, too");
	await world.settle();
	expect(bodies(world.alice)).toEqual(bodies(world.bob));
});

const timeless = ({ id, body, number, sentAtMs, serverTimeMs, sender }: ReturnType<typeof shown>[number]) => ({
	...{ id, body, number, sentAtMs, serverTimeMs, sender },
});

test("RETRY-3 what was done with messages since is asked for too; what has been deleted does not come back", async () => {
	world.server.wipes = true;
	const putBack = backUp(world.bob);
	world.connect(world.bob);
	const gone = world.text(world.alice, "to be deleted");
	const kept = world.text(world.alice, "to be edited");
	await world.settle();
	world.wish(world.alice, { kind: "edit", message: { author: ALICE, id: kept }, body: "edited", ranges: [] });
	world.wish(world.alice, { kind: "delete", message: { author: ALICE, id: gone } });
	await world.settle();
	putBack();
	await world.settle();
	world.text(world.alice, "last");
	await world.settle();
	expect(bodies(world.bob)).toEqual(["hello", "hi", "edited", "last"]);
});

test("RETRY-3 what the server names is asked for once, 64 at most of a frame, and not what is here or a stranger's", async () => {
	for (let count = 0; count < 70; count++) world.text(world.alice, `${count}`);
	world.bob.open.clear();
	await world.settle();
	const ids = Array.from({ length: 70 }, () => world.alice.machine.newMessageId());
	const [known] = shown(world.bob);
	// One of a stranger, one that is here, one before what is here.
	const names = ids.map((id, index) =>
		create(MissedEntrySchema, {
			...{ number: index === 2 ? 2 : 3 + index, messageId: uuidToBytes(index === 1 ? (known?.id ?? "") : id) },
			...{ senderAccount: uuidToBytes(index === 0 ? STRANGER : ALICE), senderDevice: 1 },
		}),
	);
	world.bob.open.add(ALICE);
	for (let times = 0; times < 2; times++) {
		const value = create(MissedSchema, { from: 1, to: 72, entries: names });
		world.bob.inbox.push(says(ALICE, { case: "missed", value }));
		await world.settle();
	}
	expect(world.bob.notices.flatMap((notice) => (notice.type === "missed" ? [notice.asked] : []))).toEqual([61]);
	expect(world.server.log.length).toBe(73);
});
