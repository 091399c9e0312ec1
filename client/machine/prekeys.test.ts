import { create } from "@bufbuild/protobuf";
import { afterEach, beforeEach, expect, test } from "vitest";
import { AccountDownSchema } from "../../protocol/gen/account_pb.js";
import { PreKeyUpload } from "../../protocol/http.ts";
import { prekeyCounts } from "../store/queries.ts";
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
