import { expect, test } from "vitest";
import { pad, unpad } from "./padding.ts";
import { BOB, TestWorld } from "./testing.ts";

test("PAD-1 contents are padded to steps of 160 bytes and come back as they were", () => {
	for (const length of [0, 1, 158, 159, 160, 161, 319, 320]) {
		const content = new Uint8Array(length).fill(0x80);
		const padded = pad(content);
		expect(padded.length % 160).toBe(0);
		expect(padded.length).toBeGreaterThan(length);
		expect(unpad(padded)).toEqual(content);
	}
	for (const bad of [
		new Uint8Array(0),
		new Uint8Array(160),
		new Uint8Array(159).fill(0x80),
		new Uint8Array(160).fill(1),
	]) {
		expect(unpad(bad)).toBeUndefined();
	}
});

test("PAD-1 ciphertexts of texts of different lengths have the same length", async () => {
	const world = new TestWorld();
	try {
		world.connect(world.alice);
		world.connect(world.bob);
		world.text(world.alice, "first");
		await world.settle();
		world.text(world.bob, "answer");
		await world.settle();
		const lengths: (number | undefined)[] = [];
		world.text(world.alice, "settles the ratchet");
		await world.settle();
		for (const body of ["a", "a".repeat(30), "a".repeat(70)]) {
			world.text(world.alice, body);
			await world.settle();
			lengths.push(world.server.log.at(-1)?.send.envelopes.find(({ to }) => to !== undefined)?.ciphertext.length);
		}
		expect(BOB).toBeDefined();
		const spread =
			Math.max(...lengths.map((length) => length ?? 0)) - Math.min(...lengths.map((length) => length ?? 0));
		// The post-quantum ratchet adds chunks of its own; the text's length must not show.
		expect(spread).toBeLessThan(100);
	} finally {
		world.close();
	}
});
