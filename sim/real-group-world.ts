/**
 * A world with a group of real clients: state machine, encrypted files and libsignal with its sender keys. They write and
 * change the group all at once, in the same trouble as light devices do (`group-world.ts`).
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { groupId, uuidFromBytes } from "../protocol/ids.ts";
import type { RosterMember } from "../workers/conversation-do/interface.ts";
import { Accounts } from "./account.ts";
import { Changes } from "./changes.ts";
import type { Device } from "./device.ts";
import { Directory } from "./directory.ts";
import type { Fault } from "./faults.ts";
import { GroupApi } from "./group-api.ts";
import { GroupPeople } from "./group-people.ts";
import { type GroupClimate, judgeGroup } from "./group-world.ts";
import { History } from "./history.ts";
import { Link } from "./network.ts";
import { ObjectHost } from "./object.ts";
import { Random } from "./random.ts";
import { checkOpened, ledgerOf, sharedEntries } from "./real-group-checker.ts";
import { RealGroupClient, type RealGroupSurroundings } from "./real-group-client.ts";
import { plantInCipher, plantInFile } from "./real-group-faults.ts";
import { Schedule } from "./schedule.ts";
import type { Outcome } from "./world.ts";

const START_MS = Date.UTC(2026, 0, 1);
const REST_MS = 60 * 60_000;
const LAST_MS = 2 * 60_000;

/** Runs the world of a seed to its end and judges it. */
export async function runRealGroupWorld(seed: number, fault: Fault): Promise<Outcome> {
	const random = new Random(seed);
	const climate = makeClimate(random);
	const schedule = new Schedule(START_MS);
	const history = new History(() => schedule.nowMs - START_MS);
	let isCalm = false;
	const calm = (): boolean => isCalm;
	const accounts = new Accounts(schedule, random.fork(), history, random.fraction() * 0.5);
	const crashes = random.chance(0.3) ? 0 : 0.03 * random.fraction();
	const host = new ObjectHost({ schedule, history, random: random.fork(), fault, accounts, crashes, calm }, true);
	let links = 0;
	const network = random.fork();
	const connect = (device: Device): Link => {
		const link = new Link(++links, schedule, network.fork(), climate);
		schedule.after(network.between(1, climate.delayMs), () => host.connect(link, device));
		return link;
	};
	const tell = (member: RosterMember): boolean => host.setDevices(member);
	const changes = new Changes({ schedule, random: random.fork(), history, fault, tell, calm });
	host.changes = changes;
	const api = new GroupApi({ schedule, random: random.fork(), host, changes, calm });
	const seedBytes = random.bytes(32);
	const group = await groupId(seedBytes);
	const folder = mkdtempSync(join(tmpdir(), "parley-sim-"));
	const directory = new Directory();
	const clients: RealGroupClient[] = [];
	const intents: RealGroupSurroundings["intents"] = new Map();
	const add = (account: string, device: number): RealGroupClient => {
		const old = clients.find((one) => one.account === account);
		const around: RealGroupSurroundings = {
			...{ schedule, history, random: random.fork(), accounts, directory, connect, calm, intents },
			path: join(folder, `${account}.${device}.db`),
			crashes: climate.clientCrashes,
			plant: (store) => plantInFile(store, fault),
			api: () => api,
			seed: Buffer.from(seedBytes).toString("base64url"),
			linkKey: () => clients.map((one) => one.groupKey).find((key) => key !== undefined),
		};
		const client = new RealGroupClient({ account, peer: group, device, old }, around);
		clients.push(client);
		accounts.add(client);
		return client;
	};
	const restore = plantInCipher(fault);
	try {
		for (const count of climate.accounts) {
			const account = uuidFromBytes(random.bytes(16));
			for (let device = 1; device <= count; device++) add(account, device);
		}
		changes.begin(clients);
		const deleted = new Set<string>();
		const unlisted = {
			remove: (device: Device): void => {
				accounts.remove(device);
				directory.remove(device.account, device.device);
			},
		};
		const people = new GroupPeople({
			...{ climate, schedule, random: random.fork(), clients, changes, accounts: unlisted, host, add, calm, deleted },
			othersGoOn: () => true,
			remove: (account) => host.removeMember(account),
		});
		people.plan();

		await schedule.runUntil(START_MS + climate.troubleMs);
		history.note("the trouble ends");
		isCalm = true;
		accounts.calm();
		await schedule.runUntil(schedule.nowMs + REST_MS / 6);
		// Whoever was added by somebody who went away at once has the group's key from the next who writes.
		for (const client of clients) if (client.half.member === true) client.offer();
		await schedule.runUntil(schedule.nowMs + REST_MS);
		for (const client of clients) client.note();
		history.observe({ type: "rested" });
		for (const client of clients) {
			client.cut();
			client.connect();
		}
		await schedule.runUntil(schedule.nowMs + LAST_MS);
		const ledger = ledgerOf(host.payloads, host.rows().at(-1)?.number ?? 0, intents);
		for (const client of clients) client.tellStates(ledger);
		const violations = judgeGroup({ history, host, changes, clients, deleted, elsewhere: [] });
		violations.push(...(await checkOpened(history, clients, sharedEntries(host.logged()))));
		return { seed, violations, trace: history.trace, entries: host.rows().length };
	} finally {
		restore();
		for (const client of clients) client.close();
		rmSync(folder, { recursive: true, force: true });
	}
}

/** Smaller than a light group's: libsignal takes its time. */
function makeClimate(random: Random): GroupClimate {
	const rate = (often: number): number => (random.chance(0.3) ? 0 : often * random.fraction());
	const members = random.between(3, 4);
	return {
		delayMs: random.chance(0.5) ? 30 : 800,
		noticeMs: random.chance(0.5) ? 1_000 : 30_000,
		accounts: Array.from({ length: members + 1 }, () => random.between(1, 2)),
		members,
		messages: random.between(5, 12),
		changes: random.between(4, 10),
		troubleMs: random.between(20_000, 60_000),
		clientCrashes: rate(0.02),
		objectCrashes: rate(4),
		evictions: rate(8),
		cuts: rate(12),
	};
}
