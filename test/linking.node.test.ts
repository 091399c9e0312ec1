/** Linking that is killed, on either side and at any step, and begun again by a person. */
import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { afterAll, beforeAll, expect, test } from "vitest";
import { becomeDevice, linkDevice } from "../client/linking.ts";
import type { LocalAccount } from "../client/machine/interface.ts";
import { completeRegistration, makeRegistration } from "../client/signal/registration.ts";
import { Store } from "../client/store/database.ts";
import { systemClock } from "../client/transport/clock.ts";
import { DeviceCalls } from "../client/transport/device_calls.ts";
import { Api } from "../client/transport/http.ts";
import { Backend } from "../scripts/backend.ts";
import { ROOT } from "../scripts/repository.ts";

const TEST_MS_MAX = 120_000;
const KEY = new Uint8Array(32).fill(9);
const folder = mkdtempSync(join(tmpdir(), "parley-linking-"));
let backend: Backend;
let store: Store;
let account: LocalAccount;
let calls: DeviceCalls;

type CallName = "openLink" | "putLink" | "takeLink" | "token" | "add" | "list";
type Kill = { at: CallName; when: "before" | "after" };

class Killed extends Error {}

/** The real calls, of a program that is killed just before or just after one of them, once. */
function killing(real: DeviceCalls, kill: Kill | undefined): DeviceCalls {
	let armed = kill;
	const taken = (answer: unknown) => typeof answer === "object" && answer !== null && "ciphertext" in answer;
	return new Proxy(real, {
		get(target, name) {
			const method: unknown = Reflect.get(target, name);
			if (typeof method !== "function" || name !== armed?.at) {
				return typeof method === "function" ? method.bind(target) : method;
			}
			return async (...parts: unknown[]) => {
				if (armed?.when === "before") {
					armed = undefined;
					throw new Killed();
				}
				const answer: unknown = await method.apply(target, parts);
				// Looking into an empty mailbox is no step.
				if (name === "takeLink" && !taken(answer)) return answer;
				armed = undefined;
				throw new Killed();
			};
		},
	});
}

beforeAll(async () => {
	backend = await Backend.start({ stateDir: join(folder, "backend") });
	store = Store.open(join(folder, "old.db"), KEY);
	const api = new Api({ server: backend.url, clock: systemClock });
	const request = makeRegistration(store, "linking_alice", backend.url, Date.now(), "old");
	account = completeRegistration(store, await api.register(request));
	calls = new DeviceCalls(new Api({ server: backend.url, clock: systemClock, credentials: account }));
}, TEST_MS_MAX);

afterAll(async () => {
	store?.close();
	await backend?.stop();
	rmSync(folder, { recursive: true, force: true, maxRetries: 3 });
}, TEST_MS_MAX);

/** Links a device with a kill on the way. What was killed is started again, by the same commands. */
async function link(name: string, kill: { fresh?: Kill; old?: Kill }): Promise<number> {
	const server = backend.url;
	const path = join(folder, `${name}.db`);
	const [freshCalls, oldCalls] = [
		killing(new DeviceCalls(new Api({ server, clock: systemClock })), kill.fresh),
		killing(calls, kill.old),
	];
	const hand = async (code: string): Promise<void> => {
		const options = { store, account, server, calls: oldCalls, clock: systemClock, confirm: async () => true };
		try {
			await linkDevice(code, options);
		} catch (error) {
			// The person tries once more; that the code was used is then the answer of a success before.
			if (error instanceof Killed) await linkDevice(code, options).catch(() => undefined);
		}
	};
	for (let round = 0; ; round++) {
		const fresh = Store.open(path, KEY);
		const handing: Promise<void>[] = [];
		try {
			const options = { store: fresh, calls: freshCalls, clock: systemClock, server, name };
			const linked = await becomeDevice({ ...options, onCode: (code) => void handing.push(hand(code)) });
			await Promise.all(handing);
			return linked.deviceId;
		} catch (error) {
			if (!(error instanceof Killed) || round > 2) throw error;
			// The old device must not wait for one that never comes.
			void Promise.all(handing);
		} finally {
			fresh.close();
		}
	}
}

test.each<[string, { fresh?: Kill; old?: Kill }]>([
	["the new device, when it has taken the keys and not stored them", { fresh: { at: "takeLink", when: "after" } }],
	["the new device, before it registers", { fresh: { at: "add", when: "before" } }],
	["the new device, before it hears that it is registered", { fresh: { at: "add", when: "after" } }],
	["the old device, between asking for a token and sending the keys", { old: { at: "putLink", when: "before" } }],
	["the old device, when it has just sent the keys", { old: { at: "putLink", when: "after" } }],
])("LINK-5 killed: %s; again by the same commands, it is one device", { timeout: TEST_MS_MAX }, async (what, kill) => {
	const before = (await calls.list()).length;
	const device = await link(what.replace(/\W+/g, "-"), kill);
	const after = await calls.list();
	expect(after.map(({ deviceId }) => deviceId)).toContain(device);
	expect(after).toHaveLength(before + 1);
});

/** The command line, as a process of its own. */
function cli(data: string, ...args: string[]): { child: ChildProcess; lines: AsyncIterator<string> } {
	const child = spawn("node", ["cli/parley.js", "--json", "--data", join(folder, data), ...args], {
		cwd: ROOT,
		stdio: ["ignore", "pipe", "inherit"],
	});
	if (child.stdout === null) throw new Error("no output");
	return { child, lines: createInterface({ input: child.stdout })[Symbol.asyncIterator]() };
}

const next = async (lines: AsyncIterator<string>): Promise<Record<string, unknown>> =>
	JSON.parse((await lines.next()).value);

test("LINK-5 a new device's process gets SIGKILL while it shows its code; the next code links it", {
	timeout: TEST_MS_MAX,
}, async () => {
	const first = cli("phone", "--server", backend.url, "link", "--name", "phone");
	const shown = await next(first.lines);
	expect(shown).toMatchObject({ type: "link", link: expect.stringMatching(/^parley:\/\/link\?v=1&/) });
	first.child.kill("SIGKILL");
	const second = cli("phone", "--server", backend.url, "link", "--name", "phone");
	const { link } = await next(second.lines);
	expect(link).not.toBe(shown.link);
	const options = { store, account, server: backend.url, calls, clock: systemClock, confirm: async () => true };
	const linked = await linkDevice(String(link), options);
	expect(await next(second.lines)).toMatchObject({ type: "linked", username: "linking_alice", device: linked });
});

test("DEVICE-6 an unlinked device's next command ends with exit code 10 and says why; its history stays readable", {
	timeout: TEST_MS_MAX,
}, async () => {
	const { deviceId } = await linkedPhone();
	await calls.unlink(deviceId);
	for (const args of [["receive", "--timeout", "10"], ["devices"], ["send", "linking_alice", "hello"]]) {
		const { code, error } = await ended("phone", ...args);
		expect(code, args[0]).toBe(10);
		expect(error, args[0]).toMatchObject({ error: { code: "device_unlinked" } });
	}
	expect((await ended("phone", "history", "linking_alice")).code).toBe(0);
});

/** The phone of the test before, as the server lists it. */
async function linkedPhone(): Promise<{ deviceId: number }> {
	const newest = (await calls.list()).at(-1);
	if (newest === undefined) throw new Error("no devices");
	return newest;
}

/** Runs a command to its end. */
async function ended(data: string, ...args: string[]): Promise<{ code: number | null; error: unknown }> {
	const child = spawn("node", ["cli/parley.js", "--json", "--data", join(folder, data), ...args], {
		cwd: ROOT,
		stdio: ["ignore", "ignore", "pipe"],
	});
	let text = "";
	child.stderr?.on("data", (chunk) => {
		text += String(chunk);
	});
	const code = await new Promise<number | null>((resolve) => child.once("close", resolve));
	return { code, error: text === "" ? undefined : JSON.parse(text) };
}
