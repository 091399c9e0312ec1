/** The state beside the log: roster, cursors, watermarks and marks. Written when it must be, not for each message. */
import { Backlog, type BacklogJson } from "./backlog.ts";
import { Group } from "./group.ts";
import type { RosterMember } from "./interface.ts";
import type { Marks } from "./once.ts";
import { arriving, type Device, type DeviceState, Roster, toDevice, toState } from "./roster.ts";
import type { Store } from "./store.ts";

/** Devices up to which each change of the state is written at once. */
const SMALL_ROSTER = 64;

interface StateJson {
	/** The log's head when this was written. */
	head: number;
	/** All entries up to here are wiped. */
	wiped: number;
	version: number;
	members: string[];
	devices: DeviceState[];
	reads: [account: string, upTo: number][];
	marks: [sender: string, marks: Marks][];
	/** Two where it is left out. */
	founders?: number;
	deviceVersions?: [account: string, version: number][];
	/** Members that block the other one. */
	blocks?: string[];
	backlog?: BacklogJson;
}

/** Reads the state of a conversation. */
export function loadState(store: Store): Persisted {
	const text = store.readState();
	const json: StateJson | undefined = text === undefined ? undefined : JSON.parse(text);
	return new Persisted(store, json, text);
}

/** What is kept beside the log. A crash loses what was changed since `save`; all of it is said again or read again. */
export class Persisted {
	roster: Roster | undefined;
	head: number;
	wiped: number;
	readonly marks: Map<string, Marks>;
	/** Members of a conversation of two that block the other one (rule BLOCK-1). */
	readonly blocks: Set<string>;
	readonly backlog: Backlog;
	/** The head at the last writing. */
	savedHead: number;
	readonly #reads: Map<string, number>;
	readonly #store: Store;
	#saved: string | undefined;
	#group: Group | undefined;
	/** Changes that are not worth a row each. */
	#unsaved = 0;

	constructor(store: Store, json: StateJson | undefined, text: string | undefined) {
		this.#store = store;
		this.#saved = text;
		const group = store.readGroup();
		if (group !== undefined) this.#group = new Group(JSON.parse(group));
		this.head = json?.head ?? 0;
		this.savedHead = this.head;
		this.wiped = json?.wiped ?? 0;
		this.marks = new Map(json?.marks ?? []);
		this.blocks = new Set(json?.blocks ?? []);
		this.backlog = new Backlog(json?.backlog);
		this.#reads = new Map(json?.reads ?? []);
		if (json === undefined) return;
		const { version, members, devices, founders, deviceVersions } = json;
		this.roster = new Roster(version, members, devices.map(toDevice), founders ?? 2, deviceVersions ?? []);
	}

	/** What makes it a group, if it is one. */
	get group(): Group | undefined {
		return this.#group;
	}

	/** The devices of the roster. */
	get devices(): Device[] {
		return this.roster?.devices ?? [];
	}

	/** The first roster. One that is there already stays: founding may be repeated and raced. */
	found(members: RosterMember[]): void {
		if (this.roster !== undefined) return;
		const devices = members.flatMap(({ account, devices }) =>
			devices.map(({ device, registrationId }) => arriving(account, device, registrationId, 0)),
		);
		const accounts = members.map(({ account }) => account);
		const versions = members.map(({ account, version }) => [account, version ?? 0] as const);
		this.roster = new Roster(1, accounts, devices, accounts.length, versions);
		this.save();
	}

	/** A group's first members. The group is written first: a roster without it would be a direct conversation. */
	foundGroup(members: RosterMember[], group: Group): void {
		this.#writeGroup(group);
		this.found(members);
	}

	/** A group after a change. New members read nothing before it. */
	setGroup(group: Group, added: readonly RosterMember[], removed: readonly string[]): void {
		this.#writeGroup(group);
		this.roster?.change(added, removed, this.head);
	}

	/** The account is gone. Says whether it was a member. */
	removeMember(account: string): boolean {
		if (this.roster?.removeMember(account) !== true) return false;
		if (this.#group !== undefined) this.#writeGroup(this.#group.without(account));
		return true;
	}

	#writeGroup(group: Group): void {
		this.#group = group;
		this.#store.writeGroup(JSON.stringify(group.json));
	}

	/** A member's devices are these now. Says whether the roster has changed; a newer version is on disk either way. */
	setDevices(member: RosterMember): boolean {
		const changed = this.roster?.setDevices(member, this.head) === true;
		this.save();
		return changed;
	}

	/** How far an account's user has read. */
	readOf(account: string): number {
		return this.#reads.get(account) ?? 0;
	}

	/** Raises it; says whether that is a change (rule WATERMARK-1: it never goes back). */
	raiseRead(account: string, upTo: number): boolean {
		if (upTo <= this.readOf(account)) return false;
		this.#reads.set(account, upTo);
		return true;
	}

	/**
	 * Like `save`, for what a crash may lose because it is said or done again: in a large group the row is large, and a
	 * thousand devices may leave at once.
	 */
	saveSoon(): void {
		this.#unsaved += 1;
		const { length } = this.devices;
		// The larger the row, the more changes: a thousand nudges would write a megabyte sixteen times.
		if (length <= SMALL_ROSTER || this.#unsaved >= Math.max(SMALL_ROSTER, length / 8)) this.save();
	}

	/** Writes the state if it has changed: one row, up to about 4,000 devices. */
	save(): void {
		this.#unsaved = 0;
		if (this.roster === undefined) return;
		const json: StateJson = {
			head: this.head,
			wiped: this.wiped,
			version: this.roster.version,
			members: this.roster.members,
			devices: this.roster.devices.map(toState),
			reads: [...this.#reads],
			marks: [...this.marks],
			founders: this.roster.founders,
			deviceVersions: [...this.roster.deviceVersions],
			...(this.blocks.size === 0 ? {} : { blocks: [...this.blocks] }),
			backlog: this.backlog.json,
		};
		const text = JSON.stringify(json);
		this.savedHead = this.head;
		if (text === this.#saved) return;
		this.#store.writeState(text);
		this.#saved = text;
	}
}
