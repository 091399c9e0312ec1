/** Positions that the server makes up, and positions that it has lost. */
import { afterEach, beforeEach, expect, test } from "vitest";
import { uuidToBytes } from "../../protocol/ids.ts";
import { history, message, pendingOutboxCount, positions } from "../store/queries.ts";
import { ALICE, BOB, says, TestWorld } from "./testing.ts";

const HUGE = 4_000_000_000;

let world: TestWorld;
beforeEach(async () => {
	world = await TestWorld.talking();
});
afterEach(() => world.close());

const bodies = (store: TestWorld["bob"]["store"], peer: string) => history(store, peer, 100).map(({ body }) => body);
const codes = () => world.alice.notices.flatMap((notice) => (notice.type === "refused" ? [notice.code] : []));

test("CLIENT-6 numbers that can't be move nothing, and are told once", async () => {
	const id = world.text(world.alice, "waits for a true answer");
	await world.alice.machine.step(world.alice.inbox.splice(0));
	const { cursor } = positions(world.alice.store, BOB);
	const entry = {
		$typeName: "parley.v1.Entry" as const,
		number: HUGE,
		serverTimeMs: 1n,
		messageId: uuidToBytes(world.bob.machine.newMessageId()),
		senderAccount: uuidToBytes(BOB),
		senderDevice: 1,
		kind: 1,
		ciphertext: new Uint8Array(200),
	};
	const accepted = { messageId: uuidToBytes(id), number: HUGE, serverTimeMs: 1n };
	world.alice.inbox.push(
		says(BOB, { case: "entry", value: entry }),
		says(BOB, { case: "missed", value: { $typeName: "parley.v1.Missed", from: 3, to: HUGE, entries: [] } }),
		says(BOB, { case: "caughtUp", value: { $typeName: "parley.v1.CaughtUp", head: HUGE } }),
		says(BOB, { case: "accepted", value: { $typeName: "parley.v1.Accepted", ...accepted } }),
	);
	await world.settle();
	expect(positions(world.alice.store, BOB).cursor).toBe(cursor);
	expect(history(world.alice.store, BOB, 10)).toHaveLength(3);
	expect(message(world.alice.store, id)?.status).toBe("queued");
	expect(codes()).toEqual(["IMPLAUSIBLE_NUMBER"]);
	world.connect(world.alice);
	await world.settle();
	expect(bodies(world.bob.store, ALICE).at(-1)).toBe("waits for a true answer");
});

test("CLIENT-6 a server that was put back to a backup: what is here stays, what comes is received, nothing twice", async () => {
	const lost = [world.text(world.alice, "three")];
	await world.settle();
	world.text(world.bob, "four");
	await world.settle();
	// This one was accepted, and reached nobody before the server's disk broke.
	world.bob.open.clear();
	lost.push(world.text(world.alice, "five"));
	await world.settle();
	world.server.rosterVersion = 7;
	world.connect(world.alice);
	await world.settle();
	world.server.restore(2);
	world.connect(world.alice);
	world.connect(world.bob);
	await world.settle();
	for (const device of [world.alice, world.bob]) {
		expect(device.notices).toContainEqual(expect.objectContaining({ type: "log-went-back", to: 2 }));
	}
	expect(lost.map((id) => message(world.alice.store, id)?.status)).toEqual(["delivered", "failed"]);
	world.text(world.bob, "new three");
	await world.settle();
	world.text(world.alice, "new four");
	await world.settle();
	expect(bodies(world.alice.store, BOB)).toEqual(["hello", "hi", "three", "four", "five", "new three", "new four"]);
	expect(bodies(world.bob.store, ALICE)).toEqual(["hello", "hi", "three", "four", "new three", "new four"]);
	expect(pendingOutboxCount(world.alice.store, BOB) + pendingOutboxCount(world.bob.store, ALICE)).toBe(0);
	expect(positions(world.bob.store, ALICE).cursor).toBe(4);
});

test("CLIENT-6 a position that was a lie is no longer in the way at an honest server, and what it hid arrives", async () => {
	world.bob.open.clear();
	for (const body of ["three", "four"]) world.text(world.alice, body);
	await world.settle();
	world.connect(world.bob);
	// Instead of the two entries comes a head far away.
	const [hello] = await world.bob.machine.step(world.bob.inbox.splice(0));
	expect(hello?.type).toBe("send-frame");
	const roster = { $typeName: "parley.v1.Roster" as const, version: 0, devices: [], members: [] };
	const welcome = {
		$typeName: "parley.v1.Welcome" as const,
		head: HUGE,
		serverTimeMs: 1n,
		roster,
		watermarks: [],
		blocking: false,
		online: [],
	};
	world.bob.inbox.push(
		says(ALICE, { case: "welcome", value: welcome }),
		says(ALICE, { case: "caughtUp", value: { $typeName: "parley.v1.CaughtUp", head: HUGE } }),
	);
	await world.bob.machine.step(world.bob.inbox.splice(0));
	expect(positions(world.bob.store, ALICE).cursor).toBe(HUGE);
	world.connect(world.bob);
	await world.settle();
	expect(bodies(world.bob.store, ALICE)).toEqual(["hello", "hi", "three", "four"]);
	expect(world.bob.notices).toContainEqual({ type: "log-went-back", peer: ALICE, from: HUGE, to: 4 });
	expect(positions(world.bob.store, ALICE).cursor).toBe(4);
});

test("ROSTER-1 with no device of the peer on the roster nothing is sent, so nothing can count as delivered", async () => {
	const me = world.server.devices.get(ALICE)?.registrationId ?? 0;
	const alone = {
		$typeName: "parley.v1.DeviceAddress" as const,
		account: uuidToBytes(ALICE),
		device: 1,
		registrationId: me,
	};
	const members = [ALICE, BOB].map(uuidToBytes);
	const roster = { $typeName: "parley.v1.Roster" as const, version: 2, devices: [alone], members };
	world.alice.inbox.push(says(BOB, { case: "roster", value: roster }));
	const id = world.text(world.alice, "to nobody?");
	await world.settle();
	expect(world.server.log).toHaveLength(2);
	expect(message(world.alice.store, id)?.status).toBe("queued");
	// The peer is gone altogether: that is told, and not sent either.
	world.alice.inbox.push(
		says(BOB, { case: "roster", value: { ...roster, version: 3, members: [uuidToBytes(ALICE)] } }),
	);
	await world.settle();
	expect(message(world.alice.store, id)?.status).toBe("failed");
	expect(codes()).toEqual(["MEMBER_GONE"]);
	expect(world.server.log).toHaveLength(2);
});
