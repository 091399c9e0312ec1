/** A world with two real clients: state machine, encrypted files and libsignal, over the same network and object. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { uuidFromBytes } from "../protocol/ids.ts";
import type { RosterMember } from "../workers/conversation-do/interface.ts";
import { Accounts } from "./account.ts";
import { Changes } from "./changes.ts";
import { check } from "./checker.ts";
import type { Device } from "./device.ts";
import { Directory } from "./directory.ts";
import { NO_FAULT } from "./faults.ts";
import { History } from "./history.ts";
import { MachineClient } from "./machine-client.ts";
import { Link } from "./network.ts";
import { ObjectHost } from "./object.ts";
import { Random } from "./random.ts";
import { Schedule } from "./schedule.ts";
import type { Outcome } from "./world.ts";

const START_MS = Date.UTC(2026, 0, 1);
const TROUBLE_MS = 180_000;
const REST_MS = 3 * 60 * 60_000;
const LAST_MS = 2 * 60_000;
const WEATHER = { delayMs: 200, noticeMs: 20_000 };

/** Runs it to its end and judges it. `changing`: devices are linked and unlinked meanwhile. */
export async function runMachineWorld(seed: number, changing = false): Promise<Outcome> {
	const random = new Random(seed);
	const schedule = new Schedule(START_MS);
	const history = new History(() => schedule.nowMs - START_MS);
	let calm = false;
	const accounts = new Accounts(schedule, random.fork(), history, 0.1);
	const host = new ObjectHost({
		schedule,
		history,
		random: random.fork(),
		fault: NO_FAULT,
		accounts,
		crashes: 0.01,
		calm: () => calm,
	});
	let links = 0;
	const network = random.fork();
	const connect = (device: Device): Link => {
		const link = new Link(++links, schedule, network.fork(), WEATHER);
		schedule.after(network.between(1, WEATHER.delayMs), () => host.connect(link, device));
		return link;
	};
	const folder = mkdtempSync(join(tmpdir(), "parley-sim-"));
	const directory = new Directory();
	const ids: [string, string] = [uuidFromBytes(random.bytes(16)), uuidFromBytes(random.bytes(16))];
	const clients = [ids, [...ids].reverse()].map(([account = "", peer = ""]) => {
		const path = join(folder, `${account}.db`);
		const around = { schedule, history, accounts, directory, path, connect, crashes: 0.03, calm: () => calm };
		return new MachineClient(account, peer, 1, { ...around, random: random.fork() });
	});
	try {
		for (const client of clients) {
			accounts.add(client);
			await client.start();
		}
		host.members = clients;
		plan(schedule, random.fork(), clients, host);
		if (changing) {
			const tell = (member: RosterMember): boolean => host.setDevices(member);
			const fault = NO_FAULT;
			const changes = new Changes({ schedule, random: random.fork(), history, fault, tell, calm: () => calm });
			changes.begin(clients);
			host.changes = changes;
			const add = async (old: MachineClient, device: number): Promise<void> => {
				const path = join(folder, `${old.account}.${device}.db`);
				const around = { schedule, history, accounts, directory, path, connect, crashes: 0.03, calm: () => calm };
				const client = new MachineClient(old.account, old.peer, device, { ...around, random: random.fork() }, old);
				clients.push(client);
				accounts.add(client);
				changes.link(client);
				await client.start();
			};
			planDevices({ schedule, random: random.fork(), clients, changes, accounts, directory, add });
		}
		await schedule.runUntil(START_MS + TROUBLE_MS);
		history.note("the trouble ends");
		calm = true;
		accounts.calm();
		await schedule.runUntil(schedule.nowMs + REST_MS);
		for (const client of clients) client.note();
		history.observe({ type: "rested" });
		for (const client of clients) client.connect();
		await schedule.runUntil(schedule.nowMs + LAST_MS);
		for (const client of clients) client.note();
		const rows = host.rows();
		const names = clients.map(({ name }) => name);
		const devices = (host.changes?.all() ?? clients).map(({ name }) => name);
		history.observe({ type: "ended", head: rows.at(-1)?.number ?? 0, rows, devices });
		return { seed, violations: check(history, names), trace: history.trace, entries: rows.length };
	} finally {
		for (const client of clients) client.close();
		rmSync(folder, { recursive: true, force: true });
	}
}

function plan(schedule: Schedule, random: Random, clients: MachineClient[], host: ObjectHost): void {
	const somewhen = (count: number, action: (client: MachineClient) => void | Promise<void>): void => {
		for (let left = count; left > 0; left--) {
			schedule.after(random.between(0, TROUBLE_MS - 1), () => {
				const client = clients[random.between(0, clients.length - 1)];
				if (client !== undefined) return action(client);
			});
		}
	};
	somewhen(15, (client) => client.offer());
	somewhen(5, (client) => client.cut());
	somewhen(2, (client) => client.crash());
	somewhen(4, () => host.evict());
	somewhen(2, () => host.crash());
}

interface DevicePlan {
	schedule: Schedule;
	random: Random;
	clients: MachineClient[];
	changes: Changes;
	accounts: Accounts;
	directory: Directory;
	add(old: MachineClient, device: number): Promise<void>;
}

/** Each account gets a second device, one of the two a third, and some go again. */
function planDevices({ schedule, random, clients, changes, accounts, directory, add }: DevicePlan): void {
	const somewhen = (action: () => void | Promise<void>): void =>
		schedule.after(random.between(0, TROUBLE_MS - 1), action);
	const [alice, bob] = clients;
	if (alice === undefined || bob === undefined) return;
	somewhen(() => add(alice, 2));
	somewhen(() => add(bob, 2));
	somewhen(() => add(random.chance(0.5) ? alice : bob, 3));
	for (let count = 2; count > 0; count--) {
		somewhen(() => {
			const client = clients[random.between(0, clients.length - 1)];
			if (client === undefined || !changes.has(client) || changes.count(client.account) < 2) return;
			changes.unlink(client);
			accounts.remove(client);
			directory.remove(client.account, client.device);
			if (random.chance(0.5)) schedule.after(random.between(1, 8_000), () => client.shutOut());
		});
	}
}
