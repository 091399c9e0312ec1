import { create, toBinary } from "@bufbuild/protobuf";
import { afterEach, beforeEach, expect, test } from "vitest";
import { AccountDownSchema } from "../../protocol/gen/account_pb.js";
import { type ConversationUp, ConversationUpSchema } from "../../protocol/gen/conversation_up_pb.js";
import { PreKeyUpload } from "../../protocol/http.ts";
import { history, prekeyCounts } from "../store/queries.ts";
import type { MachineEvent, MachineRequest } from "./interface.ts";
import { ALICE, BOB, TestWorld } from "./testing.ts";

let world: TestWorld;
beforeEach(() => {
	world = new TestWorld();
});
afterEach(() => world.close());

const counts = (oneTimeEc: number, oneTimeKyber: number): MachineEvent => ({
	type: "account-frame",
	frame: create(AccountDownSchema, {
		frame: {
			case: "prekeyCounts",
			value: { $typeName: "parley.v1.PrekeyCounts", oneTimeEc, oneTimeKyber },
		},
	}),
});

function uploadOf(requests: readonly MachineRequest[]): PreKeyUpload | undefined {
	const found = requests.find((request) => request.type === "upload-prekeys");
	return found?.type === "upload-prekeys" ? PreKeyUpload.parse(found.upload) : undefined;
}

test("PREKEY-4 below 20 a batch of 100 of that kind is made; a crash uploads the same set again", async () => {
	const { alice } = world;
	expect(uploadOf(await alice.machine.step([counts(20, 20)]))).toBeUndefined();
	const first = uploadOf(await alice.machine.step([counts(19, 20)]));
	expect(first?.oneTimePreKeys.length).toBe(100);
	expect(first?.oneTimeKyberPreKeys.length).toBe(0);
	alice.restart();
	expect(uploadOf(await alice.machine.step([{ type: "tick" }]))).toEqual(first);
	expect(uploadOf(await alice.machine.step([counts(3, 3)]))).toEqual(first);
	expect(uploadOf(await alice.machine.step([{ type: "prekeys-uploaded" }, { type: "tick" }]))).toBeUndefined();
	const second = uploadOf(await alice.machine.step([counts(119, 3)]));
	expect(second?.oneTimeKyberPreKeys.length).toBe(100);
	expect(second?.oneTimePreKeys.length).toBe(0);
});

test("PREKEY-4 signed prekey and last resort rotate every two days; the old ones still open first messages", async () => {
	const { alice, bob } = world;
	const old = world.server.claim(BOB);
	expect(uploadOf(await bob.machine.step([{ type: "tick" }]))).toBeUndefined();
	world.nowMs += 2 * 86_400_000;
	const rotated = uploadOf(await bob.machine.step([{ type: "tick" }]));
	expect(rotated?.signedPreKey?.id).not.toBe(old?.devices[0]?.signedPreKey.id);
	expect(rotated?.lastResortKyberPreKey).toBeDefined();
	await bob.machine.step([{ type: "prekeys-uploaded" }]);
	expect(uploadOf(await bob.machine.step([{ type: "tick" }]))).toBeUndefined();
	// Alice still has the bundle of before.
	world.connect(alice);
	world.connect(bob);
	world.text(alice, "with old keys");
	await world.settle();
	expect(bob.notices).toContainEqual(
		expect.objectContaining({ type: "message", message: expect.objectContaining({ body: "with old keys" }) }),
	);
	world.nowMs += 31 * 86_400_000;
	await bob.machine.step([{ type: "tick" }]);
	expect(
		bob.store.value("SELECT COUNT(*) AS value FROM signed_prekeys WHERE id = ?", [
			old?.devices[0]?.signedPreKey.id ?? 0,
		]),
	).toBe(0);
});

test("PREKEY-4 a used one-time prekey is gone after the first message", async () => {
	const { alice, bob } = world;
	world.connect(alice);
	world.connect(bob);
	world.text(alice, "first");
	await world.settle();
	expect(prekeyCounts(bob.store)).toEqual({ oneTimePreKeys: 99, oneTimeKyberPreKeys: 99 });
	expect(prekeyCounts(alice.store)).toEqual({ oneTimePreKeys: 100, oneTimeKyberPreKeys: 100 });
	expect(ALICE).not.toBe(BOB);
});

test("CLIENT-2 prekeys that can't be had now are asked for again after 1, 2, 4 … 60 seconds, half of it by chance", async () => {
	world.text(world.alice, "hello");
	world.connect(world.alice);
	const waits: number[] = [];
	const up: ConversationUp[] = [];
	let claims = 0;
	const run = async (events: readonly MachineEvent[]): Promise<void> => {
		for (const request of await world.alice.machine.step(events)) {
			if (request.type === "claim-prekeys") claims++;
			if (request.type === "wake") waits.push(request.afterMs);
			if (request.type === "send-frame") up.push(request.frame);
		}
	};
	await run(world.alice.inbox.splice(0));
	const [hello] = up;
	if (hello === undefined) throw new Error("no hello");
	const answers: MachineEvent[] = [];
	world.server.handle(ALICE, toBinary(ConversationUpSchema, hello), (_to, frame) => {
		answers.push({ type: "conversation-frame", peer: BOB, frame });
	});
	await run(answers);
	for (let failures = 1; failures <= 9; failures++) {
		expect(claims).toBe(failures);
		await run([{ type: "prekeys-failed", account: BOB }]);
		// Neither a tick nor another text brings it forward.
		await run([
			{ type: "tick" },
			{ type: "send-text", id: world.alice.machine.newMessageId(), peer: BOB, body: "and" },
		]);
		expect(claims).toBe(failures);
		await run([{ type: "wake", account: BOB }]);
	}
	for (const [index, ceiling] of [1, 2, 4, 8, 16, 32, 60, 60, 60].entries()) {
		expect(waits[index]).toBeGreaterThanOrEqual(ceiling * 500);
		expect(waits[index]).toBeLessThan(ceiling * 1_000);
	}
	world.connect(world.bob);
	world.alice.inbox.push({ type: "prekeys-claimed", account: BOB, bundles: world.server.claim(BOB) });
	await world.settle();
	expect(history(world.bob.store, ALICE, 20)).toHaveLength(10);
});

test("CLIENT-2 prekeys that nobody can use are asked for again after a wait, and the text goes with the good ones", async () => {
	const { alice, server } = world;
	const claim = server.claim.bind(server);
	let claims = 0;
	server.claim = (account) => {
		const bundles = structuredClone(claim(account));
		claims++;
		// The signature of another account's key.
		const [device] = bundles?.devices ?? [];
		if (claims <= 2 && device !== undefined) device.signedPreKey.signature = device.kyberPreKey.signature;
		return bundles;
	};
	world.text(alice, "hello");
	world.connect(alice);
	world.connect(world.bob);
	for (let tries = 1; tries <= 3; tries++) {
		await world.settle();
		expect(claims).toBe(tries);
		expect(history(world.bob.store, ALICE, 10)).toHaveLength(tries <= 2 ? 0 : 1);
		alice.inbox.push({ type: "wake", account: BOB });
	}
	const warnings = alice.notices.filter((notice) => notice.type === "refused" && notice.code === "BAD_PREKEYS");
	expect(warnings).toHaveLength(2);
});
