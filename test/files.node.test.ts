/** Files between two people, through the Workers as they are deployed, over a line that fails. */
import { spawn } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import {
	mkdirSync,
	mkdtempSync,
	readdirSync,
	readFileSync,
	rmSync,
	statSync,
	truncateSync,
	utimesSync,
	writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import sharp from "sharp";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { StoredMessage } from "../client/machine/interface.ts";
import { blobSize } from "../client/media/blob.ts";
import { png, wav } from "../client/media/testing.ts";
import { Parley } from "../client/parley.ts";
import { systemClock } from "../client/transport/clock.ts";
import { Api } from "../client/transport/http.ts";
import { LIMITS } from "../protocol/limits.ts";
import { MEDIA_PATHS } from "../protocol/media.ts";
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

beforeAll(async () => {
	mkdirSync(saved);
	backend = await Backend.start({ stateDir: join(folder, "backend") });
	line = await FaultyLine.to(backend.url);
	alice = new Person("alice", folder, line.url);
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

test("ATTACH-1 a photo, a voice message and an empty document arrive as they were, with all that is shown", {
	timeout: TEST_MS_MAX,
}, async () => {
	const photo = await sharp({ create: { width: 64, height: 48, channels: 3, background: "#a40" } })
		.jpeg()
		.toBuffer();
	const path = written("photo.jpg", photo);
	const message = await deliver(path, { caption: "us", altText: "two people" });
	expect(message).toMatchObject({
		body: "us",
		file: { name: "photo.jpg", size: photo.length, width: 64, height: 48, altText: "two people" },
	});
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
	await expect(alice.device.files.send(bob.name, empty, { presentation: "voice" })).rejects.toMatchObject({
		code: "bad_argument",
	});
});

test("ATTACH-5 a lost connection, a killed server: what has arrived isn't sent again", {
	timeout: TEST_MS_MAX,
}, async () => {
	const path = written("long.bin", randomBytes(40 * MIB));
	const before = line.count("up");
	line.breakAfter("up", 12 * MIB);
	const { id } = await alice.device.files.send(bob.name, path);
	await until(() => line.count("up") - before > 24 * MIB, PATIENCE_MS, "more than half of it");
	await backend.kill();
	backend = await Backend.start({ stateDir: backend.stateDir, port: Number(new URL(backend.url).port) });
	await sameAtBob((await arrived(id)).id, path);
	// A crash of the Worker costs what it had not written down (UPLOAD-2), a lost connection what was in its buffers.
	expect(line.count("up") - before).toBeLessThan(blobSize(40 * MIB) + 20 * MIB);
});

test("ATTACH-5 a killed client goes on where it was", { timeout: TEST_MS_MAX }, async () => {
	const path = written("killed.bin", randomBytes(40 * MIB));
	const name = bob.name;
	await alice.goOffline();
	const before = line.count("up");
	const sending = spawn(process.execPath, [
		...["cli/parley.js", "--data", join(folder, "alice"), "--server", line.url],
		...["--json", "send", name, "--file", path, "--caption", "killed"],
	]);
	const ended = new Promise((resolve) => sending.once("exit", resolve));
	await until(() => line.count("up") - before > 32 * MIB, PATIENCE_MS, "most of it");
	sending.kill("SIGKILL");
	await ended;
	await alice.goOnline();
	const [message] = await alice.device.history(name, 1);
	expect(message).toMatchObject({ status: "queued", body: "killed" });
	const got = await arrived(message?.id ?? "");
	// Between here and the Worker are buffers: what is in them doesn't count as arrived.
	expect(line.count("up") - before).toBeLessThan(blobSize(40 * MIB) + 24 * MIB);
	await sameAtBob(got.id, path);
});

test("ATTACH-5 the same file sent again after an interruption goes on as the same message", {
	timeout: TEST_MS_MAX,
}, async () => {
	const [path, copy] = [written("again.bin", randomBytes(1000)), written("again copy.bin", randomBytes(1000))];
	const times = statSync(path);
	await alice.goOffline();
	/** One run of a program without a connection: what it sends, it leaves. */
	const run = async (...sent: [string, string][]): Promise<string[]> => {
		const away = { dataDir: join(folder, "alice"), server: "http://127.0.0.1:1", environment: {} };
		const parley = await Parley.open(away);
		const ids: string[] = [];
		for (const [file, caption] of sent) ids.push((await parley.files.send(bob.name, file, { caption })).id);
		await parley.close();
		return ids;
	};
	// In one program the same twice is two messages.
	const [one = "", two = ""] = await run([path, "us"], [path, "us"]);
	expect(one).not.toBe(two);
	const again = await run([path, "us"], [path, "us"], [path, "us"], [path, "them"], [copy, "us"]);
	expect(again.slice(0, 2)).toEqual([one, two]);
	expect(new Set(again).size).toBe(5);
	utimesSync(path, times.atime, new Date(0));
	const [changed = ""] = await run([path, "us"]);
	expect(again).not.toContain(changed);
	const parley = await Parley.open({ dataDir: join(folder, "alice"), environment: {} });
	for (const id of [...again, changed]) await parley.messages.deleteHere(id);
	await parley.close();
	await alice.goOnline();
});

test("ATTACH-3 a download over a line that breaks goes on where it was", { timeout: TEST_MS_MAX }, async () => {
	const path = written("down.bin", randomBytes(30 * MIB));
	const { id } = await deliver(path);
	const before = line.count("down");
	line.breakAfter("down", 7 * MIB);
	const stopping = new AbortController();
	const first = bob.device.files.download(id, { to: saved, signal: stopping.signal });
	await until(() => line.count("down") - before > 18 * MIB, PATIENCE_MS, "more than half of it");
	// Somebody ends the command, and asks again later.
	stopping.abort(new Error("enough"));
	await expect(first).rejects.toThrow("enough");
	expect(readdirSync(saved)).toEqual([]);
	await bob.goOffline();
	await bob.goOnline();
	await sameAtBob(id, path);
	expect(line.count("down") - before).toBeLessThan(blobSize(30 * MIB) + 8 * MIB);
	// From the copy, now: nothing comes down but news.
	const after = line.count("down");
	await sameAtBob(id, path);
	expect(line.count("down") - after).toBeLessThan(OVERHEAD_BYTES);
});

test("ATTACH-3 a bit that is flipped on the way is noticed, and the next attempt begins anew", {
	timeout: TEST_MS_MAX,
}, async () => {
	const path = written("flipped.bin", randomBytes(12 * MIB));
	const { id } = await deliver(path);
	line.flipAfter(5 * MIB);
	await expect(bob.device.files.download(id, { to: saved })).rejects.toMatchObject({ code: "file_tampered" });
	expect(readdirSync(saved)).toEqual([]);
	await sameAtBob(id, path);
});

test("ATTACH-6 a file that is there already is not uploaded again, and outlives the first message", {
	timeout: TEST_MS_MAX,
}, async () => {
	const path = written("again.bin", randomBytes(5 * MIB));
	const first = await deliver(path);
	const before = line.count("up");
	const second = await deliver(path, { caption: "once more" });
	expect(second).toMatchObject({ body: "once more", file: { name: "again.bin" } });
	const { id } = await alice.device.files.forward(first.id, bob.name);
	const third = await arrived(id);
	// What Bob has got he can send on too.
	await sameAtBob(third.id, path);
	const back = await bob.device.files.send(alice.name, path);
	await bob.device.files.uploaded(back.id);
	await bob.device.sent(back.id, PATIENCE_MS);
	expect(line.count("up") - before).toBeLessThan(OVERHEAD_BYTES);
	await alice.device.files.remove(first.id);
	await alice.device.files.remove(second.id);
	await bob.device.files.remove(third.id);
	await sameAtBob(third.id, path);
	await alice.device.files.remove(third.id);
	await bob.device.files.remove(back.id);
	await expect(bob.device.files.download(third.id)).rejects.toMatchObject({ code: "file_gone" });
	await expect(alice.device.files.forward(first.id, bob.name)).rejects.toMatchObject({ code: "file_gone" });
});

/** The encrypted copies on somebody's disk. */
const copies = (name: string): string[] => readdirSync(join(folder, name, "media"));

/** How the server answers who asks for a blob. */
async function statusOf(blob: string): Promise<number> {
	const api = new Api({ server: line.url, clock: systemClock, credentials: alice.device.whoami() });
	const headers = { authorization: `Bearer ${await api.accessToken()}` };
	return (await fetch(line.url + MEDIA_PATHS.blob(blob), { method: "HEAD", headers })).status;
}

test("ATTACH-8 a file goes with its message, here and at the server", { timeout: TEST_MS_MAX }, async () => {
	const before = { alice: copies("alice"), bob: copies("bob") };
	const { id } = await deliver(written("regretted.bin", randomBytes(100_000)));
	await until(() => bob.device.files.isHere(id), PATIENCE_MS, "the file, which is small, at Bob");
	const [blob = ""] = copies("bob").filter((name) => !before.bob.includes(name));
	expect(await statusOf(blob)).toBe(200);
	await alice.device.messages.deleteForEveryone(id);
	for (const name of ["alice", "bob"] as const) {
		await until(() => copies(name).length === before[name].length, PATIENCE_MS, `no copy at ${name}`);
	}
	expect(bob.device.find(id)?.file).toBeUndefined();
	await until(async () => (await statusOf(blob)) === 404, PATIENCE_MS, "no blob at the server");
});

test("ATTACH-7 what a message calls a photo, and is none, gets no name on disk", { timeout: TEST_MS_MAX }, async () => {
	// A sender without scruples: the document that it is becomes a photo of any name in the message.
	const path = written("bomb.png", png(60_000, 60_000, 1));
	await expect(alice.device.files.send(bob.name, path)).rejects.toMatchObject({ code: "bad_argument" });
	const { id } = await deliver(path, { presentation: "document" });
	const target = await bob.device.files.download(id, { to: saved });
	expect(target).toBe(join(saved, "bomb.png"));
	await expect(bob.device.files.preview(id, 100)).rejects.toMatchObject({ code: "file_unsafe" });
});

test("ATTACH-5 a file that is too large, missing, or no file is refused before anything is sent", async () => {
	const large = written("large.bin", new Uint8Array());
	truncateSync(large, LIMITS.attachment_bytes + 1);
	for (const path of [large, join(folder, "none"), folder]) {
		await expect(alice.device.files.send(bob.name, path)).rejects.toMatchObject({ code: "bad_argument" });
	}
	const long = { caption: "x".repeat(LIMITS.caption_bytes + 1) };
	await expect(alice.device.files.send(bob.name, written("a", Buffer.of(1)), long)).rejects.toMatchObject({
		code: "bad_argument",
	});
});

test("ATTACH-3 a file is read in order while it arrives", { timeout: TEST_MS_MAX }, async () => {
	const path = written("stream.bin", randomBytes(10 * MIB));
	const { id } = await deliver(path);
	const before = line.count("down");
	const file = readFileSync(path);
	let [at, atFirst] = [0, 0];
	for await (const piece of bob.device.files.read(id)) {
		if (at === 0) atFirst = line.count("down") - before;
		expect(file.subarray(at, at + piece.length).equals(piece)).toBe(true);
		at += piece.length;
	}
	expect(at).toBe(file.length);
	expect(atFirst).toBeLessThan(9 * MIB);
});
