/** Files between two people, through the Workers as they are deployed, over a line that fails. */
import { createHash, randomBytes } from "node:crypto";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import sharp from "sharp";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { StoredMessage } from "../client/machine/interface.ts";
import type { FileProgress } from "../client/media/transfers.ts";
import { wav } from "../client/media/testing.ts";
import { LIMITS } from "../protocol/limits.ts";
import { Backend } from "../scripts/backend.ts";
import { FaultyLine } from "../scripts/faulty_line.ts";
import { Person, until } from "../scripts/people.ts";

const PATIENCE_MS = 60_000;
const TEST_MS_MAX = 120_000;
const MIB = 1024 * 1024;
/** What requests, answers and messages weigh beside a file. */
const OVERHEAD_BYTES = 300_000;
const folder = mkdtempSync(join(tmpdir(), "parley-files-"));
const saved = join(folder, "saved");
let backend: Backend;
let line: FaultyLine;
let alice: Person;
let bob: Person;
let told: FileProgress[] = [];

beforeAll(async () => {
	mkdirSync(saved);
	backend = await Backend.start({ stateDir: join(folder, "backend") });
	line = await FaultyLine.to(backend.url);
	alice = new Person("alice", folder, line.url, (notice) => notice.type === "file-progress" && told.push(notice));
	bob = new Person("bob", folder, line.url);
	await Promise.all([alice.goOnline(), bob.goOnline()]);
}, TEST_MS_MAX);

afterAll(async () => {
	await Promise.all([alice?.goOffline(), bob?.goOffline()]);
	await line?.close();
	await backend?.stop();
	rmSync(folder, { recursive: true, force: true, maxRetries: 3 });
}, TEST_MS_MAX);

function written(name: string, bytes: Uint8Array): string {
	const path = join(folder, name);
	writeFileSync(path, bytes);
	return path;
}

/** Sends a file, and returns the message as Bob has it. */
async function deliver(path: string, options: Parameters<Person["device"]["files"]["send"]>[2] = {}) {
	const { id } = await alice.device.files.send(bob.name, path, options);
	return arrived(id);
}

async function arrived(id: string): Promise<StoredMessage> {
	await alice.device.files.uploaded(id);
	await alice.device.sent(id, PATIENCE_MS);
	await until(() => bob.device.find(id) !== undefined, PATIENCE_MS, "the message at Bob");
	const message = bob.device.find(id);
	if (message === undefined) throw new Error("no message");
	return message;
}

async function sameAtBob(id: string, path: string): Promise<void> {
	const target = await bob.device.files.download(id, { to: saved });
	expect(digest(target ?? "")).toBe(digest(path));
	rmSync(target ?? "");
}

function digest(path: string): string {
	return createHash("sha256").update(readFileSync(path)).digest("hex");
}

test("ATTACH-1 a photo, a voice message and an empty document arrive as they were, with all that is shown", { timeout: TEST_MS_MAX }, async () => {
	const photo = await sharp({ create: { width: 64, height: 48, channels: 3, background: "#a40" } }).jpeg().toBuffer();
	const path = written("photo.jpg", photo);
	const message = await deliver(path, { caption: "us", altText: "two people" });
	expect(message).toMatchObject({ body: "us", file: { name: "photo.jpg", size: photo.length, width: 64, height: 48, altText: "two people" } });
	expect(message.file?.thumbHash?.length).toBeGreaterThan(4);
	await until(() => bob.device.files.isHere(message.id), PATIENCE_MS, "the photo, which is small, at Bob");
	await sameAtBob(message.id, path);
	expect((await bob.device.files.preview(message.id, 32)).width).toBe(32);

	const voice = written("memo.wav", wav(new Int16Array(8_000).fill(9_000)));
	const spoken = await deliver(voice, { presentation: "voice" });
	expect(spoken.file).toMatchObject({ presentation: "voice", durationMs: 1000 });
	await sameAtBob(spoken.id, voice);

	const empty = written("empty.txt", new Uint8Array());
	await sameAtBob((await deliver(empty, { presentation: "document" })).id, empty);
	await expect(alice.device.files.send(bob.name, empty, { presentation: "voice" })).rejects.toMatchObject({ code: "bad_argument" });
});

test("ATTACH-5 a lost connection, a killed server: what has arrived isn't sent again", { timeout: TEST_MS_MAX }, async () => {
	const path = written("long.bin", randomBytes(40 * MIB));
	const before = line.count("up");
	for (const _ of [1]) line.breakAfter("up", 12 * MIB);
	const { id } = await alice.device.files.send(bob.name, path);
	await until(() => line.count("up") - before > 24 * MIB, PATIENCE_MS, "more than half of it");
	await backend.kill();
	const atKill = told.at(-1)?.done ?? 0;
	backend = await Backend.start({ stateDir: backend.stateDir, port: Number(new URL(backend.url).port) });
	const message = await arrived(id);
	await sameAtBob(message.id, path);
	const again = line.count("up") - before - 42 * MIB;
	console.log({ atKill, again });
	// A crash of the Worker costs what it had not written down (UPLOAD-2); the lost connection costs what was in buffers.
	expect(again).toBeLessThan(20 * MIB);
});
