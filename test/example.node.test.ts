/** The example bot, as its page says to start it, killed and started again. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, test } from "vitest";
import { Backend } from "../scripts/backend.ts";
import { Person, until } from "../scripts/people.ts";

const PATIENCE_MS = 30_000;
const TEST_MS_MAX = 90_000;
const BOT = fileURLToPath(new URL("../examples/echo-bot.ts", import.meta.url));
const folder = mkdtempSync(join(tmpdir(), "parley-example-"));
let backend: Backend;
let alice: Person;
let bot: { child: ChildProcess; said(): string } | undefined;

/** Starts the bot and waits until it listens. */
async function start(name: string): Promise<NonNullable<typeof bot>> {
	const env = { ...process.env, PARLEY_SERVER: backend.url, PARLEY_DATA: join(folder, "bot") };
	const child = spawn(process.execPath, ["--disable-warning=ExperimentalWarning", BOT, name], { env });
	let output = "";
	for (const stream of [child.stdout, child.stderr]) stream.on("data", (chunk) => (output += String(chunk)));
	bot = { child, said: () => output };
	await until(async () => output.includes("listens"), PATIENCE_MS, "the bot");
	return bot;
}

beforeAll(async () => {
	backend = await Backend.start({ stateDir: join(folder, "backend") });
	alice = new Person("alice", folder, backend.url);
	await alice.goOnline();
}, TEST_MS_MAX);

afterAll(async () => {
	bot?.child.kill("SIGKILL");
	await alice?.goOffline();
	await backend?.stop();
	rmSync(folder, { recursive: true, force: true, maxRetries: 3 });
}, TEST_MS_MAX);

test("CLIENT-1 the example bot answers what came while it was killed, once, and ends when it is told to", {
	timeout: TEST_MS_MAX,
}, async () => {
	const echo = new Person("echo", folder, backend.url);
	const answers = async (): Promise<(string | undefined)[]> => (await alice.heard(echo)).map((message) => message.body);
	const first = await start(echo.name);
	await alice.device.send(echo.name, "one");
	await until(async () => (await answers()).length === 1, PATIENCE_MS, "the first answer");

	const killed = once(first.child, "exit");
	first.child.kill("SIGKILL");
	await killed;
	for (const text of ["two", "three"]) {
		await alice.device.sent((await alice.device.send(echo.name, text)).id, PATIENCE_MS);
	}
	const second = await start(echo.name);
	await until(async () => (await answers()).length >= 3, PATIENCE_MS, "the other answers");
	const ended = once(second.child, "exit");
	second.child.kill("SIGTERM");
	expect(await ended).toEqual([0, null]);
	expect(await answers()).toEqual(["one", "two", "three"]);
	expect(second.said().match(/answered/g)).toHaveLength(2);
});
