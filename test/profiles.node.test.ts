/** Profiles between real clients, over the deployed split: directly, in groups, and on own devices. */
import { randomBytes } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import sharp from "sharp";
import { afterAll, beforeAll, expect, test } from "vitest";
import { main } from "../cli/main.ts";
import { Parley } from "../client/parley.ts";
import { systemClock } from "../client/transport/clock.ts";
import { Api } from "../client/transport/http.ts";
import { MEDIA_PATHS } from "../protocol/media.ts";
import { Backend } from "../scripts/backend.ts";
import { searchFolders } from "../scripts/canaries.ts";
import { until } from "../scripts/people.ts";
import { collectingTerminal } from "./collecting-terminal.ts";

const PATIENCE_MS = 60_000;
const TEST_MS_MAX = 120_000;
const mark = randomBytes(5).toString("hex");
const NAME = `Alice Liddell ${mark}`;
const ABOUT = `down the rabbit hole ${mark}`;
const folder = mkdtempSync(join(tmpdir(), "parley-profiles-"));
const stateDir = join(folder, "backend");
const open = new Map<string, Parley>();
let backend: Backend;
let alice: Parley;
let bob: Parley;
let carol: Parley;

async function device(name: string): Promise<Parley> {
	const parley = await Parley.open({ dataDir: join(folder, name), server: backend.url, environment: {} });
	open.set(name, parley);
	return parley;
}

async function person(name: string): Promise<Parley> {
	const parley = await device(name);
	await parley.register(`${name}_${mark}`);
	parley.connect();
	return parley;
}

beforeAll(async () => {
	backend = await Backend.start({ stateDir });
	alice = await person("alice");
	bob = await person("bob");
	carol = await person("carol");
}, TEST_MS_MAX);

afterAll(async () => {
	for (const parley of open.values()) await parley.close();
	await backend?.stop();
	rmSync(folder, { recursive: true, force: true, maxRetries: 3 });
}, TEST_MS_MAX);

const eventually = (holds: () => boolean | Promise<boolean>, what = "the profile") => until(holds, PATIENCE_MS, what);
const idOf = (one: Parley) => one.whoami().accountId;
const username = (name: string) => `${name}_${mark}`;

async function say(by: Parley, to: string, text: string): Promise<void> {
	await by.sent((await by.send(to, text)).id, PATIENCE_MS);
}

async function photo(name: string): Promise<string> {
	const path = join(folder, name);
	await sharp(randomBytes(90_000), { raw: { width: 200, height: 150, channels: 3 } })
		.jpeg()
		.toFile(path);
	return path;
}

async function statusOf(blob: string): Promise<number> {
	const api = new Api({ server: backend.url, clock: systemClock, credentials: alice.whoami() });
	const headers = { authorization: `Bearer ${await api.accessToken()}` };
	return (await fetch(backend.url + MEDIA_PATHS.blob(blob), { method: "HEAD", headers })).status;
}

test("PROFILE-1 name, words and picture go to whom one writes to, and the server sees none of it", {
	timeout: TEST_MS_MAX,
}, async () => {
	await alice.profiles.set({ name: NAME, about: ABOUT });
	await alice.profiles.setPicture(await photo("alice.jpg"));
	await say(alice, username("bob"), "hello");
	await eventually(() => bob.profiles.of(idOf(alice)).name === NAME);
	expect(bob.profiles.of(idOf(alice))).toMatchObject({ about: ABOUT, picture: { width: 200, height: 150 } });
	const saved = readFileSync(await bob.profiles.savePicture(idOf(alice), folder));
	expect((await sharp(saved).metadata()).width).toBe(200);
	expect((await bob.profiles.picturePreview(idOf(alice), 50)).width).toBe(50);
	// Bob has not answered.
	expect(alice.profiles.of(idOf(bob)).name).toBe("");
	const canaries = [NAME, ABOUT].map((secret) => ({ name: secret, secret }));
	expect(searchFolders([stateDir], canaries).hits).toEqual([]);
	await expect(alice.profiles.set({ name: "two\nlines" })).rejects.toMatchObject({ code: "bad_argument" });
	await expect(alice.profiles.set({ about: "x".repeat(600) })).rejects.toMatchObject({ code: "bad_argument" });
});

test("PROFILE-2 PROFILE-4 a stranger learns nothing before being accepted, a blocked one nothing any more", {
	timeout: TEST_MS_MAX,
}, async () => {
	await say(carol, username("alice"), "may I?");
	await eventually(async () => (await alice.history(idOf(carol))).length === 1, "the request");
	await carol.receive();
	expect(carol.profiles.of(idOf(alice)).name).toBe("");
	await alice.settings.acceptRequest(idOf(carol));
	await eventually(() => carol.profiles.of(idOf(alice)).name === NAME);
	await alice.settings.setBlocked(idOf(carol), true);
	await alice.profiles.set({ about: "without Carol" });
	await expect(alice.send(idOf(carol), "no")).rejects.toMatchObject({ code: "bad_argument" });
	const [request] = await alice.history(idOf(carol));
	const id = request?.id ?? "";
	await alice.messages.arrived(await alice.messages.react(id, "👋"));
	const reactions = () => {
		const found = carol.find(id);
		return found === undefined ? [] : carol.messages.view(found)?.reactions;
	};
	await eventually(() => reactions()?.length === 1, "the reaction");
	expect(carol.profiles.of(idOf(alice)).about).toBe(ABOUT);
	await alice.settings.setBlocked(idOf(carol), false);
	await say(alice, idOf(carol), "yes");
	await eventually(() => carol.profiles.of(idOf(alice)).about === "without Carol");
});

test("PROFILE-3 members of a group learn it with the sender key or the next message, those who come later too", {
	timeout: TEST_MS_MAX,
}, async () => {
	const dora = await person("dora");
	await dora.profiles.set({ name: "Dora" });
	await bob.groups.create("Profiled", [idOf(dora)]);
	const sees = (one: Parley) => one.groups.list().some(({ title }) => title === "Profiled");
	await eventually(() => sees(dora), "the group");
	await say(dora, "group:Profiled", "hello");
	await eventually(() => bob.profiles.of(idOf(dora)).name === "Dora");
	// Now the key is there: the change is an entry of its own.
	await dora.profiles.set({ name: "Dora the Second" });
	await dora.profiles.setPicture(await photo("dora.jpg"));
	await say(dora, "group:Profiled", "again");
	await eventually(() => bob.profiles.of(idOf(dora)).picture !== undefined);
	expect(bob.profiles.of(idOf(dora)).name).toBe("Dora the Second");
	await bob.groups.add("Profiled", [username("carol")]);
	await eventually(() => sees(carol), "the group");
	expect(carol.profiles.of(idOf(dora)).name).toBe("");
	await say(dora, "group:Profiled", "once more");
	await eventually(() => carol.profiles.of(idOf(dora)).name === "Dora the Second");
	expect((await sharp(readFileSync(await carol.profiles.savePicture(idOf(dora), folder))).metadata()).width).toBe(200);
});

test("PROFILE-3 SYNC-1 own devices show the same profile, a new one learns it and those of others", {
	timeout: TEST_MS_MAX,
}, async () => {
	const laptop = await device("laptop");
	let linking: Promise<unknown> | undefined;
	await laptop.link("laptop", (code) => {
		linking = bob.devices.link(code, async () => true);
	});
	await linking;
	laptop.connect();
	await eventually(() => laptop.profiles.of(idOf(alice)).name === NAME);
	await laptop.profiles.set({ name: "Bob" });
	await eventually(() => bob.profiles.of().name === "Bob");
	// The other device sends what the first one has set, and neither sends it twice.
	await say(bob, username("alice"), "hi");
	await eventually(() => alice.profiles.of(idOf(bob)).name === "Bob");
	await bob.profiles.setPicture(await photo("bob.jpg"));
	const blob = bob.profiles.of().picture?.blob ?? "";
	await eventually(() => laptop.profiles.of().picture?.blob === blob);
	// Any own device takes a picture away, and the server's copy goes, as the account's own key ends the hold.
	await bob.close();
	open.delete("bob");
	await laptop.profiles.setPicture(undefined);
	await eventually(async () => (await statusOf(blob)) === 404, "no picture at the server");
});

test("PROFILE-1 the command line changes and shows profiles", { timeout: TEST_MS_MAX }, async () => {
	const run = async (...args: string[]) => {
		const out: string[] = [];
		const terminal = collectingTerminal(out);
		const data = join(folder, "erin");
		const code = await main(["--json", "--data", data, "--server", backend.url, ...args], terminal);
		const objects: unknown[] = out.map((text) => JSON.parse(text));
		return { code, objects };
	};
	expect((await run("register", username("erin"))).code).toBe(0);
	expect(await run("profile")).toMatchObject({ code: 0, objects: [{ name: null, about: null, picture: null }] });
	const path = await photo("erin.jpg");
	expect(await run("profile", "--name", "Erin", "--about", "of few words", "--picture", path)).toMatchObject({
		code: 0,
		objects: [{ type: "profile", name: "Erin", about: "of few words", picture: { width: 200, height: 150 } }],
	});
	expect(await run("whoami")).toMatchObject({ code: 0, objects: [{ profile: { name: "Erin" } }] });
	await say(alice, username("erin"), "hello Erin");
	expect((await run("receive")).code).toBe(0);
	expect(await run("profile", username("alice"))).toMatchObject({ code: 0, objects: [{ name: NAME }] });
	expect(await run("history", username("alice"))).toMatchObject({ code: 0, objects: [{ profileName: NAME }] });
	const to = join(folder, "saved.jpg");
	expect(await run("profile", username("alice"), "--to", to)).toMatchObject({ code: 0, objects: [{ path: to }] });
	expect(await run("profile", username("alice"), "--name", "Mallory")).toMatchObject({ code: 2 });
	expect(await run("profile", "--remove-picture", "--about", "")).toMatchObject({
		code: 0,
		objects: [{ name: "Erin", about: null, picture: null }],
	});
});
