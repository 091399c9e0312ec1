import { afterEach, beforeEach, expect, test } from "vitest";
import { account, GroupWorld } from "./testing.ts";

let world: GroupWorld;

beforeEach(() => {
	world = new GroupWorld();
});

afterEach(() => world.close());

test("GROUP-10 who was removed and added again while away believes who adds it, though it has not seen by whom it could be", async () => {
	const [alice, bob, carol] = [world.add("a"), world.add("b"), world.add("c")];
	await world.found(alice, bob, carol);
	bob.disconnect();
	await world.settle();
	alice.want({ do: "remove", accounts: [account("b")], secret: "A".repeat(43) });
	await world.settle();
	alice.want({ do: "role", account: account("c"), role: "admin" });
	await world.settle();
	carol.want({ do: "add", accounts: [account("b")] });
	await world.settle();
	bob.connect();
	await world.settle();
	expect(bob.told("group-warning")).toEqual([]);
	carol.text("welcome back");
	await world.settle();
	expect(bob.read()).toContain("welcome back");
	// What it sends is for those who are there now.
	bob.text("thanks");
	await world.settle();
	expect(alice.read()).toContain("thanks");
});
