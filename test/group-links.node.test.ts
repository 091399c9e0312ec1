/** Invite links and requests to join, by real clients and the command line, with the deployed split. */
import { randomBytes } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { z } from "zod";
import { main } from "../cli/main.ts";
import { Parley, type ParleyNotice } from "../client/parley.ts";
import { Backend } from "../scripts/backend.ts";
import { until } from "../scripts/people.ts";
import { collectingTerminal } from "./collecting-terminal.ts";

const PATIENCE_MS = 30_000;
const TEST_MS_MAX = 120_000;
const folder = mkdtempSync(join(tmpdir(), "parley-links-"));
const mark = randomBytes(6).toString("hex");
const TITLE = `By link ${mark}`;
const ALICE = `alice_${mark}`;
const ALREADY = "you are a member of the group already";
const notices: ParleyNotice[] = [];
const plainFetch = globalThis.fetch;
let backend: Backend;
let bob: Parley;
let carol: Parley;
let dora: Parley;

async function person(name: string): Promise<Parley> {
	const onNotice = (notice: ParleyNotice) => void notices.push(notice);
	const parley = await Parley.open({ dataDir: join(folder, name), server: backend.url, environment: {}, onNotice });
	await parley.register(`${name}_${mark}`);
	parley.connect();
	return parley;
}

/** Somebody's command, with what it prints. */
async function command(who: string, ...args: string[]): Promise<{ code: number; objects: Record<string, unknown>[] }> {
	const out: string[] = [];
	const terminal = collectingTerminal(out);
	const code = await main(["--json", "--data", join(folder, who), "--server", backend.url, ...args], terminal);
	return { code, objects: out.map((line) => z.record(z.string(), z.unknown()).parse(JSON.parse(line))) };
}

const run = (...args: string[]) => command("alice", ...args);

async function link(...options: string[]): Promise<string> {
	const { code, objects } = await run("group", "link", TITLE, ...options);
	expect(code).toBe(0);
	return z.string().parse(objects[0]?.link);
}

const inGroup = (parley: Parley) => parley.groups.list().some((info) => info.title === TITLE && info.member);
const eventually = (holds: () => boolean | Promise<boolean>) => until(holds, PATIENCE_MS, "the group");

beforeAll(async () => {
	backend = await Backend.start({ stateDir: join(folder, "backend") });
	[bob, carol, dora] = [await person("bob"), await person("carol"), await person("dora")];
	expect((await run("register", ALICE)).code).toBe(0);
	expect((await run("group", "create", TITLE, `bob_${mark}`)).code).toBe(0);
	await eventually(() => inGroup(bob));
}, TEST_MS_MAX);

test("GROUP-12 who gives the group's key is known by name before a word was written", {
	timeout: TEST_MS_MAX,
}, async () => {
	const { members } = bob.groups.info(TITLE);
	const founder = members.find(({ role }) => role === "admin");
	await eventually(() => bob.nameOf(founder?.account ?? "") === ALICE);
});

afterEach(() => {
	globalThis.fetch = plainFetch;
});

afterAll(async () => {
	for (const parley of [bob, carol, dora]) await parley?.close();
	await backend?.stop();
	rmSync(folder, { recursive: true, force: true, maxRetries: 3 });
}, TEST_MS_MAX);

test("GROUP-5 GROUP-18 who asks to join is let in by an admin, or isn't; nobody else lets in", {
	timeout: TEST_MS_MAX,
}, async () => {
	const text = await link("--approval");
	for (const who of [carol, dora]) expect(await who.groups.join(text)).toMatchObject({ requested: true });
	expect(inGroup(carol) || inGroup(dora)).toBe(false);
	await expect(bob.groups.join(text)).rejects.toMatchObject({ code: "refused", message: ALREADY });
	const [own] = carol.groups.list();
	expect(own).toMatchObject({ member: false, asked: true });
	// Nobody is let in by a slip of the hand.
	for (const answer of ["approve", "decline"]) expect((await run("group", answer, TITLE, ALICE)).code, answer).toBe(5);
	const requests = async () => (await run("group", "requests", TITLE)).objects.map(({ account }) => account);
	await eventually(async () => {
		expect((await run("receive")).code).toBe(0);
		return (await requests()).length === 2;
	});
	const [carolId, doraId] = [carol.whoami().accountId, dora.whoami().accountId];
	expect((await requests()).toSorted()).toEqual([carolId, doraId].toSorted());
	await eventually(() => bob.groups.info(TITLE).requests.length === 2);
	await expect(bob.groups.answer(TITLE, carolId, true)).rejects.toMatchObject({ code: "refused" });

	expect((await run("group", "approve", TITLE, carolId)).code).toBe(0);
	expect(await requests()).toEqual([doraId]);
	await eventually(() => inGroup(carol));
	expect((await run("group", "decline", TITLE, doraId)).code).toBe(0);
	expect(await requests()).toEqual([]);
	await eventually(() => bob.groups.info(TITLE).requests.length === 0);
	const { version } = bob.groups.info(TITLE);
	for (const answer of ["approve", "decline"]) expect((await run("group", answer, TITLE, doraId)).code, answer).toBe(5);
	expect((await run("group", "approve", TITLE, carolId)).code).toBe(5);
	expect((await run("send", `group:${TITLE}`, "welcome")).code).toBe(0);
	await eventually(async () => (await carol.history(`group:${TITLE}`)).some(({ body }) => body === "welcome"));
	expect(inGroup(dora)).toBe(false);
	expect(carol.groups.info(TITLE).version).toBe(version);
	// Who was declined may ask again, once: a second request is the first one.
	for (let count = 0; count < 2; count++) expect(await dora.groups.join(text)).toMatchObject({ requested: true });
	await eventually(() => bob.groups.info(TITLE).requests.length === 1);
	expect((await run("receive")).code).toBe(0);
	expect((await run("group", "decline", TITLE, doraId)).code).toBe(0);
});

test("GROUP-18 a link that was reset, switched off or renewed by a removal leads nowhere, and the new one in", {
	timeout: TEST_MS_MAX,
}, async () => {
	const first = await link("--no-approval");
	const second = await link("--reset");
	expect(second).not.toBe(first);
	const nowhere = { code: "no_such_group" };
	await expect(dora.groups.join(first)).rejects.toMatchObject(nowhere);
	expect(await dora.groups.join(second)).toMatchObject({ requested: false });
	await eventually(() => inGroup(dora));
	await expect(dora.groups.join(second)).rejects.toMatchObject({ code: "refused", message: ALREADY });
	expect((await run("receive")).code).toBe(0);
	expect((await run("group", "remove", TITLE, dora.whoami().accountId)).code).toBe(0);
	await eventually(() => !inGroup(dora));
	// Who is out is on its own list no more, and can't write there.
	const [alone, { members }] = [dora.whoami().accountId, dora.groups.info(TITLE)];
	expect(members.map(({ account }) => account)).not.toContain(alone);
	await expect(dora.send(`group:${TITLE}`, "still?")).rejects.toMatchObject({
		code: "refused",
		message: `you are not a member of ${TITLE} any more`,
	});
	await expect(dora.groups.join(second)).rejects.toMatchObject(nowhere);
	const third = await link();
	expect(await run("group", "link", TITLE, "--off")).toMatchObject({ code: 0, objects: [{ link: null }] });
	await expect(dora.groups.join(third)).rejects.toMatchObject(nowhere);
	await expect(dora.groups.join("parley://group?v=1")).rejects.toMatchObject({ code: "bad_argument" });
	expect(inGroup(dora)).toBe(false);
});

test("GROUP-17 one member has broken keys: the rest get the message, and the sender sees in `status` who did not", {
	timeout: TEST_MS_MAX,
}, async () => {
	const broken = carol.whoami().accountId;
	const Bundles = z.looseObject({ devices: z.array(z.looseObject({ signedPreKey: z.looseObject({}) })) });
	const Claimed = z.looseObject({ claimed: z.array(Bundles.extend({ accountId: z.string() })) });
	const spoil = (bundles: z.infer<typeof Bundles>) => {
		for (const { signedPreKey } of bundles.devices) signedPreKey.signature = "A".repeat(86);
	};
	// As the server would hand them out, had the device uploaded such keys.
	globalThis.fetch = async (input, init) => {
		const response = await plainFetch(input, init);
		const path = String(input);
		if (!path.endsWith("/keys/claims") && !path.endsWith(`${broken}/keys`)) return response;
		const body: unknown = await response.json();
		const many = Claimed.safeParse(body);
		for (const bundles of many.success ? many.data.claimed : []) if (bundles.accountId === broken) spoil(bundles);
		const one = many.success ? undefined : Bundles.parse(body);
		if (one !== undefined) spoil(one);
		return Response.json(many.success ? many.data : one);
	};
	const title = `Broken ${mark}`;
	const cli = (...args: string[]) => command("erin", ...args);
	expect((await cli("register", `erin_${mark}`)).code).toBe(0);
	expect((await cli("group", "create", title, `bob_${mark}`, `carol_${mark}`)).code).toBe(0);
	const sent = await cli("send", `group:${title}`, "for those who can");
	expect(sent.code).toBe(0);
	await eventually(async () => {
		const known = bob.groups.list().some((info) => info.title === title);
		return known && (await bob.history(`group:${title}`)).some(({ body }) => body === "for those who can");
	});
	const id = z.string().parse(sent.objects[0]?.id);
	const statuses = async () => {
		const { objects } = await cli("status", id);
		const members = objects.filter(({ type }) => type === "member-status");
		return Object.fromEntries(members.map(({ account, status }) => [String(account), status]));
	};
	await eventually(async () => (await statuses())[bob.whoami().accountId] === "delivered");
	expect((await statuses())[broken]).toBe("left-out");

	// Nobody gives Carol the key: she is in a group that she can't read, and leaves it (rule GROUP-20).
	await eventually(() => carol.groups.locked().length === 1);
	const [group = ""] = carol.groups.locked();
	await carol.close();
	const locked = { type: "group-locked", group };
	expect((await command("carol", "group", "list")).objects).toContainEqual(locked);
	const reference = `group:${group.slice(0, 8)}`;
	expect((await command("carol", "group", "rename", reference, "mine")).code).not.toBe(0);
	expect((await command("carol", "group", "delete", reference)).code).not.toBe(0);
	expect(await command("carol", "group", "leave", reference)).toMatchObject({
		code: 0,
		objects: [{ type: "group-left", group }],
	});
	expect((await command("carol", "group", "list")).objects).not.toContainEqual(locked);
	expect((await cli("status", id)).objects.filter(({ account }) => account === broken)).toEqual([]);
	// What was left with a key is deleted by her with a command of its own.
	expect((await command("carol", "group", "delete", TITLE)).code).not.toBe(0);
	expect((await command("carol", "group", "leave", TITLE)).objects).toMatchObject([{ member: false }]);
	expect((await command("carol", "history", `group:${TITLE}`)).objects).not.toEqual([]);
	const notes: string[] = [];
	const terminal = collectingTerminal([], { note: (line) => void notes.push(line) });
	const shown = ["--data", join(folder, "carol"), "--server", backend.url, "history", `group:${TITLE}`];
	expect(await main(shown, terminal)).toBe(0);
	expect(notes).toEqual([`you are not in group:${TITLE} any more`]);
	expect((await command("carol", "group", "delete", TITLE)).objects).toMatchObject([{ type: "group-deleted" }]);
	expect((await command("carol", "group", "list")).objects).toEqual([]);
});

test("GROUP-15 an admin who is demoted while acting hears who did it, and why nothing came of it", {
	timeout: TEST_MS_MAX,
}, async () => {
	const alice = z.string().parse((await run("whoami")).objects[0]?.account);
	expect((await run("group", "promote", TITLE, `bob_${mark}`)).code).toBe(0);
	const isAdmin = () =>
		bob.groups.info(TITLE).members.some(({ account, role }) => account !== alice && role === "admin");
	await eventually(isAdmin);
	await bob.groups.role(TITLE, alice, "member");
	const { code, objects } = await run("group", "rules", TITLE, "--send", "admins");
	expect(code).toBe(5);
	const roles = [{ account: alice, role: "member" }];
	expect(objects).toMatchObject([{ type: "group-changed", author: bob.whoami().accountId, change: { roles } }]);
	// A line of many conversations says of which it is.
	await bob.send(`group:${TITLE}`, "as you see");
	const lines: string[] = [];
	const terminal = collectingTerminal(lines);
	expect(await main(["--data", join(folder, "alice"), "--server", backend.url, "receive"], terminal)).toBe(0);
	expect(lines.join("\n")).toMatch(new RegExp(`in ${TITLE}  .* bob_${mark}: as you see`));
});
