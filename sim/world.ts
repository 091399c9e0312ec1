/**
 * One world: one conversation object, the devices of two accounts, a network, and trouble, all from one seed. After a
 * while the trouble ends; then everything that was promised must have come true.
 */
import { uuidFromBytes } from "../protocol/ids.ts";
import type { RosterMember } from "../workers/conversation-do/interface.ts";
import { Accounts } from "./account.ts";
import { Changes } from "./changes.ts";
import { check, type Violation } from "./checker.ts";
import { LightClient } from "./client.ts";
import type { Device } from "./device.ts";
import type { Fault } from "./faults.ts";
import { History } from "./history.ts";
import { Link, type Weather } from "./network.ts";
import { ObjectHost } from "./object.ts";
import { Random } from "./random.ts";
import { Schedule } from "./schedule.ts";

/** What a seed decides about its world. */
interface Climate extends Weather {
	devices: [number, number];
	messages: number;
	/** How long the trouble lasts. */
	troubleMs: number;
	clientCrashes: number;
	turnCrashes: number;
	objectCrashes: number;
	evictions: number;
	cuts: number;
	leavings: number;
	failedCalls: number;
}

/** How a world went. */
export interface Outcome {
	seed: number;
	violations: Violation[];
	trace: readonly string[];
	/** Entries in the log at the end. */
	entries: number;
}

const START_MS = Date.UTC(2026, 0, 1);
/** Nudges and retries after the trouble has ended. */
const REST_MS = 3 * 60 * 60_000;
const LAST_MS = 2 * 60_000;

/** Runs the world of a seed to its end and judges it. `changing`: devices are linked and unlinked meanwhile. */
export async function runWorld(seed: number, fault: Fault, changing = fault.changing === true): Promise<Outcome> {
	const random = new Random(seed);
	const climate = makeClimate(random);
	const schedule = new Schedule(START_MS);
	const history = new History(() => schedule.nowMs - START_MS);
	let calm = false;
	const accounts = new Accounts(schedule, random.fork(), history, climate.failedCalls);
	const host = new ObjectHost({
		schedule,
		history,
		random: random.fork(),
		fault,
		accounts,
		crashes: climate.turnCrashes,
		calm: () => calm,
	});
	let links = 0;
	const network = random.fork();
	const connect = (device: Device): Link => {
		const link = new Link(++links, schedule, network.fork(), climate);
		schedule.after(network.between(1, climate.delayMs), () => host.connect(link, device));
		return link;
	};
	const clients: LightClient[] = [];
	const add = (account: string, device: number, random: Random): LightClient => {
		const around = {
			schedule,
			history,
			random: random.fork(),
			fault,
			// The fault shows only in devices that crash.
			crashes: fault.acknowledgesBeforeStoring === true ? 0.05 : climate.clientCrashes,
			connect,
			calm: () => calm,
		};
		const client = new LightClient(account, device, random.between(1, 16_380), around);
		clients.push(client);
		accounts.add(client);
		return client;
	};
	for (const count of climate.devices) {
		const account = uuidFromBytes(random.bytes(16));
		for (let device = 1; device <= count; device++) add(account, device, random);
	}
	host.members = clients;
	plan(climate, schedule, random.fork(), clients, host);
	if (changing) {
		const tell = (member: RosterMember): boolean => host.setDevices(member);
		const changes = new Changes({ schedule, random: random.fork(), history, fault, tell, calm: () => calm });
		changes.begin(clients);
		host.changes = changes;
		planChanges({ climate, schedule, random: random.fork(), clients, changes, accounts, add });
	}

	await schedule.runUntil(START_MS + climate.troubleMs);
	history.note("the trouble ends");
	calm = true;
	accounts.calm();
	await schedule.runUntil(schedule.nowMs + REST_MS);
	history.observe({ type: "rested" });
	for (const client of clients) client.connect();
	await schedule.runUntil(schedule.nowMs + LAST_MS);
	const rows = host.rows();
	const devices = (host.changes?.all() ?? clients).map(({ name }) => name);
	history.observe({ type: "ended", head: rows.at(-1)?.number ?? 0, rows, devices });
	const names = clients.map(({ name }) => name);
	return { seed, violations: check(history, names), trace: history.trace, entries: rows.length };
}

/** Some worlds are gentle in one way and harsh in another. */
function makeClimate(random: Random): Climate {
	const rate = (often: number): number => (random.chance(0.3) ? 0 : often * random.fraction());
	return {
		delayMs: random.chance(0.5) ? 30 : 800,
		noticeMs: random.chance(0.5) ? 1_000 : 90_000,
		devices: [random.between(1, 3), random.between(1, 2)],
		messages: random.between(5, 60),
		troubleMs: random.between(20_000, 120_000),
		clientCrashes: rate(0.04),
		turnCrashes: rate(0.04),
		objectCrashes: rate(8),
		evictions: rate(12),
		cuts: rate(20),
		leavings: rate(20),
		failedCalls: rate(0.5),
	};
}

/** Spreads what people do and what goes wrong over the time of trouble. */
function plan(climate: Climate, schedule: Schedule, random: Random, clients: LightClient[], host: ObjectHost): void {
	const somewhen = (count: number, action: () => void): void => {
		for (let left = count; left > 0; left--) {
			if (left < 1 && !random.chance(left)) return;
			schedule.after(random.between(0, climate.troubleMs - 1), action);
		}
	};
	const somebody = (action: (client: LightClient) => void) => (): void => {
		const client = clients[random.between(0, clients.length - 1)];
		if (client !== undefined) action(client);
	};
	somewhen(
		climate.messages,
		somebody((client) => {
			// People write several lines at once.
			for (let lines = random.between(1, 3); lines > 0; lines--) client.offer();
		}),
	);
	somewhen(
		10,
		somebody((client) => client.readAll()),
	);
	somewhen(
		5,
		somebody((client) => client.type()),
	);
	somewhen(
		3,
		somebody((client) => client.connect()),
	);
	somewhen(
		climate.leavings,
		somebody((client) => client.leave()),
	);
	somewhen(
		climate.cuts,
		somebody((client) => client.cut()),
	);
	somewhen(climate.clientCrashes === 0 ? 0 : 3, () =>
		somebody((client) => client.crash(random.between(100, 60_000)))(),
	);
	somewhen(climate.evictions, () => host.evict());
	somewhen(climate.objectCrashes, () => host.crash());
}

interface ChangePlan {
	climate: Climate;
	schedule: Schedule;
	random: Random;
	clients: LightClient[];
	changes: Changes;
	accounts: Accounts;
	add(account: string, device: number, random: Random): LightClient;
}

const DEVICES_MAX = 4;

/** Devices come and go while messages are under way. */
function planChanges({ climate, schedule, random, clients, changes, accounts, add }: ChangePlan): void {
	const somewhen = (action: () => void): void =>
		schedule.after(random.between(0, climate.troubleMs - 1), () => {
			action();
			// Often two changes follow each other closely.
			if (random.chance(0.5)) schedule.after(random.between(1, 3_000), action);
		});
	const owners = [...new Set(clients.map(({ account }) => account))];
	const next = new Map(owners.map((account) => [account, 10]));
	const link = (): void => {
		const account = owners[random.between(0, owners.length - 1)] ?? "";
		const device = next.get(account) ?? 10;
		if (changes.count(account) >= DEVICES_MAX) return;
		next.set(account, device + 1);
		const client = add(account, device, random);
		changes.link(client);
		if (random.chance(0.7)) schedule.after(random.between(1, 5_000), () => client.connect());
		if (random.chance(0.5)) schedule.after(random.between(1, 10_000), () => client.offer());
	};
	const unlink = (): void => {
		const client = clients[random.between(0, clients.length - 1)];
		if (client === undefined || !changes.has(client) || changes.count(client.account) < 2) return;
		changes.unlink(client);
		accounts.remove(client);
		// Its account's socket tells it, if the device is there to hear it.
		if (random.chance(0.5)) schedule.after(random.between(1, 8_000), () => client.shutOut());
	};
	for (let count = random.between(1, 4); count > 0; count--) somewhen(link);
	for (let count = random.between(1, 4); count > 0; count--) somewhen(unlink);
}
