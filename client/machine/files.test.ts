import { randomBytes } from "node:crypto";
import { create } from "@bufbuild/protobuf";
import { afterEach, beforeEach, expect, test } from "vitest";
import { type Attachment, AttachmentSchema } from "../../protocol/gen/content_pb.js";
import { chunkBytesFor, incrementalMacSize } from "../media/blob.ts";
import { findBlob, findHold } from "../store/blobs.ts";
import { history } from "../store/queries.ts";
import { allUploads } from "../store/uploads.ts";
import type { MachineEvent } from "./interface.ts";
import { ALICE, BOB, TestWorld } from "./testing.ts";

let world: TestWorld;
beforeEach(() => {
	world = new TestWorld();
});
afterEach(() => world.close());

const SIZE = 1000;
const UPLOAD = { source: "/a", mtime_ms: 1, name: "up", iv: new Uint8Array(16), delete_key: "d" };

/** Hands Alice's machine an event, and settles. */
async function perform(event: MachineEvent): Promise<void> {
	world.alice.inbox.push(event);
	await world.settle();
}

function pointer(): Attachment {
	return create(AttachmentSchema, {
		blob: randomBytes(32).toString("base64url"),
		key: randomBytes(64),
		digest: randomBytes(32),
		incrementalMac: randomBytes(incrementalMacSize(SIZE, chunkBytesFor(SIZE))),
		chunkBytes: chunkBytesFor(SIZE),
		size: BigInt(SIZE),
		contentType: "image/png",
		fileName: "a.png",
		caption: "look",
	});
}

test("ATTACH-5 a message waits until its file is at the server, and goes out once", async () => {
	world.connect(world.alice);
	world.connect(world.bob);
	const id = world.alice.machine.newMessageId();
	await perform({ type: "queue-file", id, peer: BOB, pointer: pointer(), upload: UPLOAD });
	world.text(world.alice, "meanwhile");
	await world.settle();
	expect(history(world.bob.store, ALICE, 10).map((message) => message.body)).toEqual(["meanwhile"]);
	expect(allUploads(world.alice.store)).toMatchObject([{ message: id, sealed: 0, path: null }]);
	world.alice.restart();
	world.connect(world.alice);
	const whole = pointer();
	const event = { type: "send-file" as const, id, peer: BOB, pointer: whole, deleteKey: "d" };
	world.alice.inbox.push(event);
	await perform(event);
	await world.settle();
	await perform({ type: "send-file", id, peer: BOB, pointer: whole, deleteKey: "d" });
	await world.settle();
	const received = history(world.bob.store, ALICE, 10);
	expect(received).toHaveLength(2);
	expect(received[1]).toMatchObject({
		id,
		body: "look",
		file: { name: "a.png", size: SIZE, contentType: "image/png" },
	});
	expect(allUploads(world.alice.store)).toEqual([]);
	expect(findBlob(world.alice.store, whole.blob)).toMatchObject({ name: "up", whole: 1 });
	expect(findHold(world.alice.store, id)).toEqual({ blob: whole.blob, delete_key: "d" });
});

test("ATTACH-5 a file that can't be brought to the server leaves a failed message", async () => {
	const id = world.alice.machine.newMessageId();
	await perform({ type: "queue-file", id, peer: BOB, pointer: pointer(), upload: UPLOAD });
	await perform({ type: "fail-file", id, peer: BOB, code: "FILE_CHANGED" });
	expect(history(world.alice.store, BOB, 1)).toMatchObject([{ id, status: "failed" }]);
	expect(allUploads(world.alice.store)).toEqual([]);
});

test("RETRY-1 a file's message that can't be decrypted is sent again with all that opens the file", async () => {
	world.connect(world.alice);
	world.connect(world.bob);
	world.text(world.alice, "hello");
	await world.settle();
	let left = 1;
	world.server.onEntry = (account, entry) => {
		if (account !== BOB || left-- <= 0) return entry;
		const copy = structuredClone(entry);
		for (const envelope of copy.send.envelopes) envelope.ciphertext.fill(0, -8);
		return copy;
	};
	const id = world.alice.machine.newMessageId();
	await perform({ type: "send-file", id, peer: BOB, pointer: pointer(), deleteKey: "d" });
	await world.settle();
	expect(left).toBeLessThan(1);
	expect(history(world.bob.store, ALICE, 1)).toMatchObject([
		{ id, number: 2, status: "received", file: { size: SIZE } },
	]);
});

test("ATTACH-4 a pointer that leads nowhere leaves a placeholder, and nobody is asked again", async () => {
	world.connect(world.alice);
	world.connect(world.bob);
	const id = world.alice.machine.newMessageId();
	const bad = create(AttachmentSchema, { ...pointer(), blob: "../x" });
	await perform({ type: "send-file", id, peer: BOB, pointer: bad, deleteKey: "d" });
	await world.settle();
	const received = history(world.bob.store, ALICE, 10);
	expect(received).toMatchObject([{ status: "undecryptable" }]);
	expect(received[0]?.file).toBeUndefined();
	expect(world.server.log).toHaveLength(1);
});

test.each(["here", "for everyone"])(
	"DELETE-1 DELETE-2 a file that is deleted %s while it goes up is never sent",
	async (where) => {
		world.connect(world.alice);
		world.connect(world.bob);
		const id = world.alice.machine.newMessageId();
		await perform({ type: "queue-file", id, peer: BOB, pointer: pointer(), upload: UPLOAD });
		const message = { author: ALICE, id };
		if (where === "here") await perform({ type: "delete-here", peer: BOB, message });
		else world.wish(world.alice, { kind: "delete", message });
		await world.settle();
		await perform({ type: "send-file", id, peer: BOB, pointer: pointer(), deleteKey: "d" });
		await world.settle();
		expect(world.server.log).toEqual([]);
		expect(history(world.alice.store, BOB, 10).map(({ file }) => file)).toEqual(where === "here" ? [] : [undefined]);
	},
);
