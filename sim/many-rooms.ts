/**
 * The conversations of a world that has several, groups and of two: each with its object, its record and its devices'
 * parts.
 */
import type { RosterMember } from "../workers/conversation-do/interface.ts";
import type { Accounts } from "./account.ts";
import type { Changes } from "./changes.ts";
import { check, type Violation } from "./checker.ts";
import { LightClient } from "./client.ts";
import type { Device } from "./device.ts";
import type { Fault } from "./faults.ts";
import { GroupApi } from "./group-api.ts";
import { GroupClient } from "./group-client.ts";
import type { SenderKeys } from "./group-keys.ts";
import { GroupPeople } from "./group-people.ts";
import { type GroupClimate, judgeGroup } from "./group-world.ts";
import { History } from "./history.ts";
import { Link } from "./network.ts";
import { ObjectHost } from "./object.ts";
import type { Random } from "./random.ts";
import type { Schedule } from "./schedule.ts";

/** One program on one device, with a part for each conversation; a kill ends all of them. */
export interface Program {
	readonly account: string;
	readonly device: number;
	readonly registrationId: number;
	readonly parts: (GroupClient | LightClient)[];
	/** What the parts of all groups share where a fault says so. */
	readonly keys: SenderKeys;
}

/** What the conversations of a world have in common. */
export interface Common {
	schedule: Schedule;
	fault: Fault;
	accounts: Accounts;
	changes: Changes;
	/** Accounts that were deleted. */
	deleted: Set<string>;
	/** Lines of all conversations, in order. */
	trace: string[];
	rooms: Room[];
	nextLink(): number;
	calm(): boolean;
	/** A new device with its parts in all of its account's conversations. */
	install(account: string, device: number): Program;
	/** The queue's call to every conversation. */
	remove(account: string): boolean;
}

/** A conversation among others. */
export abstract class Room {
	readonly name: string;
	readonly history: History;
	readonly host: ObjectHost;
	protected readonly common: Common;
	protected readonly climate: GroupClimate;
	protected readonly random: Random;

	constructor(name: string, common: Common, climate: GroupClimate, random: Random, isGroup: boolean) {
		const { schedule, fault, accounts, calm, changes, trace } = common;
		this.name = name;
		this.common = common;
		this.climate = climate;
		this.random = random;
		const startMs = schedule.nowMs;
		this.history = new History(() => schedule.nowMs - startMs, `${name} `, trace);
		const mail: Pick<Accounts, "nudge"> = {
			nudge: (device, upTo, done) => accounts.nudge(this.#newsOf(device), upTo, done),
		};
		const crashes = random.chance(0.3) ? 0 : 0.03 * random.fraction();
		const options = { schedule, history: this.history, random: random.fork(), fault, accounts: mail, crashes, calm };
		this.host = new ObjectHost(options, isGroup);
		this.host.changes = changes;
	}

	/** Installs this conversation's part of a device's program. */
	join(program: Program): void {
		const { schedule, fault, calm, accounts } = this.common;
		const part = this.part(program, {
			...{ schedule, history: this.history, random: this.random.fork(), fault, calm },
			crashes: this.climate.clientCrashes,
			connect: (device: Device) => this.#connect(device),
			crashed: (downMs: number) => {
				for (const other of program.parts) other.crash(downMs);
			},
		});
		program.parts.push(part);
		accounts.add(part, this.#newsOf(part.name));
	}

	/** Whether an account can be a member here. */
	abstract concerns(account: string): boolean;
	/** Plans what people do here while there is trouble. */
	abstract plan(): void;
	/** Whether nothing is lost with these devices. */
	abstract goesOn(without: (one: Device) => boolean): boolean;
	/** The queue's call; says whether it was committed. */
	abstract tell(member: RosterMember): boolean;
	/** After the trouble: what is written then. */
	abstract offer(): void;
	/** Every device connects once more. */
	abstract gather(): void;
	abstract judge(): Violation[];
	protected abstract part(program: Program, around: PartSurroundings): GroupClient | LightClient;

	#newsOf(device: string): string {
		return this.common.fault.mixes === "news" ? device : `${this.name} ${device}`;
	}

	#connect(device: Device): Link {
		const { schedule, nextLink, fault, rooms } = this.common;
		const link = new Link(nextLink(), schedule, this.random.fork(), this.climate);
		const wrong =
			fault.mixes === "connections" && this.random.chance(0.1) ? rooms.find((one) => one !== this) : undefined;
		const { host } = wrong ?? this;
		schedule.after(this.random.between(1, this.climate.delayMs), () => host.connect(link, device));
		return link;
	}
}

type PartSurroundings = ConstructorParameters<typeof LightClient>[3];

export class GroupRoom extends Room {
	readonly #clients: GroupClient[] = [];
	readonly #api: GroupApi;
	readonly #id: string;
	readonly #people: GroupPeople;
	readonly #beside: boolean;

	constructor(name: string, common: Common, climate: GroupClimate, random: Random) {
		super(name, common, climate, random, true);
		const { schedule, changes, calm, accounts, deleted, rooms, install, remove } = common;
		this.#id = Buffer.from(random.bytes(32)).toString("hex");
		this.#beside = random.chance(0.5);
		this.#api = new GroupApi({ schedule, random: random.fork(), host: this.host, changes, calm });
		this.#people = new GroupPeople({
			...{ climate, schedule, random: random.fork(), clients: this.#clients, changes, accounts },
			...{ host: this.host, deleted, calm, remove },
			othersGoOn: (without) => rooms.every((room) => room === this || room.goesOn(without)),
			add: (account, device) => {
				const { parts } = install(account, device);
				const part = this.#clients.find((one) => parts.includes(one));
				if (part === undefined) throw new Error("a device without this group");
				return part;
			},
		});
	}

	/** Anybody may be added to a group. */
	concerns(): boolean {
		return true;
	}

	plan(): void {
		this.#people.plan();
	}

	goesOn(without: (one: Device) => boolean): boolean {
		return this.#people.goesOn(without);
	}

	tell(member: RosterMember): boolean {
		return this.host.setDevices(member);
	}

	offer(): void {
		for (const client of this.#clients) if (client.half.member === true) client.offer();
	}

	gather(): void {
		for (const client of this.#clients) {
			client.cut();
			client.connect();
		}
	}

	judge(): Violation[] {
		const { changes, deleted, rooms } = this.common;
		const elsewhere = rooms.flatMap((room) => (room === this ? [] : [room.host.payloads]));
		const { history, host } = this;
		return judgeGroup({ history, host, changes, clients: this.#clients, deleted, elsewhere });
	}

	protected part({ account, device, registrationId, keys }: Program, around: PartSurroundings): GroupClient {
		const { fault, changes } = this.common;
		const client = new GroupClient(account, device, registrationId, {
			...around,
			api: () => this.#api,
			group: this.#id,
			listed: (one) => changes.has(one),
			beside: this.#beside,
			sharedKeys: fault.mixes === "keys" ? keys : undefined,
		});
		this.#clients.push(client);
		return client;
	}
}

/** A conversation of two accounts. */
export class DirectRoom extends Room {
	readonly between: readonly [string, string];
	readonly #clients: LightClient[] = [];

	constructor(name: string, common: Common, climate: GroupClimate, random: Random, between: [string, string]) {
		super(name, common, climate, random, false);
		this.between = between;
		this.host.between = between;
	}

	concerns(account: string): boolean {
		return this.between.includes(account);
	}

	plan(): void {
		const { random, climate, host } = this;
		this.#clients[0]?.connect();
		this.#somewhen(random.between(3, 20), (client) => {
			for (let lines = random.between(1, 3); lines > 0; lines--) client.offer();
		});
		this.#somewhen(4, (client) => client.readAll());
		this.#somewhen(3, (client) => client.connect());
		this.#somewhen(5, (client) => client.leave());
		this.#somewhen(climate.cuts, (client) => client.cut());
		this.#somewhen(climate.evictions, () => host.evict());
		this.#somewhen(climate.objectCrashes, () => host.crash());
	}

	goesOn(without: (one: Device) => boolean): boolean {
		const { changes } = this.common;
		const staying = this.#clients.filter((client) => changes.has(client) && !without(client));
		return !this.#clients.some(without) || (this.host.founded && staying.length > 0);
	}

	tell(member: RosterMember): boolean {
		return !this.concerns(member.account) || this.host.setDevices(member);
	}

	offer(): void {}

	gather(): void {
		for (const client of this.#clients) client.connect();
	}

	judge(): Violation[] {
		const { history, host } = this;
		const rows = host.rows();
		const here = this.common.changes.all().filter(({ account }) => this.concerns(account));
		const devices = here.map(({ name }) => name);
		history.observe({ type: "ended", head: rows.at(-1)?.number ?? 0, rows, devices });
		const names = this.#clients.map(({ name }) => name);
		return check(history, names);
	}

	protected part({ account, device, registrationId }: Program, around: PartSurroundings): LightClient {
		const client = new LightClient(account, device, registrationId, around);
		this.#clients.push(client);
		return client;
	}

	#somewhen(count: number, action: (client: LightClient) => void): void {
		const { random, climate } = this;
		for (let left = count; left > 0; left--) {
			if (left < 1 && !random.chance(left)) return;
			this.common.schedule.after(random.between(0, climate.troubleMs - 1), () => {
				const client = this.#clients[random.between(0, this.#clients.length - 1)];
				if (client !== undefined) action(client);
			});
		}
	}
}
