/** Commands on messages, without a server: everything is written here, and waits in the outbox. */
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PassThrough } from "node:stream";
import pico from "picocolors";
import { afterEach, beforeEach, expect, test } from "vitest";
import { openDataDirectory, openStore } from "../client/data_directory.ts";
import { completeRegistration, makeRegistration } from "../client/signal/registration.ts";
import { commandArguments } from "./chat_commands.ts";
import { main } from "./main.ts";
import { durationArgument, durationWords } from "./options.ts";
import { styled } from "./shown.ts";
import type { Terminal } from "./terminal.ts";

const BOB = "0b000000-0000-4000-8000-00000000000b";
const NOBODY = "http://127.0.0.1:1";

let data = "";
beforeEach(() => {
	data = mkdtempSync(join(tmpdir(), "parley-cli-messages-"));
	mkdirSync(data, { recursive: true });
	const { database, key } = openDataDirectory(data, undefined);
	const store = openStore(database, key);
	makeRegistration(store, "alice", NOBODY, Date.now());
	completeRegistration(store, { accountId: "0a000000-0000-4000-8000-00000000000a", deviceId: 1 });
	store.close();
});
afterEach(() => rmSync(data, { recursive: true, force: true }));

async function run(...args: string[]): Promise<{ code: number; out: string; err: string }> {
	const out: string[] = [];
	const err: string[] = [];
	const input = new PassThrough();
	input.end(lines.splice(0).join(""));
	const terminal: Terminal = {
		out: (line) => void out.push(line),
		note: (line) => void err.push(line),
		readAll: () => Promise.resolve(""),
		interrupted: () => new Promise(() => {}),
		input,
		output: new PassThrough(),
		environment: {},
		colors: pico.createColors(false),
	};
	const code = await main(["--data", data, ...args], terminal);
	return { code, out: out.join("\n"), err: err.join("\n") };
}

/** What a person enters in the next chat. */
const lines: string[] = [];

interface Shown {
	id: string;
	type: string;
	text: string | null;
	[field: string]: unknown;
}

async function history(): Promise<Shown[]> {
	const { out } = await run("--json", "history", BOB);
	const shown = out === "" ? [] : out.split("\n").map((line): Shown => JSON.parse(line));
	return shown.filter(({ type }) => type === "message");
}

/** What the outbox takes ends with 6: nobody is there to confirm it. */
async function queued(...args: string[]): Promise<void> {
	const { code, err } = await run("--json", ...args, "--timeout", "0.01");
	expect({ code, err }).toMatchObject({ code: 6 });
}

async function idOf(text: string): Promise<string> {
	const found = (await history()).find((message) => message.text === text);
	if (found === undefined) throw new Error(`no message ${text}`);
	return found.id;
}

test("CLIENT-2 reply, react and edit are done here at once, and a message is named by a part of its id", async () => {
	await queued("send", BOB, "hello");
	const id = await idOf("hello");
	await queued("reply", id.slice(-8), "and *more*", "--format");
	await queued("react", `#${id.slice(-6)}`, "👍");
	await queued("edit", id, "hello you");
	const [first, second] = await history();
	expect(first).toMatchObject({ text: "hello you", earlier: [{ text: "hello" }], reactions: [{ emoji: "👍" }] });
	expect(second).toMatchObject({ text: "and more", replyTo: { id }, ranges: [{ start: 4, length: 4, style: "bold" }] });
	const { out } = await run("history", BOB);
	expect(out).toContain(`#${id.slice(-8)}`);
	expect(out).toContain("↪ hello you — and more");
	expect(out).toContain("(edited, 👍 alice)");
	expect(out).not.toContain("was: hello");
	expect((await run("history", BOB, "--edits")).out).toMatch(/was: hello$/m);
	await queued("react", id);
	expect((await history())[0]?.reactions).toBe(undefined);
});

test("DELETE-1 delete takes a message away here, with --everyone what was not sent is never sent", async () => {
	await queued("send", BOB, "one");
	await queued("send", BOB, "two");
	expect((await run("delete", await idOf("one"))).code).toBe(0);
	expect((await history()).map(({ text }) => text)).toEqual(["two"]);
	expect((await run("delete", await idOf("two"), "--everyone")).code).toBe(0);
	expect(await history()).toMatchObject([{ text: "", deleted: true }]);
	expect((await run("history", BOB)).out).toContain("(deleted)");
});

test("POLL-1 poll and vote, by text and by place", async () => {
	await queued("poll", BOB, "When?", "now", "later", "--multiple");
	const id = await idOf("When?");
	await queued("vote", id, "later", "1");
	const voters = ["0a000000-0000-4000-8000-00000000000a"];
	const options = [
		{ text: "now", voters },
		{ text: "later", voters },
	];
	expect(await history()).toMatchObject([{ poll: { options, multiple: true, closed: false } }]);
	expect((await run("history", BOB)).out).toContain("1. now 1 alice");
	expect((await run("vote", id, "never")).code).toBe(2);
	expect((await run("edit", id, "Where?")).code).toBe(2);
	await queued("vote", id, "--end");
	expect((await run("vote", id, "1")).code).toBe(5);
});

test("TIMER-1 the timer is set and shown, and messages say how long they last", async () => {
	await queued("timer", BOB, "1d");
	expect(JSON.parse((await run("--json", "timer", BOB)).out)).toMatchObject({ seconds: 86_400 });
	await queued("send", BOB, "soon gone");
	expect(await history()).toMatchObject([{ text: "soon gone", expireAfterSeconds: 86_400 }]);
	expect((await run("history", BOB)).out).toContain("⏱ 1 day");
	expect((await run("timer", BOB, "2y")).code).toBe(2);
	await queued("timer", BOB, "off");
	// What has changed stands between the messages.
	const { out } = await run("--json", "history", BOB);
	const shown = out.split("\n").map((line): Shown => JSON.parse(line));
	expect(shown.map(({ type, seconds }) => [type, seconds])).toEqual([
		["message", undefined],
		["timer-changed", 86_400],
		["timer-changed", 0],
	]);
	expect(shown[1]).toMatchObject({ with: "id:0b000000", account: BOB, number: null, serverTimeMs: null });
	expect((await run("history", "id:0b000000")).out).toContain(
		"alice: Messages with id:0b000000 disappear 1 day after they were read.",
	);
});

test("MESSAGE-2 a text is forwarded with its formatting", async () => {
	await queued("send", BOB, "*look*", "--format");
	await queued("send", BOB, "--forward", await idOf("look"));
	expect((await history())[1]).toMatchObject({ text: "look", forwards: 1, ranges: [{ style: "bold" }] });
});

test.each([
	["a word is no emoji", ["react", "ID", "great"], 2],
	["a poll with one answer", ["poll", BOB, "When?", "now"], 2],
	["a time that is none", ["timer", BOB, "soon"], 2],
	["an id that is nobody's", ["react", "ffffffff", "👍"], 4],
	["too little of an id", ["react", "ID-", "👍"], 4],
	["a vote in what is no poll", ["vote", "ID", "1"], 2],
])("exit code of a wish that can't be: %s", async (_what, args, code) => {
	await queued("send", BOB, "hello");
	await queued("send", BOB, "again");
	const id = await idOf("hello");
	const given = args.map((arg) => arg.replace("ID-", id.slice(0, 4)).replace("ID", id));
	expect((await run(...given)).code).toBe(code);
});

test("MESSAGE-3 a spoiler stays one where a message answers it", async () => {
	await queued("send", BOB, "it was ||the butler|| all along", "--format");
	await queued("reply", await idOf("it was the butler all along"), "no!");
	const { out } = await run("history", BOB);
	expect(out).toContain("↪ it was ▒▒▒▒▒▒▒▒▒▒ all along — no!");
	expect(out).not.toContain("butler");
});

test("CLIENT-2 chats lists the conversations: the pinned first, then the newest, what was put away by itself", async () => {
	const CAROL = "0c000000-0000-4000-8000-00000000000c";
	await queued("send", BOB, "hi bob");
	await queued("send", CAROL, "hi carol");
	const listed = async (...args: string[]): Promise<Shown[]> =>
		(await run("--json", "chats", ...args)).out.split("\n").flatMap((line) => (line === "" ? [] : [JSON.parse(line)]));
	expect((await listed()).map(({ account }) => account)).toEqual([CAROL, BOB]);
	await run("pin", BOB);
	await run("mute", CAROL, "1h");
	const [first, second] = await listed();
	const bob = { type: "chat", with: "id:0b000000", account: BOB, unread: 0, pinned: true, archived: false };
	expect(first).toMatchObject({ ...bob, muted: false, mutedUntilMs: null, blocked: false, draft: null });
	expect(first).toMatchObject({ last: { type: "message", text: "hi bob", status: "queued" } });
	expect(second).toMatchObject({ account: CAROL, muted: true, mutedUntilMs: expect.any(Number) });
	expect((await run("chats")).out).toMatch(
		/^id:0b000000 {2}\(pinned\) {2}\d\d:\d\d you: hi bob …\nid:0c000000 {2}\(muted\) /,
	);
	await run("archive", CAROL);
	expect((await listed()).map(({ account }) => account)).toEqual([BOB]);
	expect((await listed("--archived")).map(({ account }) => account)).toEqual([CAROL]);
	expect((await run("chats")).err).toContain("1 archived: parley chats --archived");
});

test("whose username is not known is called by the beginning of the account id, and can be named by it", async () => {
	await queued("send", BOB, "hi");
	expect((await run("history", "id:0b00")).out).toContain("you: hi");
	expect((await run("--json", "history", "id:0c00")).err).toContain("no_such_user");
	for (const name of ["id:0b0", "id:bob"]) expect((await run("--json", "history", name)).code).toBe(2);
	await queued("send", "0b000000-0000-4000-8000-0000000000bb", "hi too");
	expect((await run("--json", "history", "id:0b00")).err).toContain("several accounts begin so");
});

test("mute, archive and pin are kept, and undone", async () => {
	for (const [args, type] of [
		[["mute", BOB, "8h"], "muted"],
		[["archive", BOB], "archived"],
		[["pin", BOB, "--undo"], "pinned"],
	] as const) {
		const { code, out } = await run("--json", ...args);
		expect(code).toBe(0);
		expect(JSON.parse(out)).toMatchObject({ type, with: BOB });
	}
});

test("the switches of privacy are shown and set; the one that the server keeps is not set without it", async () => {
	const all = { readReceipts: true, typing: true, online: true, lastSeen: true, discoverable: true, requests: true };
	expect(JSON.parse((await run("--json", "privacy")).out)).toEqual({ type: "privacy", ...all });
	for (const [name, field] of [
		["read-receipts", "readReceipts"],
		["typing", "typing"],
		["online", "online"],
		["last-seen", "lastSeen"],
		["requests", "requests"],
	] as const) {
		const { code, out } = await run("--json", "privacy", name, "off");
		expect(code).toBe(0);
		expect(JSON.parse(out)).toEqual({ type: "privacy", ...all, [field]: false });
		await run("privacy", name, "on");
	}
	expect((await run("privacy", "discoverable", "off")).code).toBe(6);
	expect((await run("privacy")).out).toContain("discoverable   on");
	expect((await run("privacy", "typing", "maybe")).code).toBe(2);
});

test("REPORT-1 a report attaches messages of the reported person only, and nothing of a group", async () => {
	await queued("send", BOB, "mine");
	for (const args of [
		["report", BOB, "--message", await idOf("mine")],
		["report", `group:${"0".repeat(64)}`],
		["report", BOB, "--reason", "x".repeat(1_025)],
	]) {
		expect((await run(...args)).code, args.join(" ")).not.toBe(6);
		expect((await run(...args)).code, args.join(" ")).not.toBe(0);
	}
	// All is in order, and nobody is there.
	expect((await run("report", BOB, "--reason", "spam")).code).toBe(6);
});

test("a chat takes the same after a slash, for the newest message where no id is named", async () => {
	lines.push(
		"hello\n",
		"/edit hello you\n",
		"/react 👍\n",
		"/poll When? | now | later\n",
		"/edit hello all\n",
		"/vote 2\n",
		"/what\n",
		"/timer 1h\n",
	);
	const { code, err } = await run("--server", NOBODY, "--json", "chat", BOB);
	expect({ code, err }).toMatchObject({ code: 0 });
	expect(err).toContain("unknown command");
	// Nothing of Bob's is there to react to.
	expect(err).toContain("there is no message yet");
	expect(await history()).toMatchObject([
		{ text: "hello all", earlier: [{ text: "hello" }, { text: "hello you" }] },
		{ text: "When?", poll: { options: [{ voters: [] }, { voters: [expect.any(String)] }] } },
	]);
}, 20_000);

test("a chat takes every other command after a slash, about the one it is with", async () => {
	lines.push(
		"/block\n",
		"/privacy typing off\n",
		"/pin\n",
		"/pin --undo\n",
		"/mute\n",
		"/mute off\n",
		"/chat bob\n",
		"/block --wrongly\n",
		"/history\n",
		"/unblock\n",
		"hello\n",
	);
	const { code, out, err } = await run("--server", NOBODY, "--json", "chat", BOB);
	expect({ code, err }).toMatchObject({ code: 0 });
	expect(out.split("\n").map((line): Shown => JSON.parse(line))).toMatchObject([
		{ type: "blocked", with: BOB },
		{ type: "privacy", typing: false },
		{ type: "pinned", on: true },
		{ type: "pinned", on: false },
		{ type: "muted", untilMs: null },
		{ type: "muted", untilMs: 0 },
		{ type: "unblocked", with: BOB },
		{ type: "message", text: "hello" },
	]);
	expect(err).toContain("there is no command /chat");
	expect(err).toContain("unknown option '--wrongly'");
	const named = (verb: string, rest: string, peer = BOB) => commandArguments({ peer, name: "bob" }, verb, rest);
	expect(named("report", "--reason 'sells things'")).toEqual(["report", "bob", "--reason", "sells things"]);
	expect(named("report", "carol")).toEqual(["report", "carol"]);
	expect(named("group", "add carol")).toEqual(["group", "add", "carol"]);
	const group = "ab".repeat(32);
	expect(named("group", "add carol dora", group)).toEqual(["group", "add", group, "carol", "dora"]);
	expect(named("group", "list", group)).toEqual(["group", "list"]);
	expect(named("mute", "8h")).toEqual(["mute", "bob", "8h"]);
	expect(named("pin", "--undo")).toEqual(["pin", "bob", "--undo"]);
}, 20_000);

test("times and formatting as people read them", () => {
	expect(["30s", "5m", "8h", "1d", "4w", "1y", "90", "off"].map(durationArgument)).toEqual([
		30, 300, 28_800, 86_400, 2_419_200, 31_536_000, 90, 0,
	]);
	expect([1, 90, 3_600, 172_800, 604_800].map(durationWords)).toEqual([
		"1 second",
		"90 seconds",
		"1 hour",
		"2 days",
		"1 week",
	]);
	const colors = pico.createColors(true);
	const ranges = [
		{ start: 0, length: 5, style: "bold" as const },
		{ start: 6, length: 4, style: "spoiler" as const },
	];
	expect(styled("a\u001b[2J secret", ranges, colors)).not.toContain("\u001b[2J");
	expect(styled("hello word", ranges, pico.createColors(false))).toBe("hello ▒▒▒▒");
});
