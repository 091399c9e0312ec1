import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { afterEach, beforeEach, expect, test } from "vitest";
import { ConversationUpSchema } from "../../protocol/gen/conversation_up_pb.js";
import { message, positions } from "../store/queries.ts";
import { ALICE, BOB, type TestDevice, TestWorld } from "./testing.ts";

let world: TestWorld;
beforeEach(async () => {
	world = await TestWorld.talking();
});
afterEach(() => world.close());

/** A device's step, and what the server makes of its frames for those whom `hears` names. */
async function deliver(from: TestDevice, hears: (account: string) => boolean, beside: object = {}): Promise<void> {
	for (const request of await from.machine.step(from.inbox.splice(0))) {
		if (request.type !== "send-frame") continue;
		world.server.handle(from.account, toBinary(ConversationUpSchema, request.frame), (to, frame) => {
			if (!hears(to)) return;
			const [device, peer] = to === ALICE ? [world.alice, BOB] : [world.bob, ALICE];
			if (frame.frame.case === "entry") Object.assign(frame, beside);
			device.inbox.push({ type: "conversation-frame", peer, frame });
		});
	}
}

/** Bob writes, and Alice's answer is in the same step as its arrival. Returns her frames. */
async function answerAtOnce() {
	world.text(world.bob, "question");
	await deliver(world.bob, () => true);
	world.text(world.alice, "answer");
	const requests = await world.alice.machine.step(world.alice.inbox.splice(0));
	return requests.flatMap((request) => (request.type === "send-frame" ? [request] : []));
}

test("DELIVERED-4 what came is acknowledged beside the message of the same step, which is kept and repeated without it", async () => {
	const sent = await answerAtOnce();
	const { cursor } = positions(world.alice.store, BOB);
	expect(sent.map(({ frame }) => frame.frame.case)).toEqual(["send"]);
	const [one] = sent;
	expect(one?.frame.acknowledged).toBe(cursor);
	// What is sent are these bytes, not the frame.
	const bytes = one?.bytes ?? new Uint8Array();
	expect(fromBinary(ConversationUpSchema, bytes).acknowledged).toBe(cursor);
	const kept = world.alice.store.get<{ frame: Uint8Array<ArrayBuffer> }>(
		"SELECT frame FROM outbox WHERE frame IS NOT NULL",
	)?.frame;
	expect(kept).toBeDefined();
	const plain = fromBinary(ConversationUpSchema, kept ?? new Uint8Array());
	expect(plain.acknowledged).toBeUndefined();
	expect(toBinary(ConversationUpSchema, create(ConversationUpSchema, { ...plain, acknowledged: cursor }))).toEqual(
		new Uint8Array(bytes),
	);
});

test("DELIVERED-4 WATERMARK-1 WATERMARK-3 what is told beside an entry counts as a watermark does", async () => {
	const ids = ["one", "two"].map((body) => world.text(world.alice, body));
	await deliver(world.alice, (to) => to === ALICE);
	await world.alice.machine.step(world.alice.inbox.splice(0));
	const [one, two] = ids.map((id) => message(world.alice.store, id)?.number ?? 0);
	expect(ids.map((id) => message(world.alice.store, id)?.status)).toEqual(["sent", "sent"]);
	/** Bob writes, and the server says so beside it. */
	const told = async (delivered: number, after: number) => {
		world.text(world.bob, "word");
		await deliver(world.bob, () => true, { delivered, after });
		await world.alice.machine.step(world.alice.inbox.splice(0));
		return ids.map((id) => message(world.alice.store, id)?.status);
	};
	// Of a device that came after the first text it says nothing of that one.
	expect(await told(two ?? 0, one ?? 0)).toEqual(["sent", "sent"]);
	expect(await told(one ?? 0, 0)).toEqual(["delivered", "sent"]);
	expect(await told(two ?? 0, 0)).toEqual(["delivered", "delivered"]);
});
