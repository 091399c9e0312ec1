import { create } from "@bufbuild/protobuf";
import { afterEach, beforeEach, expect, test } from "vitest";
import { WatermarkSchema } from "../../protocol/gen/common_pb.js";
import { AcceptedSchema, EntrySchema } from "../../protocol/gen/conversation_down_pb.js";
import { uuidToBytes } from "../../protocol/ids.ts";
import { LIMITS } from "../../protocol/limits.ts";
import { Cipher } from "../signal/cipher.ts";
import { requireAccount } from "../store/account.ts";
import { pendingOutboxCount } from "../store/queries.ts";
import { onlyAnswers } from "./answers.ts";
import { Context } from "./context.ts";
import type { MachineEvent, MachineRequest } from "./interface.ts";
import { WINDOW } from "./sending.ts";
import { BOB, says, TestWorld } from "./testing.ts";

let world: TestWorld;
beforeEach(async () => {
	world = await TestWorld.talking();
});
afterEach(() => world.close());

/** Both have said hello: numbers 1 and 2. */
const FIRST = 3;
let reads = 0;

/** As SQLite names it: 1 is NORMAL, 2 FULL. It tells when the statement is read, so each is another one. */
function synchronous(): number | undefined {
	return world.alice.store.get<{ synchronous: number }>(`PRAGMA synchronous -- ${reads++}`)?.synchronous;
}

function step(events: readonly MachineEvent[]): Promise<MachineRequest[]> {
	return world.alice.machine.step(events);
}

/** Alice sends so many; returns the server's answers, which have not come yet. */
async function send(count: number): Promise<MachineEvent[]> {
	const ids = Array.from({ length: count }, (_, index) => world.text(world.alice, `text ${index}`));
	await step(world.alice.inbox.splice(0));
	return ids.map((id, index) => {
		const value = create(AcceptedSchema, { messageId: uuidToBytes(id), number: FIRST + index, serverTimeMs: 1n });
		return says(BOB, { case: "accepted", value });
	});
}

function frames(requests: readonly MachineRequest[]) {
	return requests.flatMap((request) => (request.type === "send-frame" ? [request.frame] : []));
}

test("CLIENT-1 answers need not be on disk at once: nothing leaves that relies on them before a step that is", async () => {
	const answers = await send(LIMITS.acknowledge_entries);
	expect(synchronous()).toBe(2);
	const requests = await step(answers);
	expect(pendingOutboxCount(world.alice.store, BOB)).toBe(0);
	expect(synchronous()).toBe(1);
	expect(requests.filter(({ type }) => type !== "notify")).toEqual([]);
	world.text(world.alice, "next");
	const next = frames(await step(world.alice.inbox.splice(0)));
	expect(synchronous()).toBe(2);
	// What it acknowledges goes beside it (rule DELIVERED-4).
	expect(next.map(({ frame }) => frame.case)).toEqual(["send"]);
	expect(next[0]?.acknowledged).toBe(FIRST - 1 + LIMITS.acknowledge_entries);
});

test("CLIENT-1 answers that make room for a message are on disk before it leaves", async () => {
	const answers = await send(WINDOW + 1);
	const next = frames(await step(answers.slice(0, 1)));
	expect(synchronous()).toBe(2);
	expect(next.map(({ frame }) => frame.case)).toEqual(["send"]);
});

test("CLIENT-1 an entry among answers is on disk before it is acknowledged", async () => {
	const answers = await send(1);
	const entry = create(EntrySchema, {
		...{ number: FIRST + 1, messageId: uuidToBytes(world.bob.machine.newMessageId()) },
		...{ senderAccount: uuidToBytes(BOB), senderDevice: 1, ciphertext: new Uint8Array(1) },
	});
	const next = frames(await step([...answers, says(BOB, { case: "entry", value: entry })]));
	expect(synchronous()).toBe(2);
	expect(next.at(-1)?.frame).toMatchObject({ case: "acknowledge", value: { cursor: FIRST + 1 } });
});

test("CLIENT-1 what a conversation owes makes answers an ordinary step, whatever it is", () => {
	const { store } = world.alice;
	const context = new Context(store, world.environment, requireAccount(store), new Cipher(store, () => false));
	context.withdrawals = false;
	const group = "ab".repeat(32);
	const answer = (peer: string) => says(peer, { case: "watermark", value: create(WatermarkSchema, {}) });
	const quiet = (...events: MachineEvent[]): boolean => onlyAnswers(context, events);
	expect(quiet(answer(BOB))).toBe(true);
	expect(quiet(answer(BOB), { type: "tick" })).toBe(false);
	// Groups owe more.
	expect(quiet(answer(BOB), answer(group))).toBe(false);
	const connection = context.connection(BOB);
	for (const flag of ["held", "stale"] as const) {
		connection[flag] = true;
		expect(quiet(answer(BOB)), flag).toBe(false);
		connection[flag] = false;
	}
	connection.news = { conversation: new Uint8Array(32), upTo: 5 };
	expect(quiet(answer(BOB))).toBe(false);
	connection.news = undefined;
	for (const withdrawals of [true, undefined]) {
		context.withdrawals = withdrawals;
		expect(quiet(answer(BOB))).toBe(false);
	}
});
