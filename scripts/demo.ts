/**
 * `npm run demo`: two people, then three, the whole backend, and the worst that can happen to it, on this computer. It
 * ends with 0 only if every promise held.
 */
import { randomBytes } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import colors from "picocolors";
import type { ParleyNotice } from "../client/parley.ts";
import { Backend } from "./backend.ts";
import { type Canary, searchFolders } from "./canaries.ts";
import { showFiles } from "./demo_files.ts";
import { showGroup } from "./demo_group.ts";
import { endWith, readOptions } from "./options.ts";
import { Person, until } from "./people.ts";
import { type StoredTable, storedTables } from "./stored.ts";

const OFFLINE_MESSAGES = 200;
const CRASH_MESSAGES = 50;
/** Accepted when the plug is pulled; the others are under way then, or sent while nobody answers. */
const BEFORE_CRASH = 20;
/** Between two messages, so that the plug is pulled among them and not after them. */
const PACE_MS = 3;
const PATIENCE_MS = 60_000;

interface Step {
	what: string;
	held: boolean;
	took_ms: number;
	detail: string;
}

const ACTS = ["talk", "group", "files"];
const HELP = `npm run demo -- [options]

Shows Parley on this computer: the real backend, people who talk, an outage, a crash, a group, files. The exit code is 0
only if every promise held. It needs no Cloudflare account, and removes its files at the end.

  --act NAME  one act of ${ACTS.join(", ")} instead of all three
  --json      one JSON object at the end instead of text
  --keep      leaves the files where they are, and says where
  --help      this text
`;

const values = readOptions(HELP, {
	options: {
		json: { type: "boolean", default: false },
		keep: { type: "boolean", default: false },
		act: { type: "string" },
	},
});
if (values.act !== undefined && !ACTS.includes(values.act)) endWith(`--act takes one of ${ACTS.join(", ")}`);
const plays = (act: string) => values.act === undefined || values.act === act;
const say = (line: string) => values.json || console.log(line);
const steps: Step[] = [];
/** In every text, so that one search finds any of them. */
const mark = `canary-${randomBytes(8).toString("hex")}`;
const folder = mkdtempSync(join(tmpdir(), "parley-demo-"));
const stateDir = join(folder, "backend");
const start_ms = performance.now();
const spoken: string[] = [];

/** Does something and notes whether it held: `work` returns what is shown beside it, or throws. */
async function step(what: string, work: () => Promise<string>): Promise<void> {
	const began_ms = performance.now();
	let detail: string;
	let held = true;
	try {
		detail = await work();
	} catch (error) {
		held = false;
		detail = error instanceof Error ? error.message : String(error);
	}
	const took_ms = Math.round(performance.now() - began_ms);
	steps.push({ what, held, took_ms, detail });
	const time = colors.dim(`${(took_ms / 1000).toFixed(1).padStart(5)} s`);
	say(`${held ? colors.green("✓") : colors.red("✗")} ${time}  ${what.padEnd(44)} ${colors.dim(detail)}`);
	if (!held) throw new Error(`${what}: ${detail}`);
}

/** The next text that Alice says; every one is remembered, for the count at the end. */
function nextText(about: string): string {
	const text = `${mark} ${spoken.length + 1} ${about}`;
	spoken.push(text);
	return text;
}

async function scenario(): Promise<StoredTable[]> {
	let backend: Backend | undefined;
	try {
		await step("four Workers start", async () => {
			backend = await Backend.start({ stateDir });
			return backend.url;
		});
		if (backend === undefined) throw new Error("no backend");
		const watch = new Set<(notice: ParleyNotice) => void>();
		const alice = new Person("alice", folder, backend.url, (notice) => watch.forEach((each) => void each(notice)));
		const bob = new Person("bob", folder, backend.url);

		await step("Alice and Bob register", async () => {
			await Promise.all([alice.goOnline(), bob.goOnline()]);
			return "the server sees hashes of their names";
		});
		if (plays("talk")) backend = await showTalk(alice, bob, backend);
		const people = [alice, bob];
		if (plays("group")) {
			people.push(await showGroup(step, { alice, bob, folder, server: backend.url, mark, patience_ms: PATIENCE_MS }));
		}
		const server = backend.url;
		const crashBackend = async () => {
			await backend?.kill();
			backend = await Backend.start({ stateDir, port: Number(new URL(server).port) });
		};
		const demo = { alice, bob, folder, server, mark, patience_ms: 3 * PATIENCE_MS, watch, crashBackend };
		const photo = plays("files") ? await showFiles(step, demo) : undefined;

		const accounts = [alice, bob].map((person) => person.device.whoami().accountId);
		await Promise.all([alice.goOffline(), bob.goOffline()]);
		await backend.stop();
		await step("no text, name or key in what it stored", async () => search(people, accounts, photo));
		return storedTables(stateDir);
	} finally {
		await backend?.stop();
	}
}

/** Two people, an outage and a crash. Returns the backend that runs at the end. */
async function showTalk(alice: Person, bob: Person, backend: Backend): Promise<Backend> {
	await step("they talk, both ways", () => talk(alice, bob));
	await step("sent, delivered, read", () => receipts(alice, bob));
	await step(`Bob is offline for ${OFFLINE_MESSAGES} messages`, () => offline(alice, bob));
	await step("nothing readable while they wait", async () => {
		const { files, hits } = searchFolders([stateDir], [{ name: "text", secret: mark }]);
		if (hits.length > 0) throw new Error(`found in ${hits.map((hit) => hit.path).join(", ")}`);
		return `${files} files of storage and logs searched`;
	});
	await step("Bob comes back", async () => {
		await bob.goOnline();
		await bob.hear(alice, spoken.length, PATIENCE_MS);
		return `${spoken.length} messages there`;
	});
	let running = backend;
	await step(`kill -9 while ${CRASH_MESSAGES} are sent, restart`, async () => {
		const [restarted, detail] = await crash(alice, bob, backend);
		running = restarted;
		return detail;
	});
	await step("every message once, in order, at Bob", () => onceInOrder(alice, bob));
	return running;
}

async function talk(alice: Person, bob: Person): Promise<string> {
	const began_ms = performance.now();
	await alice.device.send(bob.name, nextText("hello Bob"));
	await bob.hear(alice, 1, PATIENCE_MS);
	const first_ms = performance.now() - began_ms;
	await bob.device.send(alice.name, `${mark} hello Alice`);
	await alice.hear(bob, 1, PATIENCE_MS);
	return `first message after ${Math.round(first_ms)} ms, with the key agreement`;
}

async function receipts(alice: Person, bob: Person): Promise<string> {
	const began_ms = performance.now();
	const seen: string[] = [];
	const reaches = async (id: string, status: string) => {
		await until(
			() => {
				const now = alice.device.find(id)?.status ?? "";
				if (seen.at(-1) !== now) seen.push(now);
				return now === status;
			},
			PATIENCE_MS,
			`${status} (so far ${seen.join(", ")})`,
		);
		return `${status} ${Math.round(performance.now() - began_ms)} ms`;
	};
	await bob.device.settings.acceptRequest(alice.device.whoami().accountId);
	const { id } = await alice.device.send(bob.name, nextText("how are you?"));
	await alice.device.sent(id, PATIENCE_MS);
	const times = [`sent ${Math.round(performance.now() - began_ms)} ms`, await reaches(id, "delivered")];
	bob.device.markAllRead(alice.device.whoami().accountId);
	for (const entry of await bob.heard(alice)) {
		if (entry.number !== undefined) bob.device.markRead(entry.peer, entry.number);
	}
	times.push(await reaches(id, "read"));
	return times.join(", ");
}

async function offline(alice: Person, bob: Person): Promise<string> {
	await bob.goOffline();
	const began_ms = performance.now();
	const ids: string[] = [];
	for (let index = 0; index < OFFLINE_MESSAGES; index++) {
		ids.push((await alice.device.send(bob.name, nextText("while you were away"))).id);
	}
	for (const id of ids) await alice.device.sent(id, PATIENCE_MS);
	const rate = OFFLINE_MESSAGES / ((performance.now() - began_ms) / 1000);
	return `all accepted, ${Math.round(rate)} a second`;
}

/** The plug is pulled between two messages; the same storage then starts again under the same address. */
async function crash(alice: Person, bob: Person, backend: Backend | undefined): Promise<[Backend, string]> {
	if (backend === undefined) throw new Error("no backend");
	let killing: Promise<void> | undefined;
	const ids: string[] = [];
	const accepted = () => ids.filter((id) => alice.device.find(id)?.status !== "queued").length;
	for (let index = 0; index < CRASH_MESSAGES; index++) {
		ids.push((await alice.device.send(bob.name, nextText("in the storm"))).id);
		if (accepted() >= BEFORE_CRASH) killing ??= backend.kill();
		await sleep(PACE_MS);
	}
	await (killing ?? backend.kill());
	const before = accepted();
	const restarted = await Backend.start({ stateDir, port: Number(new URL(backend.url).port) });
	const began_ms = performance.now();
	for (const id of ids) await alice.device.sent(id, PATIENCE_MS);
	await bob.hear(alice, spoken.length, PATIENCE_MS);
	const took_s = ((performance.now() - began_ms) / 1000).toFixed(1);
	return [restarted, `${before} accepted before, all there ${took_s} s after the restart`];
}

async function onceInOrder(alice: Person, bob: Person): Promise<string> {
	// A repetition would come after the last message, so it gets a moment to.
	await sleep(500);
	const heard = await bob.heard(alice);
	const bodies = heard.map((message) => message.body);
	if (new Set(bodies).size !== bodies.length) throw new Error("a message came twice");
	const wrong = spoken.findIndex((text, index) => bodies[index] !== text);
	if (wrong !== -1 || bodies.length !== spoken.length) {
		throw new Error(`${bodies.length} of ${spoken.length} came, and the first difference is at ${wrong + 1}`);
	}
	return `${bodies.length} of ${spoken.length}`;
}

function search(people: readonly Person[], accounts: readonly string[], photo: Uint8Array | undefined): string {
	const canaries: Canary[] = [
		{ name: "text", secret: mark },
		...(photo === undefined ? [] : [{ name: "the photo", secret: photo }]),
		...people.flatMap((person) => {
			const { identityKey, deviceSecret } = person.secrets();
			return [
				{ name: `the name ${person.name}`, secret: person.name },
				{ name: `identity key of ${person.name}`, secret: identityKey },
				{ name: `device secret of ${person.name}`, secret: deviceSecret },
				{ name: `device secret of ${person.name}, as bytes`, secret: Buffer.from(deviceSecret, "base64url") },
			];
		}),
	];
	// The control: what the server does know has to be found, or the search is blind.
	const control = accounts.map((account) => ({ name: account, secret: account }));
	if (new Set(searchFolders([stateDir], control).hits.map((hit) => hit.canary)).size !== accounts.length) {
		throw new Error("the search does not find the account ids, which are stored");
	}
	const { files, bytes, hits } = searchFolders([stateDir], canaries);
	if (hits.length > 0) throw new Error(hits.map((hit) => `${hit.canary} in ${hit.path}`).join("; "));
	return `0 of ${canaries.length} found in ${files} files, ${(bytes / 1024 / 1024).toFixed(1)} MiB`;
}

function showStored(tables: readonly StoredTable[]): void {
	say(`\n${colors.bold("What the server had stored at the end")} ${colors.dim("(specs/storage.md has every column)")}`);
	for (const store of new Set(tables.map((table) => table.store))) {
		const parts = tables
			.filter((each) => each.store === store)
			.map((each) => {
				const payloads = each.payloads === undefined ? "" : colors.dim(` (${each.payloads} with ciphertext)`);
				return `${each.table} ${colors.bold(String(each.rows))}${payloads}`;
			});
		say(`  ${store.padEnd(13)} ${parts.join(colors.dim(" · "))}`);
	}
}

for (const signal of ["SIGINT", "SIGTERM"] as const) {
	process.once(signal, () => {
		rmSync(folder, { recursive: true, force: true, maxRetries: 3 });
		process.exit(1);
	});
}

let tables: StoredTable[] = [];
try {
	tables = await scenario();
	showStored(tables);
} catch (error) {
	process.exitCode = 1;
	if (steps.every((each) => each.held)) throw error;
} finally {
	if (values.keep) console.error(`files: ${folder}`);
	else rmSync(folder, { recursive: true, force: true, maxRetries: 3 });
}
const took_s = ((performance.now() - start_ms) / 1000).toFixed(1);
const held = process.exitCode !== 1;
if (values.json) console.log(JSON.stringify({ held, took_s: Number(took_s), steps, stored: tables }, undefined, "\t"));
else say(`\n${held ? colors.green("All promises held") : colors.red("A promise was broken")}, in ${took_s} s.`);
process.exit(held ? 0 : 1);
