/** An old copy of a device's file is put back while its peer went on: the line heals by itself, and nothing is lost. */
import { copyFileSync } from "node:fs";
import { afterEach, beforeEach, expect, test } from "vitest";
import { ALICE, BOB, type TestDevice, TestWorld } from "../machine/testing.ts";
import { history } from "../store/queries.ts";

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
