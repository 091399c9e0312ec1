/** What people do with messages in a group is what they do in a conversation of two; admins may delete others'. */
import { afterEach, beforeEach, expect, test } from "vitest";
import { Context } from "../machine/context.ts";
import { account, GROUP, type GroupDevice, GroupWorld } from "../machine/groups/testing.ts";
import { Cipher } from "../signal/cipher.ts";
import { requireAccount } from "../store/account.ts";
import { timerOf } from "../store/standings.ts";
import { learnTimer } from "./timer.ts";
import { messageView } from "./view.ts";
import type { MessageName, Wish } from "./wishes.ts";

const [ALICE, BOB, CAROL] = [account("a"), account("b"), account("c")];

let world: GroupWorld;
let all: GroupDevice[];
let hello: MessageName;
beforeEach(async () => {
	world = new GroupWorld();
	all = [world.add("a"), world.add("b"), world.add("c")];
	await world.found(...all);
	hello = { author: BOB, id: device(BOB).text("hello") };
	await world.settle();
});
afterEach(() => world.close());

function device(of: string): GroupDevice {
	const found = all.find((one) => one.account === of);
	if (found === undefined) throw new Error("no such device");
	return found;
}

async function wish(of: string, wanted: Wish): Promise<void> {
	const from = device(of);
	from.inbox.push({ type: "do", id: from.machine.newMessageId(), peer: GROUP, wish: wanted });
	await world.settle();
}

const views = () => all.map(({ store }) => messageView(store, hello.author, hello.id));

test("REACTION-1 EDIT-1 reactions and edits reach all members of a group", async () => {
	await wish(ALICE, { kind: "reaction", message: hello, emoji: "👍" });
	await wish(CAROL, { kind: "reaction", message: hello, emoji: "🎉" });
	await wish(BOB, { kind: "edit", message: hello, body: "hello all", ranges: [] });
	for (const one of all) expect(one.read()).toEqual(["hello all"]);
	for (const view of views()) {
		expect(view?.reactions).toEqual([
			{ account: ALICE, emoji: "👍" },
			{ account: CAROL, emoji: "🎉" },
		]);
	}
});

test("DELETE-4 an admin deletes a member's message for everyone, a member does not", async () => {
	await wish(CAROL, { kind: "delete", message: hello });
	for (const one of all) expect(one.read()).toEqual(["hello"]);
	await wish(ALICE, { kind: "delete", message: hello });
	for (const one of all) expect(one.read()).toEqual([""]);
	expect(views().map((view) => view?.deleted)).toEqual([true, true, true]);
});

test("TIMER-1 who may edit the group sets its timer", async () => {
	await wish(CAROL, { kind: "timer", seconds: 60 });
	for (const { store } of all) expect(timerOf(store, GROUP)).toBe(60);
	device(BOB).text("soon gone");
	await world.settle();
	world.nowMs += 61_000;
	device(BOB).inbox.push({ type: "tick" });
	await world.settle();
	expect(device(BOB).read()).toEqual(["hello"]);
	expect(device(CAROL).read()).toEqual(["hello", "soon gone"]);
});

test("DELETE-4 DELETE-3 what an admin deletes after a demotion counts nowhere, at the demoted one neither", async () => {
	device(ALICE).want({ do: "role", account: CAROL, role: "admin" });
	await world.settle();
	// Carol deletes while she is an admin, and is none any more when it comes to the log.
	device(CAROL).disconnect();
	await world.settle();
	const wanted = { kind: "delete" as const, message: hello };
	device(CAROL).inbox.push({ type: "do", id: device(CAROL).machine.newMessageId(), peer: GROUP, wish: wanted });
	await device(CAROL).machine.step(device(CAROL).inbox.splice(0));
	expect(device(CAROL).read()).toEqual(["hello"]);
	device(ALICE).want({ do: "role", account: CAROL, role: "member" });
	await world.settle();
	device(CAROL).connect();
	await world.settle();
	for (const one of all) expect(one.read()).toEqual(["hello"]);
	expect(device(CAROL).told("refused")).toContainEqual(expect.objectContaining({ code: "NOT_PERMITTED" }));
	for (const table of ["actions", "withdrawals"]) expect(device(CAROL).store.all(`SELECT * FROM ${table}`)).toEqual([]);
});

test("TIMER-1 who may not edit the group any more does not set its timer, by the place in the log, anywhere", async () => {
	device(CAROL).disconnect();
	await world.settle();
	const wanted = { kind: "timer" as const, seconds: 60 };
	device(CAROL).inbox.push({ type: "do", id: device(CAROL).machine.newMessageId(), peer: GROUP, wish: wanted });
	await device(CAROL).machine.step(device(CAROL).inbox.splice(0));
	expect(timerOf(device(CAROL).store, GROUP)).toBe(60);
	device(ALICE).want({ do: "rules", rules: { edit: "admins" } });
	await world.settle();
	device(CAROL).connect();
	await world.settle();
	for (const { store } of all) expect(timerOf(store, GROUP)).toBe(0);
	await wish(ALICE, wanted);
	for (const { store } of all) expect(timerOf(store, GROUP)).toBe(60);
});

test("TIMER-5 a new member knows the group's timer, before anything is said, and not from who may not set it", async () => {
	await wish(ALICE, { kind: "timer", seconds: 60 });
	const dave = world.add("d");
	all.push(dave);
	device(ALICE).want({ do: "add", accounts: [dave.account] });
	await world.settle();
	dave.connect();
	await world.settle();
	device(ALICE).text("welcome");
	await world.settle();
	expect(timerOf(dave.store, GROUP)).toBe(60);
	device(ALICE).want({ do: "rules", rules: { edit: "admins" } });
	await world.settle();
	const { store } = device(BOB);
	store.run("UPDATE standings SET timer_seconds = 0");
	store.run("DELETE FROM actions WHERE kind = 'timer'");
	const context = new Context(store, world.environment, requireAccount(store), new Cipher(store, () => false));
	learnTimer(context, GROUP, CAROL, 30);
	expect(timerOf(store, GROUP)).toBe(0);
	learnTimer(context, GROUP, ALICE, 50);
	learnTimer(context, GROUP, ALICE, 40);
	expect(timerOf(store, GROUP)).toBe(50);
});
