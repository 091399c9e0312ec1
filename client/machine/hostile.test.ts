/** A server that lies: what it says must not bring a text to a stranger, nor end the machine. */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { PrivateKey } from "@signalapp/libsignal-client";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { ErrorCode } from "../../protocol/gen/common_pb.js";
import { uuidFromBytes, uuidToBytes } from "../../protocol/ids.ts";
import { Cipher } from "../signal/cipher.ts";
import { writeMeta } from "../store/account.ts";
import { findIdentity, putIdentity } from "../store/identities.ts";
import { enqueue } from "../store/outbox.ts";
import { history, message } from "../store/queries.ts";
import { retryContent } from "./content.ts";
import { Context } from "./context.ts";
import { ClientMachine } from "./machine.ts";
import { ALICE, BOB, says, settle, TestDevice, TestWorld } from "./testing.ts";

const EVE = "0e000000-0000-4000-8000-00000000000e";

let world: TestWorld;
let eve: TestDevice;
beforeEach(async () => {
	world = await TestWorld.talking();
	eve = new TestDevice(world.folder, EVE, world.server, world.environment);
});
afterEach(() => {
	eve.store.close();
	world.close();
});

function address(account: string) {
	const registrationId = world.server.devices.get(account)?.registrationId ?? 0;
	return { $typeName: "parley.v1.DeviceAddress" as const, account: uuidToBytes(account), device: 1, registrationId };
}

/** To whom Alice encrypted what she sent. */
function addressed(): string[] {
	return world.server.log.flatMap(({ send, sender }) =>
		sender === ALICE ? send.envelopes.map(({ to }) => uuidFromBytes(to?.account ?? new Uint8Array(16))) : [],
	);
}

test("ROSTER-1 a roster with a third account brings nothing to it", async () => {
	const devices = [ALICE, BOB, EVE].map(address);
	world.server.rosterVersion = 2;
	const members = [ALICE, BOB, EVE].map(uuidToBytes);
	const roster = { $typeName: "parley.v1.Roster" as const, version: 2, devices, members };
	world.alice.inbox.push(says(BOB, { case: "roster", value: roster }));
	await world.settle();
	for (const body of ["secret", "another"]) {
		world.text(world.alice, body);
		await world.settle();
	}
	expect(addressed()).not.toContain(EVE);
});

test("ROSTER-2 a difference with a third account brings nothing to it", async () => {
	world.server.rosterVersion = 2;
	const difference = {
		$typeName: "parley.v1.RosterDifference" as const,
		version: 2,
		missing: [address(EVE)],
		gone: [],
		reregistered: [],
	};
	const code = ErrorCode.STALE_ROSTER;
	const refused = {
		$typeName: "parley.v1.Refused" as const,
		code,
		messageId: new Uint8Array(),
		limit: 0,
		retryAfterMs: 0,
	};
	world.alice.inbox.push(says(BOB, { case: "refused", value: { ...refused, difference } }));
	await world.settle();
	for (const body of ["secret", "another"]) {
		world.text(world.alice, body);
		await world.settle();
	}
	expect(addressed()).not.toContain(EVE);
});

test("CLIENT-5 what was written for another conversation is no message here, and the person is warned", async () => {
	world.server.devices.delete(EVE);
	// As if the server moved an entry of Alice's between her conversations: only the content tells.
	const other = vi.spyOn(Context.prototype, "conversationId").mockReturnValue(new Uint8Array(32).fill(1));
	world.text(world.alice, "for somebody else");
	await world.alice.machine.step(world.alice.inbox.splice(0));
	other.mockRestore();
	world.connect(world.alice);
	await world.settle();
	const shown = history(world.bob.store, ALICE, 10);
	expect(shown.at(-1)).toMatchObject({ number: 3, body: undefined, status: "undecryptable" });
	const warning = { type: "refused", peer: ALICE, code: "WRONG_CONVERSATION", messageId: undefined };
	expect(world.bob.notices).toContainEqual(warning);
	// Nobody is asked for it again, and the conversation goes on.
	world.text(world.alice, "for Bob");
	await world.settle();
	expect(history(world.bob.store, ALICE, 10).map(({ body }) => body)).toEqual(["hello", "hi", undefined, "for Bob"]);
	expect(world.server.log).toHaveLength(4);
});

test("REFUSED-1 ids of a wrong length end no step", async () => {
	const none = new Uint8Array(3);
	const strange = { ...address(BOB), account: none };
	const roster = { $typeName: "parley.v1.Roster" as const, version: 9, devices: [strange], members: [none] };
	const accepted = { $typeName: "parley.v1.Accepted" as const, messageId: none, number: 3, serverTimeMs: 1n };
	await world.alice.machine.step([
		says(BOB, { case: "roster", value: roster }),
		says(BOB, { case: "accepted", value: accepted }),
	]);
	// The conversation goes on once the server says again what is so.
	world.server.devices.delete(EVE);
	world.server.rosterVersion = 10;
	world.connect(world.alice);
	world.text(world.alice, "still here");
	await world.settle();
	expect(history(world.bob.store, ALICE, 1)).toMatchObject([{ body: "still here" }]);
});

test("CLIENT-3 a bundle with another key under the same registration ends the old session, not the machine", async () => {
	const theirs = world.server.claim(EVE);
	const device = theirs?.devices[0];
	if (theirs === undefined || device === undefined) throw new Error("no bundle");
	const registrationId = world.server.devices.get(BOB)?.registrationId ?? 0;
	const bundles = { ...theirs, devices: [{ ...device, registrationId }] };
	world.alice.inbox.push({ type: "prekeys-claimed", account: BOB, bundles });
	await world.settle();
	expect(world.alice.notices).toContainEqual({ type: "identity-changed", peer: BOB, blocked: false });
	world.server.devices.delete(EVE);
	world.text(world.alice, "to whom?");
	await world.settle();
	expect(history(world.alice.store, BOB, 10).at(-1)?.body).toBe("to whom?");
});

test("RETRY-1 whoever shows another key can't ask for what was encrypted for the old one", async () => {
	const wanted = world.text(world.alice, "for the old key only");
	await world.settle();
	// A device comes in Bob's name and with his registration id, which the server knows.
	const registrationId = world.server.devices.get(BOB)?.registrationId ?? 0;
	world.server.devices.delete(EVE);
	const folder = join(world.folder, "false");
	mkdirSync(folder);
	const bob = new TestDevice(folder, BOB, world.server, world.environment);
	const listed = world.server.devices.get(BOB);
	if (listed !== undefined) listed.registrationId = registrationId;
	writeMeta(bob.store, "registration_id", registrationId);
	bob.machine = new ClientMachine(bob.store, world.environment);
	const id = bob.machine.newMessageId();
	enqueue(bob.store, id, ALICE, retryContent(id, 0, uuidToBytes(wanted)), `${ALICE}.1`);
	world.connect(bob);
	await settle([world.alice, bob]);
	expect(world.alice.notices).toContainEqual({ type: "identity-changed", peer: BOB, blocked: false });
	expect(history(bob.store, ALICE, 10).map(({ body }) => body)).not.toContain("for the old key only");
	bob.store.close();
});

test("CLIENT-2 a session with which libsignal can't encrypt is replaced, and the messages go in order", async () => {
	world.server.devices.delete(EVE);
	const known = findIdentity(world.alice.store, BOB);
	if (known === undefined) throw new Error("no identity");
	// libsignal refuses to send to a key that is not the accepted one.
	const other = PrivateKey.generate().getPublicKey().serialize();
	putIdentity(world.alice.store, { ...known, key: other });
	for (const body of ["one", "two", "three"]) world.text(world.alice, body);
	await world.settle();
	expect(history(world.bob.store, ALICE, 10).map(({ body }) => body)).toEqual(["hello", "hi", "one", "two", "three"]);
	expect(world.server.log).toHaveLength(5);
});

test("CLIENT-2 what can't be encrypted at all fails, visibly, and ends neither the machine nor the rest", async () => {
	world.server.devices.delete(EVE);
	const seal = vi.spyOn(Cipher.prototype, "seal").mockResolvedValue(undefined);
	const id = world.text(world.alice, "never");
	await world.settle();
	seal.mockRestore();
	expect(message(world.alice.store, id)?.status).toBe("failed");
	const failed = { type: "refused", peer: BOB, code: "ENCRYPTION_FAILED", messageId: id };
	expect(world.alice.notices).toContainEqual(failed);
	world.text(world.alice, "again");
	await world.settle();
	expect(history(world.bob.store, ALICE, 10).map(({ body }) => body)).toEqual(["hello", "hi", "again"]);
});
