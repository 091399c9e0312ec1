/** Files in a group of three, one of them with two devices, through the Workers as they are deployed. */
import { createHash, randomBytes } from "node:crypto";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { StoredMessage } from "../client/machine/interface.ts";
import { Parley } from "../client/parley.ts";
import { systemClock } from "../client/transport/clock.ts";
import { Api } from "../client/transport/http.ts";
import { MEDIA_PATHS } from "../protocol/media.ts";
import { Backend } from "../scripts/backend.ts";
import { FaultyLine } from "../scripts/faulty_line.ts";
import { until } from "../scripts/people.ts";

const PATIENCE_MS = 60_000;
const TEST_MS_MAX = 120_000;
const FILE_BYTES = 1_500_000;
/** What requests, answers and messages weigh beside a file. */
const OVERHEAD_BYTES = 150_000;
const TITLE = "Files";
const GROUP = `group:${TITLE}`;
const mark = randomBytes(5).toString("hex");
const folder = mkdtempSync(join(tmpdir(), "parley-group-files-"));
const saved = join(folder, "saved");
let backend: Backend;
let line: FaultyLine;
let alice: Parley;
let bob: Parley;
let laptop: Parley;
let carol: Parley;

const open = (name: string) => Parley.open({ dataDir: join(folder, name), server: line.url, environment: {} });
const username = (name: string) => `${name}_${mark}`;

async function person(name: string): Promise<Parley> {
	const parley = await open(name);
	await parley.register(username(name));
	parley.connect();
	return parley;
}

beforeAll(async () => {
	mkdirSync(saved);
	backend = await Backend.start({ stateDir: join(folder, "backend") });
	line = await FaultyLine.to(backend.url);
	alice = await person("alice");
	bob = await person("bob");
	carol = await person("carol");
	laptop = await open("laptop");
	let linking: Promise<unknown> | undefined;
	await laptop.link("laptop", (code) => {
		linking = bob.devices.link(code, async () => true);
	});
	await linking;
	laptop.connect();
	await alice.groups.create(TITLE, [username("bob"), username("carol")]);
	for (const one of [bob, laptop, carol]) await eventually(() => one.groups.list().length === 1, "the group");
	for (const one of [alice, bob, carol, laptop]) one.files.autoDownloadBytes = 0;
}, TEST_MS_MAX);

afterAll(async () => {
	for (const one of [alice, bob, laptop, carol]) await one?.close();
	await line?.close();
	await backend?.stop();
	rmSync(folder, { recursive: true, force: true, maxRetries: 3 });
}, TEST_MS_MAX);

const eventually = (holds: () => boolean | Promise<boolean>, what: string) => until(holds, PATIENCE_MS, what);
const digest = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest("hex");

function written(name: string): { path: string; digest: string } {
	const bytes = randomBytes(FILE_BYTES);
	writeFileSync(join(folder, name), bytes);
	return { path: join(folder, name), digest: digest(bytes) };
}

async function arrived(by: Parley, id: string, to: readonly Parley[]): Promise<void> {
	await by.files.uploaded(id);
	await by.sent(id, PATIENCE_MS);
	for (const one of to) await eventually(() => one.find(id)?.file !== undefined, "the message");
}

/** Sends a new file to the group; returns its message and digest when all have the message. */
async function share(by: Parley, name: string): Promise<{ id: string; digest: string }> {
	const file = written(name);
	const { id } = await by.files.send(GROUP, file.path, { caption: name });
	await arrived(
		by,
		id,
		[alice, bob, laptop, carol].filter((one) => one !== by),
	);
	return { id, digest: file.digest };
}

async function fetched(by: Parley, id: string): Promise<string> {
	const path = (await by.files.download(id, { to: saved })) ?? "";
	const found = digest(readFileSync(path));
	rmSync(path);
	return found;
}

const copies = (name: string): string[] => readdirSync(join(folder, name, "media"));

/** A blob's id is its copy's name at who has fetched it. */
async function blobOf(by: Parley, name: string, id: string): Promise<string> {
	const before = copies(name);
	await by.files.download(id);
	return copies(name).find((each) => !before.includes(each)) ?? "";
}

async function statusOf(blob: string): Promise<number> {
	const api = new Api({ server: line.url, clock: systemClock, credentials: alice.whoami() });
	const headers = { authorization: `Bearer ${await api.accessToken()}` };
	return (await fetch(line.url + MEDIA_PATHS.blob(blob), { method: "HEAD", headers })).status;
}

const shownAt = (one: Parley, id: string): StoredMessage | undefined => one.find(id);

test("ATTACH-1 a file in a group is uploaded once and fetched by all devices of all members", {
	timeout: TEST_MS_MAX,
}, async () => {
	const before = line.count("up");
	const { id, digest: expected } = await share(alice, "once.bin");
	for (const one of [bob, laptop, carol]) {
		expect(shownAt(one, id)).toMatchObject({ body: "once.bin", file: { name: "once.bin", size: FILE_BYTES } });
		expect(await fetched(one, id)).toBe(expected);
	}
	// What one of two devices sends, the other one has too.
	const own = await share(laptop, "own.bin");
	expect(shownAt(bob, own.id)?.outgoing).toBe(true);
	expect(await fetched(bob, own.id)).toBe(own.digest);
	expect(await fetched(alice, own.id)).toBe(own.digest);
	expect(line.count("up") - before).toBeLessThan(2 * FILE_BYTES * 1.06 + 2 * OVERHEAD_BYTES);
});

test("ATTACH-6 MESSAGE-2 a file is forwarded out of a group and back without an upload, and says how often", {
	timeout: TEST_MS_MAX,
}, async () => {
	const { id, digest: expected } = await share(alice, "passed on.bin");
	const before = line.count("up");
	const out = await bob.files.forward(id, username("carol"));
	await arrived(bob, out.id, [carol, laptop]);
	const back = await carol.files.forward(out.id, GROUP, "once more");
	await arrived(carol, back.id, [alice, bob, laptop]);
	expect(line.count("up") - before).toBeLessThan(OVERHEAD_BYTES);
	for (const [one, message, forwards] of [
		[carol, out.id, 1],
		[laptop, out.id, 1],
		[alice, back.id, 2],
		[carol, back.id, 2],
	] as const) {
		const found = one.find(message);
		expect(found === undefined ? undefined : one.messages.view(found)?.forwards).toBe(forwards);
	}
	// The forwarded file outlives the message that it was taken from.
	await alice.messages.deleteForEveryone(id);
	await eventually(() => carol.find(id)?.file === undefined, "the deletion");
	expect(await fetched(alice, back.id)).toBe(expected);
});

test("ATTACH-9 DELETE-2 another own device deletes a file for everyone, and the blob goes though the sender is off", {
	timeout: TEST_MS_MAX,
}, async () => {
	const { id } = await share(bob, "regretted.bin");
	const blob = await blobOf(carol, "carol", id);
	expect(await statusOf(blob)).toBe(200);
	await bob.close();
	const done = await laptop.messages.deleteForEveryone(id);
	await laptop.messages.arrived(done);
	for (const one of [alice, carol, laptop]) await eventually(() => one.find(id)?.file === undefined, "the deletion");
	await eventually(async () => (await statusOf(blob)) === 404, "no blob at the server");
	await eventually(() => !copies("carol").includes(blob), "no copy at Carol");
	bob = await open("bob");
	bob.connect();
	await eventually(() => bob.find(id)?.file === undefined, "the deletion at the sender");
});

test("DELETE-4 ATTACH-8 an admin deletes a member's file, and the member's devices let the blob go", {
	timeout: TEST_MS_MAX,
}, async () => {
	const { id } = await share(bob, "unwanted.bin");
	const blob = await blobOf(carol, "carol", id);
	await expect(carol.messages.deleteForEveryone(id)).rejects.toMatchObject({ code: "bad_argument" });
	const done = await alice.messages.deleteForEveryone(id);
	await alice.messages.arrived(done);
	for (const one of [alice, bob, laptop, carol])
		await eventually(() => one.find(id)?.file === undefined, "the deletion");
	await eventually(async () => (await statusOf(blob)) === 404, "no blob at the server");
});

test("TIMER-2 ATTACH-9 a file disappears with its message, everywhere, though its sender is off", {
	timeout: TEST_MS_MAX,
}, async () => {
	await alice.messages.arrived(await alice.messages.setTimer(GROUP, 4));
	for (const one of [bob, laptop]) await eventually(async () => (await one.messages.timer(GROUP)) === 4, "the timer");
	const file = written("brief.bin");
	const { id } = await bob.files.send(GROUP, file.path);
	await arrived(bob, id, [alice, laptop, carol]);
	const blob = await blobOf(carol, "carol", id);
	await bob.close();
	carol.markAllRead(alice.groups.find(TITLE));
	for (const one of [carol, laptop]) await eventually(() => one.find(id) === undefined, "the end of its time");
	await eventually(async () => (await statusOf(blob)) === 404, "no blob at the server");
	await eventually(() => !copies("carol").includes(blob), "no copy at Carol");
	bob = await open("bob");
	bob.connect();
	await alice.messages.arrived(await alice.messages.setTimer(GROUP, 0));
});
