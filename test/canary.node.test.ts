/** The deployed split, with real clients, and what it leaves on the server's disk. */
import { randomBytes } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { openDataDirectory } from "../client/data_directory.ts";
import type { ParleyNotice } from "../client/parley.ts";
import { Store } from "../client/store/database.ts";
import { Backend } from "../scripts/backend.ts";
import { searchFolders } from "../scripts/canaries.ts";
import { Person, until } from "../scripts/people.ts";

const PATIENCE_MS = 30_000;
const TEST_MS_MAX = 90_000;
const folder = mkdtempSync(join(tmpdir(), "parley-canary-"));
const stateDir = join(folder, "backend");
const mark = `canary-${randomBytes(8).toString("hex")}`;
let backend: Backend;
let alice: Person;
let bob: Person;
/** Bob's lines, in the order in which they opened: "account", or the peer of a conversation. */
const lines: string[] = [];

beforeAll(async () => {
	backend = await Backend.start({ stateDir });
	[alice, bob] = [new Person("alice", folder, backend.url), new Person("bob", folder, backend.url, note)];
	await Promise.all([alice.goOnline(), bob.goOnline()]);
}, TEST_MS_MAX);

afterAll(async () => {
	await Promise.all([alice?.goOffline(), bob?.goOffline()]);
	await backend?.stop();
	rmSync(folder, { recursive: true, force: true, maxRetries: 3 });
}, TEST_MS_MAX);

test("two people talk through the four Workers as they are deployed", { timeout: TEST_MS_MAX }, async () => {
	await alice.device.send(bob.name, `${mark} one`);
	await bob.hear(alice, 1, PATIENCE_MS);
	await bob.device.send(alice.name, `${mark} two`);
	await alice.hear(bob, 1, PATIENCE_MS);
	expect((await bob.heard(alice)).map((message) => message.body)).toEqual([`${mark} one`]);
});

function note(notice: ParleyNotice): void {
	if (notice.type === "line-opened") lines.push(notice.peer ?? "account");
	if (notice.type === "account-caught-up") lines.push("all told");
	if (notice.type === "log-went-back") lines.push(`went back to ${notice.to}`);
}

test("NUDGE-1 NUDGE-2 NUDGE-3 news comes by the account's socket, and is not told again once it was seen", {
	timeout: TEST_MS_MAX,
}, async () => {
	const peer = alice.device.whoami().accountId;
	// Only the account's line was open when Alice wrote for the first time.
	expect(lines.slice(0, 3)).toEqual(["account", "all told", peer]);
	await bob.goOffline();
	lines.length = 0;
	await bob.goOnline();
	await until(() => lines.includes("all told"), PATIENCE_MS, "the account's news");
	expect(lines).toEqual(["account", "all told"]);
	await alice.device.send(bob.name, `${mark} nudge`);
	await bob.hear(alice, 2, PATIENCE_MS);
	expect(lines).toEqual(["account", "all told", peer]);
});

test("DURABLE-1 what was accepted survives a SIGKILL of the whole backend", { timeout: TEST_MS_MAX }, async () => {
	await bob.goOffline();
	const { id } = await alice.device.send(bob.name, `${mark} three`);
	expect((await alice.device.sent(id, PATIENCE_MS)).number).toBe(4);
	await backend.kill();
	backend = await Backend.start({ stateDir, port: Number(new URL(backend.url).port) });
	await bob.goOnline();
	await bob.hear(alice, 3, PATIENCE_MS);
	const heard = (await bob.heard(alice)).map((message) => message.body);
	expect(heard).toEqual([`${mark} one`, `${mark} nudge`, `${mark} three`]);
});

test("CLIENT-6 a position beyond the log's head is given up, and what waited arrives", {
	timeout: TEST_MS_MAX,
}, async () => {
	const peer = alice.device.whoami().accountId;
	await bob.goOffline();
	const { id } = await alice.device.send(bob.name, `${mark} hidden`);
	await alice.device.sent(id, PATIENCE_MS);
	const { database, key } = openDataDirectory(join(folder, "bob"), undefined);
	const store = Store.open(database, key);
	store.run("UPDATE conversations SET cursor = 4000000000 WHERE peer = ?", [peer]);
	store.close();
	await bob.goOnline();
	await bob.hear(alice, 4, PATIENCE_MS);
	expect((await bob.heard(alice)).at(-1)?.body).toBe(`${mark} hidden`);
	expect(lines).toContain("went back to 5");
});

/** Bytes of a file that Alice has sent. */
const photo = randomBytes(200_000);

test("ATTACH-1 a file arrives, and forwarding it brings nothing to the server", { timeout: TEST_MS_MAX }, async () => {
	const path = join(folder, `${mark}.bin`);
	writeFileSync(path, photo);
	const described = { caption: `${mark} caption`, altText: `${mark} alt` };
	const { id } = await alice.device.files.send(bob.name, path, described);
	await alice.device.files.uploaded(id);
	await until(() => bob.device.find(id) !== undefined && bob.device.files.isHere(id), PATIENCE_MS, "the file at Bob");
	expect(bob.device.find(id)).toMatchObject({
		body: `${mark} caption`,
		file: { name: `${mark}.bin`, size: photo.length },
	});
	const forwarded = await bob.device.files.forward(id, alice.name);
	expect((await bob.device.sent(forwarded.id, PATIENCE_MS)).number).toBeGreaterThan(0);
});

test("ACCOUNT-2 ATTACH-1 storage and logs hold no text, no name, no key and nothing of a file", {
	timeout: TEST_MS_MAX,
}, async () => {
	const account = alice.device.whoami().accountId;
	await Promise.all([alice.goOffline(), bob.goOffline()]);
	const secrets = [alice, bob].flatMap((person) => [
		{ name: "name", secret: person.name },
		{ name: "identity key", secret: person.secrets().identityKey },
		{ name: "device secret", secret: person.secrets().deviceSecret },
	]);
	const bytes = { name: "a piece of the file", secret: photo.subarray(100_000, 100_048) };
	const found = (secret: string) => searchFolders([stateDir], [{ name: "control", secret }]).hits.length;
	expect(found(account), "the search finds what is there").toBeGreaterThan(0);
	expect(searchFolders([stateDir], [{ name: "text", secret: mark }, bytes, ...secrets]).hits).toEqual([]);
});
