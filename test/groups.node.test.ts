/** Groups between real clients and the deployed split. */
import { randomBytes } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { Parley, type ParleyNotice } from "../client/parley.ts";
import { Backend } from "../scripts/backend.ts";
import { searchFolders } from "../scripts/canaries.ts";
import { until } from "../scripts/people.ts";

const PATIENCE_MS = 30_000;
const TEST_MS_MAX = 120_000;
const folder = mkdtempSync(join(tmpdir(), "parley-groups-"));
const stateDir = join(folder, "backend");
const mark = randomBytes(6).toString("hex");
const TITLE = `Secret title ${mark}`;
const notices = new Map<string, ParleyNotice[]>();
let backend: Backend;

async function person(name: string): Promise<Parley> {
	const list: ParleyNotice[] = [];
	notices.set(name, list);
	const parley = await Parley.open({
		dataDir: join(folder, name),
		server: backend.url,
		environment: {},
		onNotice: (notice) => void list.push(notice),
	});
	await parley.register(`${name}_${mark}`);
	parley.connect();
	return parley;
}

const username = (name: string) => `${name}_${mark}`;
const read = async (parley: Parley) => (await parley.history(`group:${TITLE}`, 100)).map(({ body }) => body);
const inGroup = (parley: Parley, title = TITLE) =>
	parley.groups.list().some((info) => info.title === title && info.member);

const eventually = (holds: () => Promise<boolean>) => until(holds, PATIENCE_MS, "the group");

let alice: Parley;
let bob: Parley;
let carol: Parley;
let dora: Parley;

beforeAll(async () => {
	backend = await Backend.start({ stateDir });
	alice = await person("alice");
	bob = await person("bob");
	carol = await person("carol");
	dora = await person("dora");
}, TEST_MS_MAX);

afterAll(async () => {
	for (const parley of [alice, bob, carol, dora]) await parley?.close();
	await backend?.stop();
	rmSync(folder, { recursive: true, force: true, maxRetries: 3 });
}, TEST_MS_MAX);

test(
	"GROUP-12 three people make a group and talk in it; the server sees no title and no text",
	async () => {
		const { group, unreachable } = await alice.groups.create(TITLE, [username("bob"), username("carol")]);
		expect(unreachable).toEqual([]);
		await eventually(async () => inGroup(bob) && inGroup(carol));
		const { id } = await alice.send(`group:${TITLE}`, `hello ${mark}`);
		await alice.sent(id);
		await bob.send(`group:${group.slice(0, 12)}`, `hi ${mark}`);
		for (const parley of [alice, bob, carol]) {
			await eventually(async () => (await read(parley)).length === 2);
		}
		await eventually(async () => (await alice.status(id, { refresh: true })).status === "delivered");
		expect(alice.groups.info(TITLE).members.map(({ role }) => role)).toEqual(["admin", "member", "member"]);
		const canaries = [TITLE, `hello ${mark}`].map((secret) => ({ name: secret, secret }));
		expect(searchFolders([stateDir], canaries).hits).toEqual([]);
	},
	TEST_MS_MAX,
);

test(
	"GROUP-13 GROUP-18 somebody is removed, somebody joins by the link; each reads what is for them",
	async () => {
		await alice.groups.remove(TITLE, [username("carol")]);
		await eventually(async () => !inGroup(carol));
		const link = await alice.groups.link(TITLE, { on: true, reset: false });
		expect(link).toBeDefined();
		expect(await dora.groups.join(link ?? "")).toMatchObject({ requested: false });
		await eventually(async () => alice.groups.info(TITLE).members.length === 3);
		await alice.send(`group:${TITLE}`, `after ${mark}`);
		await dora.send(`group:${TITLE}`, `I am new ${mark}`);
		for (const parley of [alice, bob]) await eventually(async () => (await read(parley)).length === 4);
		await eventually(async () => (await read(dora)).length === 2);
		expect(await read(carol)).toHaveLength(2);
	},
	TEST_MS_MAX,
);

test(
	"GROUP-15 two admins change the group at once: both changes are in one history",
	async () => {
		await alice.groups.role(TITLE, username("bob"), "admin");
		await eventually(async () => bob.groups.info(TITLE).members[1]?.role === "admin");
		await Promise.all([
			alice.groups.change(TITLE, { do: "describe", description: `about ${mark}` }),
			bob.groups.add(TITLE, [username("carol")]),
		]);
		for (const parley of [alice, bob, dora]) {
			await eventually(async () => parley.groups.info(TITLE).members.length === 4);
			await eventually(async () => parley.groups.info(TITLE).description !== "");
		}
		expect(alice.groups.info(TITLE)).toEqual(bob.groups.info(TITLE));
		expect([...notices.values()].flat().filter(({ type }) => type === "group-warning")).toEqual([]);
	},
	TEST_MS_MAX,
);

test(
	"GROUP-15 what the rules don't allow is told to the person, and changes nothing",
	async () => {
		await alice.groups.change(TITLE, { do: "rules", rules: { send: "admins", add: "admins" } });
		await eventually(async () => dora.groups.info(TITLE).rules.send === "admins");
		await expect(dora.groups.remove(TITLE, [username("bob")])).rejects.toMatchObject({ code: "refused" });
		const { id } = await dora.send(`group:${TITLE}`, "not allowed");
		await expect(dora.sent(id)).rejects.toMatchObject({ code: "refused" });
		await dora.groups.change(TITLE, { do: "leave" });
		expect(inGroup(dora)).toBe(false);
		await eventually(async () => alice.groups.info(TITLE).members.length === 3);
	},
	TEST_MS_MAX,
);

test(
	"GROUP-12 SYNC-4 a new device of a member knows the group, reads what comes and sends to it",
	async () => {
		const second = await Parley.open({ dataDir: join(folder, "second"), server: backend.url, environment: {} });
		try {
			let linking: Promise<number | undefined> | undefined;
			await second.link("second", (code) => {
				linking = alice.devices.link(code, async () => true);
			});
			await linking;
			second.connect();
			await eventually(async () => inGroup(second));
			await bob.send(`group:${TITLE}`, `to both devices ${mark}`);
			await eventually(async () => (await read(second)).includes(`to both devices ${mark}`));
			await second.send(`group:${TITLE}`, `from the second ${mark}`);
			await eventually(async () => (await read(bob)).includes(`from the second ${mark}`));
			await eventually(async () => (await read(alice)).includes(`from the second ${mark}`));
		} finally {
			await second.close();
		}
	},
	TEST_MS_MAX,
);
