/** Groups between real clients and the deployed split. */
import { randomBytes } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PassThrough } from "node:stream";
import { afterAll, beforeAll, expect, test } from "vitest";
import { z } from "zod";
import { main } from "../cli/main.ts";
import { Parley, type ParleyNotice } from "../client/parley.ts";
import { Backend } from "../scripts/backend.ts";
import { searchFolders } from "../scripts/canaries.ts";
import { until } from "../scripts/people.ts";
import { collectingTerminal } from "./collecting-terminal.ts";

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

test(
	"GROUP-12 the command line makes a group, talks in it and shows how far each member is",
	async () => {
		let title = `By command ${mark}`;
		/** What is entered in the next chat. */
		const entered: string[] = [];
		const run = async (...args: string[]) => {
			const out: string[] = [];
			const input = new PassThrough();
			input.end(entered.splice(0).join("\n"));
			const terminal = collectingTerminal(out, { input });
			const data = join(folder, "erin");
			const code = await main(["--json", "--data", data, "--server", backend.url, ...args], terminal);
			const objects: unknown[] = out.map((line) => JSON.parse(line));
			return { code, objects };
		};
		expect((await run("register", username("erin"))).code).toBe(0);
		const file = join(folder, "members.txt");
		writeFileSync(file, `${username("carol")}\n\n`);
		const created = await run("group", "create", title, username("bob"), "--members-file", file);
		expect(created).toMatchObject({ code: 0, objects: [{ type: "group-created", title, version: 1 }] });
		const sent = await run("send", `group:${title}`, "by command");
		expect(sent).toMatchObject({ code: 0, objects: [{ type: "sent", with: `group:${title}` }] });
		await eventually(async () => inGroup(bob, title) && inGroup(carol, title));
		await eventually(async () => (await bob.history(`group:${title}`)).length === 1);
		await bob.send(`group:${title}`, "seen");
		const [line] = sent.objects;
		const id = z.object({ id: z.string() }).parse(line).id;
		await eventually(async () => {
			const { objects } = await run("status", id);
			return (
				objects.filter((one) => z.object({ type: z.literal("member-status") }).safeParse(one).success).length === 2
			);
		});
		// What came while another command ran is shown by the next that receives, and once.
		const heard = { type: "message", direction: "in", text: "seen" };
		await eventually(async () => {
			await run("status", id);
			const { objects } = await run("history", `group:${title}`);
			return objects.some((one) => z.object({ text: z.literal("seen") }).safeParse(one).success);
		});
		expect((await run("receive", "--keep-unread")).objects).toContainEqual(expect.objectContaining(heard));
		expect((await run("receive")).objects).not.toContainEqual(expect.objectContaining(heard));
		const { objects } = await run("history", `group:${title}`);
		expect(objects).toMatchObject([
			{ type: "group-changed", version: 1, number: 1, change: { first: true } },
			{ with: title, direction: "out", text: "by command" },
			{ with: title, direction: "in", text: "seen" },
		]);
		expect(await run("group", "create", "No", "--members-file", join(folder, "none"))).toMatchObject({ code: 2 });
		expect(await run("group", "promote", title, username("bob"))).toMatchObject({ code: 0 });
		expect(await run("group", "rules", title, "--send", "admins")).toMatchObject({
			code: 0,
			objects: [{ type: "group", version: 3, rules: { send: "admins" } }],
		});
		expect(await run("group", "link", title, "--approval")).toMatchObject({ code: 0, objects: [{ approval: true }] });
		expect(await run("group", "info", `group:${title}`)).toMatchObject({ code: 0 });
		const changes = (await run("history", `group:${title}`)).objects.slice(3);
		expect(changes).toMatchObject([
			{ type: "group-changed", version: 2, change: { roles: [{ account: bob.whoami().accountId, role: "admin" }] } },
			{ type: "group-changed", version: 3, change: { rules: true }, serverTimeMs: expect.any(Number) },
			{ type: "group-changed", version: 4, title, change: { rules: true } },
		]);
		expect(await run("group", "info", "no such group")).toMatchObject({ code: 4 });
		expect(await run("block", `group:${title}`)).toMatchObject({ code: 2 });
		// A chat goes on though its group is called otherwise now.
		entered.push("/group rename mountains", "/block", "still here", "/group info");
		const { code, objects: said } = await run("chat", `group:${title}`);
		title = "mountains";
		expect(code).toBe(0);
		expect(said).toContainEqual(expect.objectContaining({ type: "message", text: "still here", with: title }));
		const shown = said.filter((one) => z.object({ type: z.literal("group") }).safeParse(one).success);
		expect(shown).toMatchObject([{ title }, { title }]);
		await eventually(async () => (await bob.history(`group:${title}`)).at(-1)?.body === "still here");
		expect(await run("group", "leave", title)).toMatchObject({ code: 0, objects: [{ member: false }] });
	},
	TEST_MS_MAX,
);
