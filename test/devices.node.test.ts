/** Several devices for one account, with real clients and the deployed split. */
import { randomBytes } from "node:crypto";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PassThrough } from "node:stream";
import pico from "picocolors";
import { afterAll, beforeAll, expect, test } from "vitest";
import { main } from "../cli/main.ts";
import type { Terminal } from "../cli/terminal.ts";
import { openDataDirectory, openStore } from "../client/data_directory.ts";
import { Parley, type ParleyNotice } from "../client/parley.ts";
import { conversationsWithOutbox } from "../client/store/queries.ts";
import { Backend } from "../scripts/backend.ts";
import { searchFolders } from "../scripts/canaries.ts";
import { until } from "../scripts/people.ts";

const PATIENCE_MS = 30_000;
const TEST_MS_MAX = 120_000;
const folder = mkdtempSync(join(tmpdir(), "parley-devices-"));
const stateDir = join(folder, "backend");
const mark = randomBytes(6).toString("hex");
const nameOf = (person: string) => `${person}_${mark}`;
const [ALICE, BOB, CAROL, MALLORY] = [nameOf("alice"), nameOf("bob"), nameOf("carol"), nameOf("mallory")];
let backend: Backend;
const devices = new Map<string, { parley: Parley; notices: ParleyNotice[] }>();

/** A device's program, which starts where it was killed or closed. */
async function device(name: string): Promise<Parley> {
	const known = devices.get(name);
	if (known !== undefined) return known.parley;
	const notices: ParleyNotice[] = [];
	const parley = await Parley.open({
		dataDir: join(folder, name),
		server: backend.url,
		environment: {},
		onNotice: (notice) => void notices.push(notice),
	});
	devices.set(name, { parley, notices });
	return parley;
}

async function off(name: string): Promise<void> {
	await devices.get(name)?.parley.close();
	devices.delete(name);
}

/** Links a new device by handing the code from one program to the other, as a person does. */
async function link(name: string, old: Parley): Promise<number> {
	const parley = await device(name);
	let linking: Promise<number | undefined> | undefined;
	const account = await parley.link(name, (code) => {
		linking = old.devices.link(code, async (shown) => shown === name);
	});
	const seen = await linking;
	expect(seen).toBe(account.deviceId);
	return account.deviceId;
}

const texts = async (parley: Parley, other: string) =>
	(await parley.history(other, 1_000)).map(({ body, outgoing }) => `${outgoing ? "out" : "in"} ${body}`);

beforeAll(async () => {
	backend = await Backend.start({ stateDir });
	for (const name of [ALICE, BOB]) {
		const parley = await device(name);
		await parley.register(name, `first of ${name}`);
		parley.connect();
	}
}, TEST_MS_MAX);

afterAll(async () => {
	for (const name of [...devices.keys()]) await off(name);
	await backend?.stop();
	rmSync(folder, { recursive: true, force: true, maxRetries: 3 });
}, TEST_MS_MAX);

test("LINK-1 DEVICE-2 SYNC-4 a device is linked with a code and named, and knows the account's conversations", {
	timeout: TEST_MS_MAX,
}, async () => {
	const [alice, bob] = [await device(ALICE), await device(BOB)];
	const { id } = await alice.send(BOB, "before the laptop");
	await alice.sent(id, PATIENCE_MS);
	await until(async () => (await texts(bob, ALICE)).length === 1, PATIENCE_MS, "the first message");
	const laptop = await device("laptop");
	await link("laptop", alice);
	expect(laptop.whoami()).toMatchObject({ username: ALICE, accountId: alice.whoami().accountId, deviceId: 2 });
	const list = await laptop.devices.list();
	expect(list.map(({ id, name, current }) => [id, name, current])).toEqual([
		[1, `first of ${ALICE}`, false],
		[2, "laptop", true],
	]);
	await alice.devices.rename(2, "Büro 🖥");
	expect((await laptop.devices.list())[1]?.name).toBe("Büro 🖥");
	laptop.connect();
	await until(() => laptop.nameOf(bob.whoami().accountId) === BOB, PATIENCE_MS, "the contact on the laptop");
	expect(await texts(laptop, BOB)).toEqual([]);
});

test("ROSTER-2 SYNC-1 senders re-encrypt by themselves, and what one device sends is on the other, with its status", {
	timeout: TEST_MS_MAX,
}, async () => {
	const [alice, bob, laptop] = [await device(ALICE), await device(BOB), await device("laptop")];
	await bob.send(ALICE, "to both of you");
	for (const parley of [alice, laptop]) {
		await until(async () => (await texts(parley, BOB)).includes("in to both of you"), PATIENCE_MS, "Bob's text");
	}
	const sent = await laptop.send(BOB, "from the laptop");
	await until(async () => (await texts(bob, ALICE)).includes("in from the laptop"), PATIENCE_MS, "the laptop's text");
	await until(() => alice.find(sent.id)?.status === "delivered", PATIENCE_MS, "its status on the other device");
	expect(alice.find(sent.id)).toMatchObject({ outgoing: true, body: "from the laptop" });
	bob.markAllRead(alice.whoami().accountId);
	for (const parley of [alice, laptop]) {
		await until(() => parley.find(sent.id)?.status === "read", PATIENCE_MS, "that it was read");
	}
	// Nobody was asked for anything.
	const refused = [...devices.values()].flatMap(({ notices }) => notices.filter(({ type }) => type === "refused"));
	expect(refused).toEqual([]);
});

test("SYNC-1 SYNC-3 reading, verifying, muting and notes to oneself appear on the other device", {
	timeout: TEST_MS_MAX,
}, async () => {
	const [alice, bob, laptop] = [await device(ALICE), await device(BOB), await device("laptop")];
	const peer = bob.whoami().accountId;
	expect(await alice.accept(BOB)).toBe(false);
	await alice.verify(BOB);
	await until(async () => (await laptop.safetyNumber(BOB)).verified, PATIENCE_MS, "that Bob is verified");
	const synced = () => devices.get(ALICE)?.notices.some((notice) => notice.type === "synced" && notice.peer === peer);
	laptop.markAllRead(peer);
	await until(() => synced() === true, PATIENCE_MS, "that the laptop has read");
	await laptop.settings.setFlag(BOB, "archived", 1);
	await until(async () => (await alice.settings.flag(BOB, "archived")) === 1, PATIENCE_MS, "that it is archived");
	await alice.send(ALICE, "milk");
	await until(async () => (await texts(laptop, ALICE)).includes("out milk"), PATIENCE_MS, "the note");
	expect(await texts(bob, ALICE)).not.toContain("in milk");
});

test("SYNC-1 FOUND-1 REQUEST-1 switches, deletions, accepted and blocked people are the same on the other device, also when it was off", {
	timeout: TEST_MS_MAX,
}, async () => {
	const [alice, bob, laptop] = [await device(ALICE), await device(BOB), await device("laptop")];
	const mallory = await device(MALLORY);
	await mallory.register(MALLORY);
	mallory.connect();
	await mallory.send(ALICE, "buy this");
	const stranger = mallory.whoami().accountId;
	for (const parley of [alice, laptop]) {
		await until(() => parley.settings.requests().length === 1, PATIENCE_MS, "the request");
	}
	const { id } = await bob.send(ALICE, "delete me");
	for (const parley of [alice, laptop]) await until(() => parley.find(id) !== undefined, PATIENCE_MS, "Bob's text");
	await off("laptop");
	for (const what of ["typing", "last_seen", "discoverable"] as const) await alice.settings.setPrivacy(what, false);
	await alice.messages.deleteHere(id);
	await alice.settings.acceptRequest(stranger);
	await alice.settings.setBlocked(stranger, true);
	const again = await device("laptop");
	await again.receive({ timeoutMs: PATIENCE_MS });
	await until(() => !again.settings.privacy("discoverable"), PATIENCE_MS, "the switches");
	expect((["typing", "last_seen", "presence"] as const).map((what) => again.settings.privacy(what))).toEqual([
		...[false, false, true],
	]);
	expect(again.find(id)).toBe(undefined);
	expect(again.settings.requests()).toEqual([]);
	expect(await again.settings.blocked(stranger)).toBe(true);
	expect(bob.find(id)?.body).toBe("delete me");
	// Nobody finds her by her name any more; who has her goes on.
	const carol = await device(CAROL);
	await carol.register(CAROL);
	await expect(carol.lookup(ALICE)).rejects.toMatchObject({ code: "no_such_user" });
	const { id: more } = await bob.send(ALICE, "still here");
	await until(() => again.find(more) !== undefined, PATIENCE_MS, "what Bob writes");
	// A stranger to whom she writes first is told her name, though nobody finds it.
	carol.connect();
	await again.send(CAROL, "it is me");
	await until(() => carol.nameOf(alice.whoami().accountId) === ALICE, PATIENCE_MS, "her name");
	await again.settings.setPrivacy("discoverable", true);
	await alice.settings.setBlocked(stranger, false);
});

test("TIMER-2 TIMER-4 what one device has read disappears so long after it on the other, and is never shown there once it is over", {
	timeout: TEST_MS_MAX,
}, async () => {
	const [alice, bob] = [await device(ALICE), await device(BOB)];
	const peer = bob.whoami().accountId;
	// Without receipts the server tells nobody what was read: only the account's own devices know.
	await alice.settings.setReadReceipts(false);
	await alice.messages.setTimer(BOB, 2);
	await until(async () => (await bob.messages.timer(ALICE)) === 2, PATIENCE_MS, "the timer");
	await off("laptop");
	const { id } = await bob.send(ALICE, "gone before you look");
	await until(() => alice.find(id) !== undefined, PATIENCE_MS, "the text");
	alice.markAllRead(peer);
	await until(() => alice.find(id) === undefined, PATIENCE_MS, "its end");
	const laptop = await device("laptop");
	await laptop.receive({ timeoutMs: PATIENCE_MS });
	expect(await texts(laptop, BOB)).not.toContain("in gone before you look");
	const shown = devices.get("laptop")?.notices.filter((each) => each.type === "message" && each.message.id === id);
	expect(shown).toEqual([]);
	await alice.messages.setTimer(BOB, 0);
	await alice.settings.setReadReceipts(true);
});

test("TIMER-4 SYNC-1 `receive` ends once the account's other devices were told how far it has read", {
	timeout: TEST_MS_MAX,
}, async () => {
	const [alice, bob] = [await device(ALICE), await device(BOB)];
	await off("laptop");
	const untold = (): string[] => {
		const { database, key } = openDataDirectory(join(folder, "laptop"), undefined);
		const store = openStore(database, key);
		const peers = conversationsWithOutbox(store);
		store.close();
		return peers;
	};
	// A busy computer may need longer than the command waits: once in three times it doesn't.
	for (let round = 1; ; round++) {
		const text = `read on the laptop ${round}`;
		const { id } = await bob.send(ALICE, text);
		await until(() => alice.find(id) !== undefined, PATIENCE_MS, "the text");
		expect(await printed("receive")).toContain(text);
		if (untold().length === 0) break;
		expect(round).toBeLessThan(3);
	}
});

/** What a command prints on the laptop, whose program is off. */
async function printed(...args: string[]): Promise<string[]> {
	const lines: string[] = [];
	const terminal: Terminal = {
		out: (line) => void lines.push(line),
		note: () => {},
		readAll: () => Promise.resolve(""),
		interrupted: () => Promise.resolve(),
		input: new PassThrough(),
		output: new PassThrough(),
		environment: {},
		colors: pico.createColors(false),
	};
	expect(await main(["--json", "--data", join(folder, "laptop"), "--server", backend.url, ...args], terminal)).toBe(0);
	return lines.map((line) => String((JSON.parse(line) as { text?: string }).text));
}

test("ORDER-1 ONCE-1 two devices of one account send at once: everybody has all of it, once, in one order", {
	timeout: TEST_MS_MAX,
}, async () => {
	const [alice, bob, laptop] = [await device(ALICE), await device(BOB), await device("laptop")];
	const said = Array.from({ length: 20 }, (_, index) => `both ${index}`);
	await Promise.all(said.map((text, index) => (index % 2 === 0 ? alice : laptop).send(BOB, text)));
	const heard = async (parley: Parley, other: string): Promise<string[]> =>
		(await parley.history(other, 1_000)).flatMap(({ body, number }) =>
			body?.startsWith("both ") === true && number !== undefined ? [`${number} ${body}`] : [],
		);
	const places: [Parley, string][] = [
		[alice, BOB],
		[laptop, BOB],
		[bob, ALICE],
	];
	for (const [parley, other] of places) {
		await until(async () => (await heard(parley, other)).length === said.length, PATIENCE_MS, "all twenty");
	}
	const [here, ...others] = await Promise.all(places.map(([parley, other]) => heard(parley, other)));
	expect(new Set(here?.map((line) => line.replace(/^\d+ /, "")))).toEqual(new Set(said));
	for (const there of others) expect(there).toEqual(here);
});

test("LINK-3 LINK-5 a code serves once, and a new device that was killed after it goes on without one", {
	timeout: TEST_MS_MAX,
}, async () => {
	const alice = await device(ALICE);
	const tablet = await device("tablet");
	const codes: string[] = [];
	// Killed while it waits: nothing is left, and the next code is another one.
	const first = tablet.link("tablet", (code) => void codes.push(code)).catch((error: unknown) => error);
	await until(() => codes.length === 1, PATIENCE_MS, "a code");
	await off("tablet");
	const again = await device("tablet");
	let used: unknown;
	const account = await again.link("tablet", (code) => {
		codes.push(code);
		used = alice.devices.link(code, async () => true);
	});
	await used;
	await first;
	expect(new Set(codes).size).toBe(2);
	await expect(alice.devices.link(codes[1] ?? "", async () => true)).rejects.toMatchObject({ code: "link_over" });
	await expect(alice.devices.link(codes[0] ?? "", async () => false)).rejects.toMatchObject({ code: "refused" });
	await expect(again.link("tablet", () => {})).rejects.toMatchObject({ code: "already_registered" });
	expect((await alice.devices.list()).map(({ id }) => id)).toContain(account.deviceId);
});

test("DEVICE-3 DEVICE-4 DEVICE-6 an unlinked device gets nothing more, is told so, and others write on unaware", {
	timeout: TEST_MS_MAX,
}, async () => {
	const [alice, bob] = [await device(ALICE), await device(BOB)];
	const tablet = await device("tablet");
	tablet.connect();
	await bob.send(ALICE, "tablet too");
	await until(async () => (await texts(tablet, BOB)).includes("in tablet too"), PATIENCE_MS, "the tablet's text");
	const { deviceId } = tablet.whoami();
	await alice.devices.unlink(deviceId);
	const notices = devices.get("tablet")?.notices ?? [];
	const told = () => notices.some((each) => each.type === "line-stopped" && each.peer === undefined);
	await until(told, PATIENCE_MS, "that the tablet's line has ended");
	await expect(tablet.devices.list()).rejects.toMatchObject({ code: "device_unlinked" });
	const { id } = await bob.send(ALICE, "not for the tablet");
	await bob.sent(id, PATIENCE_MS);
	await until(async () => (await texts(alice, BOB)).includes("in not for the tablet"), PATIENCE_MS, "the next text");
	await off("tablet");
	const back = await device("tablet");
	await expect(back.receive({ timeoutMs: 10_000 })).rejects.toMatchObject({ code: "device_unlinked" });
	expect(await texts(back, BOB)).not.toContain("in not for the tablet");
	await expect(alice.devices.unlink(deviceId)).rejects.toMatchObject({ code: "no_such_device" });
});

test("DEVICE-3 a device that unlinks itself leaves nothing in its data directory", {
	timeout: TEST_MS_MAX,
}, async () => {
	const [alice, watch] = [await device(ALICE), await device("watch")];
	const id = await link("watch", alice);
	expect(existsSync(join(folder, "watch", "parley.db"))).toBe(true);
	await watch.devices.unlink(id);
	await off("watch");
	expect(existsSync(join(folder, "watch", "parley.db"))).toBe(false);
	expect((await alice.devices.list()).map((each) => each.id)).not.toContain(id);
});

test("LINK-1 the server stores neither the code's key, nor the account's, nor the devices' names", {
	timeout: TEST_MS_MAX,
}, async () => {
	const laptop = await device("laptop");
	const { username, accountId, deviceSecret } = laptop.whoami();
	for (const name of [...devices.keys()]) await off(name);
	await backend.stop();
	const secrets = [username, deviceSecret, "Büro 🖥", "first of alice"].map((secret) => ({ name: secret, secret }));
	expect(searchFolders([stateDir], [{ name: "control", secret: accountId }]).hits.length).toBeGreaterThan(0);
	expect(searchFolders([stateDir], secrets).hits).toEqual([]);
});
