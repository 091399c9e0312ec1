/** A device is killed with SIGKILL at every step of sending and receiving, and started again on what is on its disk. */
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { systemClock } from "../client/transport/clock.ts";
import { Api } from "../client/transport/http.ts";
import { Backend } from "../scripts/backend.ts";
import { Person, until } from "../scripts/people.ts";

const PATIENCE_MS = 20_000;
const TEST_MS_MAX = 60_000;
const DEVICE = fileURLToPath(new URL("kill-device.ts", import.meta.url));

/** The moment in the words of `kill-device.ts`, and how often it comes before it is the one. */
type Point = readonly [at: string, what: string, nth?: number];

/** Of a device that has a session with its peer, to whom two texts wait and who sends two. */
const POINTS: readonly Point[] = [
	["begin", "send-text"],
	["commit", "send-text"],
	["committed", "send-text"],
	// The conversation is open by then: this step encrypts.
	["commit", "send-text", 2],
	["committed", "send-text", 2],
	["sending", "send"],
	["sent", "send"],
	["sent", "send", 2],
	["arriving", "accepted"],
	["commit", "accepted"],
	["committed", "accepted"],
	["sent", "hello", 2],
	["commit", "welcome"],
	["committed", "welcome"],
	["arriving", "entry"],
	["arriving", "entry", 2],
	["begin", "entry"],
	["commit", "entry"],
	["committed", "entry"],
	["sending", "acknowledge"],
	["sent", "acknowledge"],
	["commit", "news"],
	["sent", "seen"],
	["sent", "read"],
];

/** Of a device that meets its peer for the first time, as the one who writes first. */
const FIRST_SENDER: readonly Point[] = [
	["commit", "prekeys-claimed"],
	["committed", "prekeys-claimed"],
	["sent", "send"],
];

/** And as the one who is written to first. */
const FIRST_RECEIVER: readonly Point[] = [
	["commit", "entry"],
	["committed", "entry"],
];

const folder = mkdtempSync(join(tmpdir(), "parley-kill-"));
let backend: Backend;
let bob: Person;
/** What Bob could not read, which is nothing. */
let unreadable = 0;

beforeAll(async () => {
	backend = await Backend.start({ stateDir: join(folder, "backend") });
	bob = new Person("bob", folder, backend.url, (notice) => {
		if (notice.type === "message" && notice.message.status === "undecryptable") unreadable++;
	});
	await bob.goOnline();
}, TEST_MS_MAX);

afterAll(async () => {
	await bob?.goOffline();
	await backend?.stop();
	rmSync(folder, { recursive: true, force: true, maxRetries: 3 });
}, TEST_MS_MAX);

/** Somebody's device, its access token, and what was said so far. */
class Victim {
	readonly person: Person;
	readonly written: string[] = [];
	readonly received: string[] = [];
	readonly #dataDir: string;
	#token = "";

	constructor(name: string) {
		this.person = new Person(name, folder, backend.url);
		this.#dataDir = join(folder, name);
	}

	async register(): Promise<void> {
		await this.person.goOnline();
		const api = new Api({ server: backend.url, clock: systemClock, credentials: this.person.device.whoami() });
		this.#token = await api.accessToken();
		await this.person.goOffline();
	}

	/** What waits for the device when it starts. */
	async hear(...texts: string[]): Promise<void> {
		for (const text of texts) {
			const { id } = await bob.device.send(this.person.name, text);
			await bob.device.sent(id, PATIENCE_MS);
			this.received.push(text);
		}
	}

	/** Runs the device until it kills itself, and tells how it ended. */
	async run([at, what, nth = 1]: Point, ...texts: string[]): Promise<{ signal: string | null; output: string }> {
		this.written.push(...texts);
		const options = { data: this.#dataDir, token: this.#token, peer: bob.name, at, what, nth };
		const args = Object.entries(options).flatMap(([name, value]) => [`--${name}`, String(value)]);
		const child = spawn(process.execPath, ["--disable-warning=ExperimentalWarning", DEVICE, ...args, ...texts], {
			stdio: ["ignore", "pipe", "pipe"],
		});
		let output = "";
		for (const stream of [child.stdout, child.stderr]) stream.on("data", (chunk) => (output += String(chunk)));
		const signal = await new Promise<string | null>((resolve) => child.once("close", (_code, by) => resolve(by)));
		return { signal, output };
	}

	/** Starts on what the kill left; whoever wrote a text that is not there writes it again. */
	async recover(): Promise<void> {
		await this.person.goOnline();
		const { device } = this.person;
		const stored = (await device.history(bob.name, 10_000)).filter((message) => message.outgoing);
		for (const text of this.written.slice(stored.length)) await device.send(bob.name, text);
		await this.person.hear(bob, this.received.length, PATIENCE_MS);
		await bob.hear(this.person, this.written.length, PATIENCE_MS);
		await until(
			async () => (await this.#texts()).every(({ status }) => status !== "queued"),
			PATIENCE_MS,
			"the outbox",
		);
		await device.flush(PATIENCE_MS);
	}

	async #texts() {
		return this.person.device.history(bob.name, 10_000);
	}

	/** Nothing is lost, twice, out of order or unreadable, and no entry was needed beside the texts. */
	async check(): Promise<void> {
		const mine = await this.#texts();
		const theirs = await bob.device.history(this.person.name, 10_000);
		const bodies = (messages: typeof mine, outgoing: boolean) =>
			messages.filter((message) => message.outgoing === outgoing).map(({ body }) => body);
		expect(bodies(mine, true)).toEqual(this.written);
		expect(bodies(theirs, false)).toEqual(this.written);
		expect(bodies(mine, false)).toEqual(this.received);
		const all = this.written.length + this.received.length;
		expect(mine.map(({ number }) => number)).toEqual(Array.from({ length: all }, (_, index) => index + 1));
		expect(theirs.map(({ number, body }) => [number, body])).toEqual(mine.map(({ number, body }) => [number, body]));
		expect(unreadable).toBe(0);
	}
}

const title = ([at, what, nth = 1]: Point): string => `${at} ${what}${nth > 1 ? ` (${nth})` : ""}`;

describe("a device with a session", () => {
	let alice: Victim;
	beforeAll(async () => {
		alice = new Victim("alice");
		await alice.register();
		await alice.hear("first of all");
		await alice.recover();
		await alice.person.goOffline();
	}, TEST_MS_MAX);

	for (const point of POINTS) {
		test(`CLIENT-1 killed at: ${title(point)}`, { timeout: TEST_MS_MAX }, async () => {
			const round = title(point);
			await alice.hear(`to Alice 1 ${round}`, `to Alice 2 ${round}`);
			const { signal, output } = await alice.run(point, `of Alice 1 ${round}`, `of Alice 2 ${round}`);
			expect(signal, output).toBe("SIGKILL");
			try {
				await alice.recover();
				await alice.check();
			} finally {
				await alice.person.goOffline();
			}
		});
	}
});

describe("a first contact", () => {
	const firsts = [
		...FIRST_SENDER.map((point) => ({ point, writes: true })),
		...FIRST_RECEIVER.map((point) => ({ point, writes: false })),
	];
	for (const [index, { point, writes }] of firsts.entries()) {
		test(`CLIENT-1 the one who ${writes ? "writes" : "is written to"}, killed at: ${title(point)}`, {
			timeout: TEST_MS_MAX,
		}, async () => {
			const carol = new Victim(`carol${index}`);
			await carol.register();
			if (!writes) await carol.hear("hello Carol", "are you there?");
			const { signal, output } = await carol.run(point, "hello Bob", "it is me");
			expect(signal, output).toBe("SIGKILL");
			try {
				await carol.recover();
				await carol.check();
			} finally {
				await carol.person.goOffline();
			}
		});
	}
});
