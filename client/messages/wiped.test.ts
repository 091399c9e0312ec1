/** What has disappeared or was deleted is nowhere in the device's file: not in freed pages, not in SQLite's log. */
import { createDecipheriv } from "node:crypto";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { afterEach, beforeEach, expect, test } from "vitest";
import { ALICE, BOB, KEY, type TestDevice, TestWorld } from "../machine/testing.ts";
import { Store } from "../store/database.ts";
import { history } from "../store/queries.ts";

/**
 * SQLCipher's pages: ciphertext, then the IV and the MAC in the last 80 bytes; the first begins with 16 bytes of salt.
 */
const PAGE = 4_096;
const RESERVED = 80;
const SALT = 16;
/** Of SQLite's log: a header, and one before each page. */
const LOG_HEADER = 32;
const FRAME_HEADER = 24;

let world: TestWorld;
beforeEach(async () => {
	world = await TestWorld.talking();
});
afterEach(() => world.close());

function decrypted(page: Uint8Array, first: boolean): Buffer {
	const iv = page.subarray(PAGE - RESERVED, PAGE - RESERVED + 16);
	const decipher = createDecipheriv("aes-256-cbc", KEY, iv).setAutoPadding(false);
	return Buffer.concat([decipher.update(page.subarray(first ? SALT : 0, PAGE - RESERVED)), decipher.final()]);
}

/** All that is in the file and its log, whether SQLite still needs it or not. */
function onDisk({ path }: TestDevice): string {
	const pages: Buffer[] = [];
	const file = readFileSync(path);
	for (let at = 0; at < file.length; at += PAGE) pages.push(decrypted(file.subarray(at, at + PAGE), at === 0));
	const log = existsSync(`${path}-wal`) ? readFileSync(`${path}-wal`) : Buffer.alloc(0);
	for (let at = LOG_HEADER; at + FRAME_HEADER + PAGE <= log.length; at += FRAME_HEADER + PAGE) {
		const start = at + FRAME_HEADER;
		pages.push(decrypted(log.subarray(start, start + PAGE), log.readUInt32BE(at) === 1));
	}
	return Buffer.concat(pages).toString("latin1");
}

const both = () => [world.alice, world.bob];
const bodies = (device: TestDevice) =>
	history(device.store, device === world.alice ? BOB : ALICE, 1_000).map(({ body }) => body);

/** The next entry comes to Bob damaged. */
function damageNext(): void {
	let damaged = 1;
	world.server.onEntry = (account, entry) => {
		if (account !== BOB || damaged-- <= 0) return entry;
		const copy = structuredClone(entry);
		for (const envelope of copy.send.envelopes) envelope.ciphertext[20] = (envelope.ciphertext[20] ?? 0) ^ 1;
		return copy;
	};
}

/** Both have read everything, and time passes. */
async function readAndPass(seconds: number): Promise<void> {
	for (const device of both()) {
		const peer = device === world.alice ? BOB : ALICE;
		device.inbox.push({ type: "mark-read", peer, upTo: world.server.log.length });
	}
	await world.settle();
	world.nowMs += seconds * 1_000;
	for (const device of both()) device.inbox.push({ type: "tick" });
	await world.settle();
}

test("TIMER-2 nothing of what has disappeared is left in the file: text, edits, quotes, a poll's options", async () => {
	const stays = world.text(world.alice, "KEPTTEXT");
	world.wish(world.alice, { kind: "timer", seconds: 60 });
	await world.settle();
	for (let count = 0; count < 60; count++) {
		const body = `GONETEXT ${count} ${"x".repeat((count * 37) % 500)}`;
		if (count % 3 === 0) world.text(count % 2 === 0 ? world.alice : world.bob, body);
		else world.draft(world.alice, { body, replyTo: { author: ALICE, id: stays } });
		if (count % 10 === 0) await world.settle();
	}
	const poll = { question: "GONETEXT?", options: ["GONETEXT a", "GONETEXT b"], multiple: false };
	const id = world.draft(world.alice, { body: "", poll });
	const edited = world.text(world.alice, "GONETEXT first");
	await world.settle();
	world.wish(world.alice, { kind: "edit", message: { author: ALICE, id: edited }, body: "GONETEXT two", ranges: [] });
	world.wish(world.bob, { kind: "vote", message: { author: ALICE, id }, options: [1] });
	await world.settle();
	for (const device of both()) expect(onDisk(device)).toContain("GONETEXT");
	await readAndPass(61);
	for (const device of both()) {
		expect(bodies(device)).toEqual(["hello", "hi", "KEPTTEXT"]);
		const left = onDisk(device);
		expect(left).toContain("KEPTTEXT");
		expect(left).not.toContain("GONETEXT");
	}
});

test("TIMER-2 TIMER-3 what was sent again to who could not read it disappears too, and is not sent once more", async () => {
	world.wish(world.alice, { kind: "timer", seconds: 60 });
	await world.settle();
	damageNext();
	world.text(world.alice, "GONETEXT");
	await world.settle();
	// It was sent again, and is kept for a third time.
	expect(bodies(world.bob)).toEqual(["hello", "hi", "GONETEXT"]);
	await readAndPass(61);
	const resends = world.alice.store.all<{ content: Uint8Array<ArrayBuffer> }>("SELECT content FROM resendable");
	expect(resends.length).toBeGreaterThan(0);
	for (const { content } of resends) expect(Buffer.from(content).toString("latin1")).not.toContain("GONETEXT");
	for (const device of both()) expect(onDisk(device)).not.toContain("GONETEXT");
});

test.each([
	["waits to be sent again", true],
	["is asked for after that", false],
])("DELETE-2 a text that %s when it is deleted for everyone is not sent", async (_what, answered) => {
	damageNext();
	const id = world.text(world.alice, "GONETEXT");
	await world.settle(world.alice);
	// Bob asks, and while Alice's answer waits for a connection she deletes the message.
	await world.settle(world.bob);
	const asked = answered ? world.alice.inbox.splice(0) : [];
	await world.alice.machine.step([...asked, { type: "conversation-closed", peer: BOB }]);
	world.alice.open.clear();
	world.alice.inbox = [];
	const targets = world.alice.store.all("SELECT target FROM outbox");
	expect(targets).toEqual(answered ? [{ target: `${BOB}.1` }] : []);
	world.wish(world.alice, { kind: "delete", message: { author: ALICE, id } });
	await world.alice.machine.step(world.alice.inbox.splice(0));
	world.connect(world.alice);
	await world.settle();
	for (const device of both()) expect(onDisk(device)).not.toContain("GONETEXT");
	expect(bodies(world.bob)).toEqual(["hello", "hi"]);
});

test("DELETE-1 DELETE-2 nothing of a deleted message is left in the file, deleted here or for everyone", async () => {
	const here = world.text(world.alice, "GONEHERE");
	const id = world.text(world.alice, "GONETEXT first");
	await world.settle();
	world.wish(world.alice, { kind: "edit", message: { author: ALICE, id }, body: "GONETEXT two", ranges: [] });
	await world.settle();
	world.wish(world.alice, { kind: "delete", message: { author: ALICE, id } });
	world.alice.inbox.push({ type: "delete-here", peer: BOB, message: { author: ALICE, id: here } });
	await world.settle();
	for (const device of both()) expect(onDisk(device)).not.toContain("GONETEXT");
	expect(onDisk(world.alice)).not.toContain("GONEHERE");
	expect(bodies(world.bob)).toContain("GONEHERE");
});

test("TIMER-2 what a killed process has left in the log goes when the next one begins", async () => {
	const { path, store } = world.bob;
	world.text(world.alice, "GONETEXT");
	await world.settle();
	// As if the process had been killed between the commit and the emptying of the log.
	store.run("DELETE FROM messages WHERE body = 'GONETEXT'");
	expect(onDisk(world.bob)).toContain("GONETEXT");
	const [file, log] = [readFileSync(path), readFileSync(`${path}-wal`)];
	store.close();
	writeFileSync(path, file);
	writeFileSync(`${path}-wal`, log);
	world.bob.store = Store.open(path, KEY);
	expect(onDisk(world.bob)).not.toContain("GONETEXT");
});

test("TIMER-2 a file from which something has disappeared is written anew when it is closed", async () => {
	const free = () => world.alice.store.value<number>("SELECT freelist_count AS value FROM pragma_freelist_count");
	for (let count = 0; count < 40; count++) world.text(world.alice, "x".repeat(1_000));
	await world.settle();
	for (const { id } of history(world.alice.store, BOB, 40)) {
		world.alice.inbox.push({ type: "delete-here", peer: BOB, message: { author: ALICE, id } });
	}
	await world.settle();
	expect(free()).toBeGreaterThan(0);
	const left = bodies(world.alice);
	world.alice.restart();
	expect(free()).toBe(0);
	expect(bodies(world.alice)).toEqual(left);
});
