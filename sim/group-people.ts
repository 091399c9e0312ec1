/** What people do in a group's world, and what goes wrong meanwhile. */
import type { Intention } from "../client/groups/intention.ts";
import type { GroupState } from "../client/groups/state.ts";
import { uuidFromBytes } from "../protocol/ids.ts";
import type { Accounts } from "./account.ts";
import type { Changes } from "./changes.ts";
import type { Device } from "./device.ts";
import type { Wanted } from "./group-half.ts";
import type { GroupClimate } from "./group-world.ts";
import type { ObjectHost } from "./object.ts";
import type { Random } from "./random.ts";
import type { Schedule } from "./schedule.ts";

const DEVICES_MAX = 3;
/** The queue calls again after this. */
const QUEUE_MS = 3_000;

/** A device in the hands of somebody, with a light client or the real one. */
export interface Person extends Device {
	readonly half: {
		/** Undefined before anything is known. */
		readonly member: boolean | undefined;
		readonly state: GroupState | undefined;
		readonly hasKey: boolean;
		readonly requests: ReadonlySet<string>;
	};
	offer(): void;
	want(intention: Wanted["intention"]): void;
	follow(secret: string): void;
	haunt(): void;
	connect(): void;
	cut(): void;
	crash(downMs: number): void;
	shutOut(): void;
}

export interface PeopleOptions {
	climate: GroupClimate;
	schedule: Schedule;
	random: Random;
	clients: readonly Person[];
	changes: Changes;
	accounts: Pick<Accounts, "remove">;
	host: ObjectHost;
	/** Accounts that were deleted. */
	deleted: Set<string>;
	/** Whether the other conversations go on without these devices; true where there are no others. */
	othersGoOn(without: (one: Device) => boolean): boolean;
	/** The queue's call to every conversation; says whether it is done. */
	remove(account: string): boolean;
	add(account: string, device: number): Person;
	calm(): boolean;
}

export class GroupPeople {
	readonly #options: PeopleOptions;

	constructor(options: PeopleOptions) {
		this.#options = options;
	}

	/** Spreads everything over the time of trouble. */
	plan(): void {
		const { climate, clients, random, host } = this.#options;
		const [founder] = clients;
		const accounts = [...new Set(clients.map(({ account }) => account))];
		founder?.want({ do: "create", members: accounts.slice(1, climate.members) });
		this.#somewhen(climate.messages, () => {
			const client = this.#one();
			for (let lines = random.between(1, 3); lines > 0 && client?.half.member === true; lines--) client.offer();
		});
		this.#somewhen(climate.changes, () => {
			this.#act();
			// Often two change the group at once.
			if (random.chance(0.5)) this.#act();
		});
		this.#somewhen(3, () => this.#join());
		this.#somewhen(6, () => this.#one()?.haunt());
		this.#somewhen(1.5, () => this.#link());
		this.#somewhen(1, () => this.#unlink());
		this.#somewhen(0.7, () => this.#deleteAccount());
		this.#somewhen(3, () => this.#one()?.connect());
		this.#somewhen(climate.cuts, () => this.#one()?.cut());
		this.#somewhen(climate.clientCrashes === 0 ? 0 : 3, () => this.#one()?.crash(random.between(100, 40_000)));
		this.#somewhen(climate.evictions, () => host.evict());
		this.#somewhen(climate.objectCrashes, () => host.crash());
	}

	#somewhen(count: number, action: () => void): void {
		const { schedule, random, climate } = this.#options;
		for (let left = count; left > 0; left--) {
			if (left < 1 && !random.chance(left)) return;
			schedule.after(random.between(2_000, climate.troubleMs - 1), action);
		}
	}

	#one(): Person | undefined {
		const { clients, random } = this.#options;
		return clients[random.between(0, clients.length - 1)];
	}

	/** Somebody changes the group; admins more often than others, since the others may so little. */
	#act(): void {
		const { random, clients } = this.#options;
		const members = clients.filter(({ half }) => half.member === true);
		const admins = members.filter(({ half, account }) =>
			half.state?.members.some((one) => one.account === account && one.role === "admin"),
		);
		const from = random.chance(0.8) && admins.length > 0 ? admins : members;
		const actor = from[random.between(0, from.length - 1)];
		const intention = actor === undefined ? undefined : this.#intention(actor);
		if (intention !== undefined) actor?.want(intention);
	}

	#intention({ half, account }: Person): Intention | undefined {
		const { random, clients } = this.#options;
		const all = [...new Set(clients.map((one) => one.account))].filter((one) => !this.#options.deleted.has(one));
		const members = half.state?.members ?? [];
		const others = members.filter((one) => one.account !== account);
		const other = others[random.between(0, others.length - 1)]?.account ?? account;
		const outside = all.filter((one) => !members.some((member) => member.account === one));
		const stranger = outside[random.between(0, outside.length - 1)];
		const secret = Buffer.from(random.bytes(32)).toString("base64url");
		const [request] = half.requests;
		const who = random.chance(0.5) ? "admins" : "members";
		if (request !== undefined && random.chance(0.5)) {
			return { do: random.chance(0.8) ? "approve" : "decline", account: request };
		}
		switch (random.between(0, 9)) {
			case 0:
			case 1:
				return stranger === undefined ? undefined : { do: "add", accounts: [stranger] };
			case 2:
			case 3:
				return members.length < 3 ? undefined : { do: "remove", accounts: [other], secret };
			case 4:
				return { do: "role", account: other, role: "admin" };
			case 5:
				return { do: "role", account: other, role: "member" };
			case 6:
				return { do: "rename", title: `name ${random.between(1, 1_000_000)}` };
			case 7: {
				const rule = (["add", "edit", "send"] as const)[random.between(0, 2)] ?? "add";
				return { do: "rules", rules: { [rule]: who } };
			}
			case 8:
				return { do: "link", on: random.chance(0.8), approval: random.chance(0.4), reset: random.chance(0.3), secret };
			default:
				// With the last who knows the group's key the group would be lost: a founder who has not given it on.
				return members.length < 4 || !this.goesOn((one) => one.account === account) ? undefined : { do: "leave" };
		}
	}

	/** Somebody outside follows the newest link that a member could have shown. */
	#join(): void {
		const { clients, random } = this.#options;
		const shown = clients.flatMap(({ half: { state } }) => (state?.rules.link === true ? [state] : []));
		const state = shown[random.between(0, shown.length - 1)];
		const outside = clients.filter(({ half }) => half.member !== true);
		const guest = outside[random.between(0, outside.length - 1)];
		if (state !== undefined) guest?.follow(Buffer.from(state.linkSecret).toString("base64url"));
	}

	#link(): void {
		const { clients, changes, random, schedule, add } = this.#options;
		const account = this.#one()?.account ?? "";
		if (this.#options.deleted.has(account) || changes.count(account) >= DEVICES_MAX) return;
		const client = add(
			account,
			1 + Math.max(...clients.filter((one) => one.account === account).map((one) => one.device)),
		);
		changes.link(client);
		schedule.after(random.between(1, 5_000), () => client.connect());
	}

	/** Devices that have the group's key and a state, and are not lost. */
	#known(): Person[] {
		const { clients, changes } = this.#options;
		return clients.filter((one) => one.half.member === true && changes.has(one));
	}

	/** Whether enough have the group's key without these devices, or none of them has it. */
	goesOn(without: (one: Device) => boolean): boolean {
		const { clients, host } = this.#options;
		if (!clients.some((one) => without(one) && one.half.hasKey)) return true;
		const left = new Set(this.#known().flatMap((one) => (without(one) ? [] : [one.account])));
		return host.roles().length >= 4 && left.size >= 2;
	}

	#unlink(): void {
		const { changes, accounts, random, schedule } = this.#options;
		const client = this.#one();
		if (client === undefined || !changes.has(client) || changes.count(client.account) < 2) return;
		// With the last device that has the group's key the group would be lost: a founder's that has not given it on.
		if (client.half.hasKey && !this.#known().some((one) => one !== client)) return;
		if (!this.#options.othersGoOn(({ name }) => name === client.name)) return;
		changes.unlink(client);
		accounts.remove(client);
		if (random.chance(0.5)) schedule.after(random.between(1, 8_000), () => client.shutOut());
	}

	/** The account goes from everywhere, and its user registers again as somebody new. */
	#deleteAccount(): void {
		const { clients, changes, accounts, random, add, host, deleted, othersGoOn } = this.#options;
		const account = this.#one()?.account ?? "";
		// With the last who knows the group's key the group would be lost.
		const known = new Set(this.#known().map((one) => one.account));
		if (deleted.has(account) || host.roles().length < 4 || known.size < 3) return;
		if (!othersGoOn((one) => one.account === account)) return;
		deleted.add(account);
		for (const client of clients.filter((one) => one.account === account && changes.has(one))) {
			changes.unlink(client);
			accounts.remove(client);
			client.shutOut();
		}
		this.#remove(account);
		changes.begin([add(uuidFromBytes(random.bytes(16)), 1)]);
	}

	/** The queue's call, until it is done. */
	#remove(account: string): void {
		const { schedule, random, remove, calm } = this.#options;
		schedule.after(random.between(1, QUEUE_MS), () => {
			const lost = !calm() && random.chance(0.3);
			const done = lost && random.chance(0.5) ? false : remove(account);
			if (!done || lost) this.#remove(account);
		});
	}
}
