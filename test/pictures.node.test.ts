/** Pictures of groups, between real clients and the deployed split. */
import { randomBytes } from "node:crypto";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import sharp from "sharp";
import { afterAll, beforeAll, expect, test } from "vitest";
import { main } from "../cli/main.ts";
import { openDataDirectory } from "../client/data_directory.ts";
import { png } from "../client/media/testing.ts";
import { Store } from "../client/store/database.ts";
import { allPictures } from "../client/store/pictures.ts";
import { systemClock } from "../client/transport/clock.ts";
import { Api } from "../client/transport/http.ts";
import { LIMITS } from "../protocol/limits.ts";
import { MEDIA_PATHS } from "../protocol/media.ts";
import { Backend } from "../scripts/backend.ts";
import { searchFolders } from "../scripts/canaries.ts";
import { FaultyLine } from "../scripts/faulty_line.ts";
import { Person, until } from "../scripts/people.ts";
import { collectingTerminal } from "./collecting-terminal.ts";

const PATIENCE_MS = 60_000;
const TEST_MS_MAX = 120_000;
const DAY_MS = 24 * 60 * 60 * 1000;
const TITLE = "Pictured";
const PLACE = "N 47.0 E 8.3, a secret place";
const folder = mkdtempSync(join(tmpdir(), "parley-pictures-"));
const saved = join(folder, "saved");
const people = new Map<string, Person>();
let backend: Backend;
let line: FaultyLine;
let alice: Person;
let bob: Person;
let carol: Person;
let dora: Person;

async function person(name: string): Promise<Person> {
	const one = new Person(name, folder, line.url);
	people.set(name, one);
	await one.goOnline();
	return one;
}

beforeAll(async () => {
	mkdirSync(saved);
	backend = await Backend.start({ stateDir: join(folder, "backend") });
	line = await FaultyLine.to(backend.url);
	alice = await person("alice");
	bob = await person("bob");
	carol = await person("carol");
	dora = await person("dora");
	await alice.device.groups.create(TITLE, [bob.name, carol.name]);
}, TEST_MS_MAX);

afterAll(async () => {
	for (const one of people.values()) await one.goOffline();
	await line?.close();
	await backend?.stop();
	rmSync(folder, { recursive: true, force: true, maxRetries: 3 });
}, TEST_MS_MAX);

const eventually = (holds: () => boolean | Promise<boolean>, what = "the picture") => until(holds, PATIENCE_MS, what);

/** Noise, which no codec makes small, with a place in its metadata. */
async function photo(name: string, width = 1200, height = 900): Promise<string> {
	const raw = { width, height, channels: 3 as const };
	const path = join(folder, name);
	await sharp(randomBytes(width * height * 3), { raw })
		.jpeg()
		.withExif({ IFD0: { ImageDescription: PLACE } })
		.toFile(path);
	return path;
}

function imageAt(one: Person) {
	return one.device.groups.list().find(({ title }) => title === TITLE)?.image;
}

/** Gives the group a picture, and returns its blob. */
async function give(by: Person, path: string, to: readonly Person[]): Promise<string> {
	const before = imageAt(by)?.blob;
	await by.device.groups.setPicture(TITLE, path);
	const blob = imageAt(by)?.blob ?? "";
	expect(blob).not.toBe(before);
	for (const one of to) await eventually(() => imageAt(one)?.blob === blob);
	return blob;
}

async function pictureOf(one: Person): Promise<Buffer> {
	const path = await one.device.groups.savePicture(TITLE, saved);
	const bytes = readFileSync(path);
	rmSync(path);
	return bytes;
}

/** How the server answers who asks for a blob. */
async function statusOf(blob: string): Promise<number> {
	const api = new Api({ server: line.url, clock: systemClock, credentials: alice.device.whoami() });
	const headers = { authorization: `Bearer ${await api.accessToken()}` };
	return (await fetch(line.url + MEDIA_PATHS.blob(blob), { method: "HEAD", headers })).status;
}

test("PICTURE-1 a picture is made small and anew, and all members fetch the same one", {
	timeout: TEST_MS_MAX,
}, async () => {
	const path = await photo("first.jpg");
	expect(readFileSync(path).includes(PLACE)).toBe(true);
	await give(alice, path, [bob, carol]);
	expect(bob.device.groups.info(TITLE).image).toMatchObject({ width: LIMITS.picture_side, contentType: "image/jpeg" });
	const pictures = [await pictureOf(alice), await pictureOf(bob), await pictureOf(carol)];
	for (const picture of pictures) expect(picture.equals(pictures[0] ?? Buffer.of())).toBe(true);
	const { width, height, exif } = await sharp(pictures[0]).metadata();
	expect([width, height, exif]).toEqual([512, 384, undefined]);
	expect(pictures[0]?.length).toBeLessThanOrEqual(LIMITS.picture_bytes);
	expect((await bob.device.groups.picturePreview(TITLE, 64)).width).toBe(64);
	const middle = (pictures[0] ?? Buffer.of()).subarray(2_000, 2_040);
	const { hits } = searchFolders([backend.stateDir], [{ name: "picture", secret: middle }]);
	expect(hits).toEqual([]);
});

test("PICTURE-1 what is no image, or can't be shown, is refused before anything is sent", async () => {
	const bomb = join(folder, "bomb.png");
	writeFileSync(bomb, png(60_000, 60_000, 1));
	const text = join(folder, "text.jpg");
	writeFileSync(text, "no image");
	for (const path of [bomb, text, folder, join(folder, "none")]) {
		await expect(alice.device.groups.setPicture(TITLE, path)).rejects.toMatchObject({ code: "bad_argument" });
	}
});

test("PICTURE-3 the picture of before goes from the server when another one is set, or none", {
	timeout: TEST_MS_MAX,
}, async () => {
	const first = imageAt(alice)?.blob ?? "";
	// A member who is no admin sets it; the admin's account lets the old one go, and holds the new one.
	const second = await give(bob, await photo("second.jpg"), [alice, carol]);
	await eventually(async () => (await statusOf(first)) === 404, "the old picture to go");
	expect(await statusOf(second)).toBe(200);
	await pictureOf(carol);
	await alice.device.groups.setPicture(TITLE, undefined);
	for (const one of [alice, bob, carol]) await eventually(() => imageAt(one) === undefined);
	await eventually(async () => (await statusOf(second)) === 404, "both holds to end");
	await expect(pictureOf(carol)).rejects.toMatchObject({ code: "no_such_picture" });
	await expect(alice.device.groups.setPicture(TITLE, undefined)).rejects.toMatchObject({ code: "refused" });
});

test("PICTURE-3 a picture that the group's rules don't let somebody set goes again", {
	timeout: TEST_MS_MAX,
}, async () => {
	await alice.device.groups.change(TITLE, { do: "rules", rules: { edit: "admins" } });
	await eventually(() => bob.device.groups.info(TITLE).rules.edit === "admins");
	const before = line.count("up");
	await expect(bob.device.groups.setPicture(TITLE, await photo("third.jpg"))).rejects.toMatchObject({
		code: "refused",
	});
	expect(line.count("up") - before).toBeGreaterThan(30_000);
	expect(searchHeld(bob)).toEqual([]);
	await alice.device.groups.change(TITLE, { do: "rules", rules: { edit: "members" } });
	await eventually(() => bob.device.groups.info(TITLE).rules.edit === "members");
});

/** Pictures that somebody's device knows of. */
function searchHeld(one: Person): string[] {
	return one.device.files.pictures.known();
}

test("PICTURE-2 a picture that was changed on the way is refused, and fetched anew", {
	timeout: TEST_MS_MAX,
}, async () => {
	await give(alice, await photo("fourth.jpg"), [bob, carol]);
	line.flipAfter(20_000);
	await expect(pictureOf(carol)).rejects.toMatchObject({ code: "file_tampered" });
	expect((await sharp(await pictureOf(carol)).metadata()).format).toBe("jpeg");
});

test("PICTURE-3 PICTURE-4 who comes sees the picture, though its setter is gone; who was removed sees no later one", {
	timeout: TEST_MS_MAX,
}, async () => {
	const blob = await give(bob, await photo("fifth.jpg"), [alice, carol]);
	await alice.device.groups.remove(TITLE, [carol.name]);
	await eventually(() => carol.device.groups.list()[0]?.member === false, "the removal");
	await eventually(() => alice.device.files.pictures.known().includes(blob), "the admin's hold");
	await bob.device.deleteAccount();
	await bob.goOffline();
	await alice.device.groups.add(TITLE, [dora.name]);
	await eventually(() => imageAt(dora)?.blob === blob);
	expect((await sharp(await pictureOf(dora)).metadata()).width).toBe(512);
	const later = await give(alice, await photo("sixth.jpg"), [dora]);
	// The entry of the change reaches nobody who is out, and so does its state.
	expect(imageAt(carol)?.blob).toBe(blob);
	await carol.device.receive();
	expect(imageAt(carol)?.blob).toBe(blob);
	expect(await statusOf(later)).toBe(200);
});

/**
 * Until when an account holds its pictures, as its device has it; changed where `untilMs` is given. The device is off.
 */
function heldUntil(name: string, untilMs?: number): number[] {
	const { database, key } = openDataDirectory(join(folder, name), undefined);
	const store = Store.open(database, key);
	try {
		if (untilMs !== undefined) store.run("UPDATE pictures SET held_until_ms = ?", [untilMs]);
		return allPictures(store).flatMap((row) => (row.delete_key === null ? [] : [row.held_until_ms]));
	} finally {
		store.close();
	}
}

test("PICTURE-3 a hold is made longer when less than 30 days of it are left, not before", {
	timeout: TEST_MS_MAX,
}, async () => {
	await alice.goOffline();
	for (const [days, renewed] of [
		[31, false],
		[29, true],
	] as const) {
		const untilMs = Date.now() + days * DAY_MS;
		expect(heldUntil("alice", untilMs)).toEqual([untilMs]);
		await alice.goOnline();
		await alice.device.receive();
		await alice.goOffline();
		const [now = 0] = heldUntil("alice");
		expect(now > untilMs).toBe(renewed);
		if (renewed) expect(now).toBeGreaterThan(Date.now() + 59 * DAY_MS);
	}
	await alice.goOnline();
});

test("PICTURE-1 the command line sets, shows, saves and removes a group's picture", {
	timeout: TEST_MS_MAX,
}, async () => {
	await alice.goOffline();
	const run = async (...args: string[]) => {
		const out: string[] = [];
		const terminal = collectingTerminal(out);
		const code = await main(["--json", "--data", join(folder, "alice"), "--server", line.url, ...args], terminal);
		const [object]: unknown[] = out.map((text) => JSON.parse(text));
		return { code, object };
	};
	const path = await photo("seventh.jpg", 300, 200);
	const set = await run("group", "picture", TITLE, path);
	expect(set).toMatchObject({ code: 0, object: { type: "group", picture: { width: 300, height: 200, here: false } } });
	expect(JSON.stringify(set.object)).not.toContain('"key"');
	const to = join(saved, "by_command.jpg");
	expect(await run("group", "picture", TITLE, "--to", to)).toMatchObject({ code: 0, object: { path: to } });
	expect((await sharp(to).metadata()).width).toBe(300);
	expect(await run("group", "info", TITLE)).toMatchObject({ code: 0, object: { picture: { here: true } } });
	expect(await run("group", "picture", TITLE, path, "--remove")).toMatchObject({ code: 2 });
	expect(await run("group", "picture", TITLE, "--remove")).toMatchObject({ code: 0, object: { picture: null } });
	expect(await run("group", "picture", TITLE, "--to", to)).toMatchObject({ code: 4 });
	await alice.goOnline();
});
