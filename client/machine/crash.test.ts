import { toBinary } from "@bufbuild/protobuf";
import { afterEach, beforeEach, expect, test } from "vitest";
import { ConversationUpSchema } from "../../protocol/gen/conversation_up_pb.js";
import type { Store } from "../store/database.ts";
import { history, pendingOutboxCount } from "../store/queries.ts";
import type { MachineRequest } from "./interface.ts";
import { ALICE, BOB, TestWorld } from "./testing.ts";

let world: TestWorld;
beforeEach(() => {
	world = new TestWorld();
});
afterEach(() => world.close());

/** On which side of a commit a kill comes. */
type Moment = "before" | "after";

/**
 * Lets the Nth commit of a device fail, as a kill just before it does, or just after it, before anything else is done.
 */
function failCommit(store: Store, nth: number, moment: Moment = "before"): { happened: boolean } {
	const state = { happened: false };
	const commit = store.commit.bind(store);
	let left = nth;
	store.commit = () => {
		left--;
		if (left === 0) {
			state.happened = true;
			if (moment === "after") commit();
			throw new Error(`killed ${moment} the commit`);
		}
		commit();
	};
	return state;
}

async function settleWithCrashes(): Promise<number> {
	let crashes = 0;
	for (;;) {
		try {
			await world.settle();
			return crashes;
		} catch (error) {
			if (!(error instanceof Error) || !error.message.startsWith("killed")) throw error;
			crashes++;
			for (const device of [world.alice, world.bob]) {
				device.restart();
				world.connect(device);
			}
		}
	}
}

const bodies = (store: Store, peer: string) => history(store, peer, 1_000).map((row) => row.body);

for (const [victim, moment] of [
	["alice", "before"],
	["bob", "before"],
	["alice", "after"],
	["bob", "after"],
] as const) {
	test(`CLIENT-1 ${victim} is killed ${moment} each commit in turn; every message arrives once, in order`, async () => {
		const sent: string[] = [];
		const answered: string[] = [];
		const { alice, bob } = world;
		alice.batch = 2;
		bob.batch = 2;
		world.connect(alice);
		world.connect(bob);
		await world.settle();
		let crashes = 0;
		for (let nth = 1; nth <= 12; nth++) {
			sent.push(`a${nth}`, `A${nth}`);
			answered.push(`b${nth}`);
			// The texts are in the outbox; the kill comes while they are encrypted, sent, received.
			for (const body of sent.slice(-2)) world.text(alice, body);
			world.text(bob, answered.at(-1) ?? "");
			await alice.machine.step(alice.inbox.splice(0));
			await bob.machine.step(bob.inbox.splice(0));
			const target = world[victim];
			failCommit(target.store, nth % 6 || 6, moment);
			for (const device of [alice, bob]) if (device !== target) device.restart();
			target.inbox = [];
			target.open.clear();
			await target.machine.step([{ type: "conversation-closed", peer: victim === "alice" ? BOB : ALICE }]).catch(() => {
				crashes++;
				target.restart();
			});
			world.connect(alice);
			world.connect(bob);
			crashes += await settleWithCrashes();
			// A failure that was not used up must not hit the next round.
			target.restart();
			world.connect(target);
			await world.settle();
		}
		expect(crashes).toBeGreaterThanOrEqual(10);
		expect(bodies(bob.store, ALICE).filter((body) => body?.toLowerCase().startsWith("a"))).toEqual(sent);
		expect(bodies(alice.store, BOB).filter((body) => body?.startsWith("b"))).toEqual(answered);
		expect(pendingOutboxCount(alice.store, BOB) + pendingOutboxCount(bob.store, ALICE)).toBe(0);
		expect(world.server.log.length).toBe(sent.length + answered.length);
		expect(history(bob.store, ALICE, 1_000).some((row) => row.status === "undecryptable")).toBe(false);
	});
}

test("CLIENT-1 what was committed but not sent goes out with the same bytes after a kill", async () => {
	const { alice, bob } = world;
	world.connect(alice);
	world.connect(bob);
	world.text(alice, "first");
	await world.settle();
	world.text(alice, "second");
	const before = await alice.machine.step(alice.inbox.splice(0));
	const frame = before.find((request) => request.type === "send-frame");
	expect(frame).toBeDefined();
	alice.restart();
	const opened = await alice.machine.step([{ type: "conversation-opened", peer: BOB }]);
	expect(opened.map((request) => request.type)).toEqual(["send-frame"]);
	world.connect(alice);
	await world.settle();
	const logged = world.server.log.at(-1)?.send;
	expect(frame?.type === "send-frame" && frame.frame.frame.value).toEqual(logged);
	expect(bodies(bob.store, ALICE)).toEqual(["first", "second"]);
});

test("CLIENT-1 CLIENT-2 what waited for a connection goes out with the same bytes after a kill too", async () => {
	const { alice, bob } = world;
	world.connect(alice);
	world.connect(bob);
	world.text(alice, "first");
	await world.settle();
	alice.restart();
	world.text(alice, "second");
	await alice.machine.step(alice.inbox.splice(0));
	world.connect(alice);
	// The answers to its greeting come; what it sends of its outbox does not leave.
	const sends = [];
	while (sends.length === 0) {
		for (const request of await alice.machine.step(alice.inbox.splice(0))) {
			if (request.type !== "send-frame") continue;
			if (request.frame.frame.case === "send") sends.push(request.frame.frame.value);
			else deliver(request);
		}
	}
	alice.restart();
	world.connect(alice);
	await world.settle();
	expect(world.server.log.at(-1)?.send).toEqual(sends[0]);
	expect(bodies(bob.store, ALICE)).toEqual(["first", "second"]);
});

/** Lets a frame of Alice's reach the server, and its answers Alice. */
function deliver({ frame }: Extract<MachineRequest, { type: "send-frame" }>): void {
	world.server.handle(ALICE, toBinary(ConversationUpSchema, frame), (to, down) => {
		if (to === ALICE) world.alice.inbox.push({ type: "conversation-frame", peer: BOB, frame: down });
	});
}

test("CLIENT-1 a step that fails without a kill leaves nothing in memory: the same entries are read when they come again", async () => {
	const { alice, bob } = world;
	world.connect(alice);
	world.connect(bob);
	world.text(alice, "first");
	await world.settle();
	world.text(alice, "second");
	// The first thing that Bob commits is the entry.
	const commits = failCommit(bob.store, 1);
	await expect(world.settle()).rejects.toThrow("killed");
	expect([commits.happened, bodies(bob.store, ALICE)]).toEqual([true, ["first"]]);
	// As the runner does: the connection is closed and opened again, on the same machine.
	world.connect(bob);
	await world.settle();
	expect(bodies(bob.store, ALICE)).toEqual(["first", "second"]);
	expect(history(bob.store, ALICE, 10).map((row) => row.status)).not.toContain("undecryptable");
});

test("CLIENT-1 a kill right after the commit of a step that encrypts: its ratchet state is not used again", async () => {
	const { alice, bob } = world;
	world.connect(alice);
	world.connect(bob);
	world.text(alice, "first");
	await world.settle();
	world.text(alice, "second");
	failCommit(alice.store, 1, "after");
	await expect(alice.machine.step(alice.inbox.splice(0))).rejects.toThrow("killed");
	alice.restart();
	world.connect(alice);
	world.text(alice, "third");
	await world.settle();
	expect(bodies(bob.store, ALICE)).toEqual(["first", "second", "third"]);
	expect(world.server.log.length).toBe(3);
});

test("CLIENT-1 an accepted send whose answer was lost is not sent as a second message", async () => {
	const { alice, bob } = world;
	world.connect(alice);
	world.connect(bob);
	world.text(alice, "first");
	await world.settle();
	world.text(alice, "second");
	const commits = failCommit(alice.store, 2);
	await settleWithCrashes();
	expect(commits.happened).toBe(true);
	expect(world.server.log.length).toBe(2);
	expect(bodies(bob.store, ALICE)).toEqual(["first", "second"]);
	expect(history(alice.store, BOB, 10).map((row) => row.status)).toEqual(["delivered", "delivered"]);
});
