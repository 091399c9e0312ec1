/**
 * A stand-in for the directory's devices and the queue that tells the conversation of them: each change is a message,
 * whose consumer reads the list and calls a while later. Calls fail, overtake each other and are repeated until done.
 */
import type { RosterMember } from "../workers/conversation-do/interface.ts";
import type { Device } from "./device.ts";
import type { Fault } from "./faults.ts";
import type { History } from "./history.ts";
import type { Random } from "./random.ts";
import type { Schedule } from "./schedule.ts";

/** Probability that a call fails, before or after it has arrived. */
const FAILURES = 0.3;
const LATE_MS = 4_000;

export interface ChangesOptions {
	schedule: Schedule;
	random: Random;
	history: History;
	fault: Fault;
	/** The conversation's call; false where it was not committed. */
	tell(member: RosterMember): boolean;
	calm(): boolean;
}

export class Changes {
	readonly #options: ChangesOptions;
	readonly #lists = new Map<string, { version: number; devices: Device[] }>();

	constructor(options: ChangesOptions) {
		this.#options = options;
	}

	/** Devices that are there from the beginning. */
	begin(devices: readonly Device[]): void {
		for (const device of devices) this.#listOf(device.account).devices.push(device);
	}

	link(device: Device): void {
		this.#options.history.note(`${device.name} is linked`);
		this.#change(device.account, (devices) => [...devices, device]);
	}

	unlink(device: Device): void {
		this.#options.history.note(`${device.name} is unlinked`);
		this.#change(device.account, (devices) => devices.filter(({ name }) => name !== device.name));
	}

	has(device: Device): boolean {
		return this.#listOf(device.account).devices.some(({ name }) => name === device.name);
	}

	/** How many devices the account has. */
	count(account: string): number {
		return this.#listOf(account).devices.length;
	}

	/** Every device of every account. */
	all(): Device[] {
		return [...this.#lists.values()].flatMap(({ devices }) => devices);
	}

	members(accounts: readonly string[] = [...this.#lists.keys()]): RosterMember[] {
		return accounts.map((account) => this.member(account));
	}

	/** What the directory says now. */
	member(account: string): RosterMember {
		const { version, devices } = this.#listOf(account);
		const listed = devices.map(({ device, registrationId }) => ({ device, registrationId }));
		if (this.#options.fault.forgetsVersions === true) return { account, devices: listed };
		return { account, devices: listed, version };
	}

	#change(account: string, change: (devices: Device[]) => Device[]): void {
		const list = this.#listOf(account);
		list.version += 1;
		list.devices = change(list.devices);
		this.#later(() => this.#consume(account));
	}

	/** The consumer of one message. */
	#consume(account: string): void {
		const { random, fault, tell, calm } = this.#options;
		const member = this.member(account);
		this.#later(() => {
			const fails = !calm() && random.chance(FAILURES);
			const told = fails && random.chance(0.5) ? false : tell(member);
			if ((told && !fails) || fault.forgetsChanges === true) return;
			this.#later(() => this.#consume(account));
		});
	}

	#later(action: () => void): void {
		const { schedule, random } = this.#options;
		schedule.after(random.between(1, LATE_MS), action);
	}

	#listOf(account: string): { version: number; devices: Device[] } {
		const known = this.#lists.get(account);
		if (known !== undefined) return known;
		const list = { version: 1, devices: [] };
		this.#lists.set(account, list);
		return list;
	}
}
