import { afterEach, beforeEach, expect, test } from "vitest";
import { LIMITS } from "../../../protocol/limits.ts";
import { GROUP, GroupWorld } from "./testing.ts";

let world: GroupWorld;
beforeEach(() => {
	world = new GroupWorld();
});
afterEach(() => world.close());

test("GROUP-12 keys for many devices go in few frames below the limit, and progress is told", async () => {
	const letters = "abcdefghijklmnopqrstuvwxyz0123456789ABCD".split("");
	const people = letters.map((letter) => world.add(letter));
	const [alice] = people;
	if (alice === undefined) throw new Error("nobody");
	await world.found(...people);
	alice.text("hello all");
	await world.settle();
	for (const device of people) expect(device.read()).toEqual(["hello all"]);
	const frames = world.server.group(GROUP).log.flatMap(({ send }) => (send === undefined ? [] : [send.envelopes]));
	const sizes = frames.map((envelopes) => envelopes.reduce((sum, { ciphertext }) => sum + ciphertext.length, 0));
	expect(frames.flat()).toHaveLength(people.length - 1);
	expect(frames.filter((envelopes) => envelopes.length > 0)).toHaveLength(2);
	expect(Math.max(...sizes)).toBeLessThanOrEqual(LIMITS.message_ciphertext_bytes);
	const last = alice.told("group-progress").at(-1);
	expect(last).toMatchObject({ done: people.length - 1, total: people.length - 1 });
});
