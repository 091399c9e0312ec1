/**
 * A world with a group: members with their devices who write, and change the group all at once, in the same trouble as
 * in worlds of two. Some are removed and go on trying, come back by a link, or delete their account and register anew.
 */
import { uuidFromBytes } from "../protocol/ids.ts";
import type { RosterMember } from "../workers/conversation-do/interface.ts";
import { Accounts } from "./account.ts";
import { Changes } from "./changes.ts";
import { check, type Violation } from "./checker.ts";
import type { Device } from "./device.ts";
import type { Fault } from "./faults.ts";
import { GroupApi } from "./group-api.ts";
import { checkGroup } from "./group-checker.ts";
import { GroupClient } from "./group-client.ts";
import { GroupPeople } from "./group-people.ts";
import { History } from "./history.ts";
import { Link } from "./network.ts";
import { ObjectHost } from "./object.ts";
import { Random } from "./random.ts";
import { Schedule } from "./schedule.ts";
import type { Outcome } from "./world.ts";

const START_MS = Date.UTC(2026, 0, 1);
const REST_MS = 3 * 60 * 60_000;
const LAST_MS = 2 * 60_000;

/** What a seed decides about its world. */
export interface GroupClimate {
	delayMs: number;
	noticeMs: number;
	/** Devices of each account; the last ones are not in the group at first. */
	accounts: number[];
	members: number;
	messages: number;
	changes: number;
	troubleMs: number;
	clientCrashes: number;
	objectCrashes: number;
	evictions: number;
	cuts: number;
}

/** Runs the group's world of a seed to its end and judges it. */
export async function runGroupWorld(seed: number, fault: Fault): Promise<Outcome> {
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
	const group = Buffer.from(random.bytes(32)).toString("hex");
	// By the seed alone: worlds that were broken once stay what they were.
	const beside = seed % 5 === 4;
	const clients: GroupClient[] = [];
	const add = (account: string, device: number): GroupClient => {
		const around = { schedule, history, random: random.fork(), fault, connect, calm, group, beside, api: () => api };
		const crashes = climate.clientCrashes;
		const listed = (device: Device): boolean => changes.has(device);
		const client = new GroupClient(account, device, random.between(1, 16_380), { ...around, crashes, listed });
		clients.push(client);
		accounts.add(client);
		return client;
	};
	for (const count of climate.accounts) {
		const account = uuidFromBytes(random.bytes(16));
		for (let device = 1; device <= count; device++) add(account, device);
	}
	changes.begin(clients);
	const deleted = new Set<string>();
	const people = new GroupPeople({
		climate,
		schedule,
		random: random.fork(),
		clients,
		changes,
		accounts,
		host,
		add,
		calm,
		deleted,
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
	history.observe({ type: "rested" });
	for (const client of clients) {
		// Who sent the last entry knows only from its next greeting that what stands before it was not for it.
		client.cut();
		client.connect();
	}
	await schedule.runUntil(schedule.nowMs + LAST_MS);
	const violations = judgeGroup({ history, host, changes, clients, deleted, elsewhere: [] });
	return { seed, violations, trace: history.trace, entries: host.rows().length };
}

/** What a group's world, or its part of one, has come to. */
export interface GroupsEnd {
	history: History;
	host: ObjectHost;
	changes: Changes;
	clients: readonly { name: string; report(): void }[];
	deleted: ReadonlySet<string>;
	/** Everything that was ever logged in other groups. */
	elsewhere: readonly ReadonlyMap<number, Uint8Array>[];
}

/** Judges a group when its world has ended. */
export function judgeGroup({ history, host, changes, clients, deleted, elsewhere }: GroupsEnd): Violation[] {
	for (const client of clients) client.report();
	const rows = host.rows();
	const roles = host.roles();
	const members = new Set(roles.map(([account]) => account));
	const here = changes.all().filter(({ account }) => members.has(account));
	const devices = here.map(({ name }) => name);
	history.observe({ type: "ended", head: rows.at(-1)?.number ?? 0, rows, devices });
	const names = clients.map(({ name }) => name);
	const end = { roles, payloads: host.payloads, deleted, elsewhere };
	return [...check(history, names), ...checkGroup(history, end)];
}

/** What the seed of a group's world decides. */
export function makeClimate(random: Random): GroupClimate {
	const rate = (often: number): number => (random.chance(0.3) ? 0 : often * random.fraction());
	const members = random.between(3, 8);
	return {
		delayMs: random.chance(0.5) ? 30 : 800,
		noticeMs: random.chance(0.5) ? 1_000 : 60_000,
		accounts: Array.from({ length: members + random.between(1, 2) }, () => random.between(1, 2)),
		members,
		messages: random.between(5, 30),
		changes: random.between(4, 20),
		troubleMs: random.between(20_000, 90_000),
		clientCrashes: rate(0.02),
		objectCrashes: rate(6),
		evictions: rate(12),
		cuts: rate(20),
	};
}
