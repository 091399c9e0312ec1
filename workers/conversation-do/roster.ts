/** Members and devices, and where each device stands (rules ROSTER-1 to ROSTER-3). */
import type { Send } from "../../protocol/gen/conversation_up_pb.js";
import { toHex, uuidFromBytes, uuidToBytes } from "../../protocol/ids.ts";
import type { RosterMember } from "./interface.ts";

/** A device on the roster, as it is kept. All numbers are entry numbers. */
export interface DeviceState {
	account: string;
	device: number;
	registrationId: number;
	/** The head when it arrived: it reads nothing up to here (rule ROSTER-3). */
	arrived: number;
	/** What it has acknowledged itself. */
	cursor: number;
	/** What others are told that it has; as `cursor` where it is left out. */
	told?: number;
	/** The effective cursor: passes over its own entries, which need no delivery. */
	passed: number;
	/** It has been nudged and has not connected since (rule NUDGE-1). */
	nudged: boolean;
}

/** A device with what is derived from its state or lives in memory only. */
export interface Device extends DeviceState {
	told: number;
	readonly key: string;
	readonly accountBytes: Uint8Array;
	/** Nudges that failed one after another. */
	attempts: number;
	/** When the next nudge is due, if one is. */
	nudgeAt_ms: number | undefined;
	/** A nudge is being called right now. */
	nudging: boolean;
}

/** The sender column of the log: a device that was installed anew is another sender. */
export function senderKey(account: string, device: number, registrationId: number): string {
	return `${account}/${device}/${registrationId}`;
}

/** Account and device of a sender key. */
export function parseSender(key: string): { account: Uint8Array; device: number } {
	return { account: uuidToBytes(key.slice(0, 36)), device: Number(key.slice(37, key.indexOf("/", 37))) };
}

/** A device from its state. */
export function toDevice(state: DeviceState): Device {
	return {
		...state,
		told: state.told ?? state.cursor,
		key: senderKey(state.account, state.device, state.registrationId),
		accountBytes: uuidToBytes(state.account),
		attempts: 0,
		nudgeAt_ms: undefined,
		nudging: false,
	};
}

/** What is kept of a device. */
export function toState(device: Device): DeviceState {
	const { account, registrationId, arrived, cursor, told, passed, nudged } = device;
	const state = { account, device: device.device, registrationId, arrived, cursor, passed, nudged };
	return told === cursor ? state : { ...state, told };
}

/** The roster: pure bookkeeping. */
export class Roster {
	version: number;
	members: string[];
	#devices: Device[] = [];
	#byKey: Map<string, Device> = new Map();
	#byAddress: Map<string, Device> = new Map();
	/** How many members the conversation began with: one with oneself has one. */
	readonly founders: number;
	/** The newest version of each member's devices that is known. */
	readonly deviceVersions: Map<string, number>;

	constructor(
		version: number,
		members: string[],
		devices: Device[],
		founders: number,
		deviceVersions: Iterable<readonly [string, number]>,
	) {
		this.version = version;
		this.members = members;
		this.devices = devices;
		this.founders = founders;
		this.deviceVersions = new Map(deviceVersions);
	}

	get devices(): Device[] {
		return this.#devices;
	}

	set devices(devices: Device[]) {
		this.#devices = devices;
		this.#byKey = new Map(devices.map((device) => [device.key, device]));
		this.#byAddress = new Map(devices.map((device) => [addressOf(device.account, device.device), device]));
	}

	/** The device of a `senderKey`: this registration of it and no other. */
	get(key: string): Device | undefined {
		return this.#byKey.get(key);
	}

	/** Of a conversation that is no group: whether everybody else has left, and nobody is there to write to. */
	get deserted(): boolean {
		return this.members.length < this.founders;
	}

	/** Whom a member shares the conversation with: the other one of two, or itself. */
	peerOf(account: string): string | undefined {
		return this.members.find((member) => member !== account) ?? (this.founders === 1 ? account : undefined);
	}

	/** The device with this address and registration. */
	find(account: string, device: number): Device | undefined {
		return this.#byAddress.get(addressOf(account, device));
	}

	/**
	 * Sets a member's devices; says whether that is a change of the roster. A new or re-registered device begins at the
	 * head. A list that is not newer than the known one changes nothing (rule DEVICE-4).
	 */
	setDevices(member: RosterMember, head: number): boolean {
		const { account, version } = member;
		if (!this.members.includes(account)) return false;
		if (version !== undefined) {
			if (version <= (this.deviceVersions.get(account) ?? 0)) return false;
			this.deviceVersions.set(account, version);
		}
		const others = this.devices.filter((device) => device.account !== account);
		const own = this.devices.filter((device) => device.account === account);
		const next = member.devices.map(({ device, registrationId }) => {
			const known = own.find((one) => one.device === device && one.registrationId === registrationId);
			return known ?? arriving(account, device, registrationId, head);
		});
		if (next.length === own.length && next.every((device) => own.includes(device))) return false;
		this.devices = [...others, ...next];
		this.version += 1;
		return true;
	}

	/** Removes a member with its devices; says whether it was one. */
	removeMember(account: string): boolean {
		return this.change([], [account], 0);
	}

	/**
	 * Adds and removes members in one step and one version; says whether that is a change. New devices read nothing up to
	 * `head`.
	 */
	change(added: readonly RosterMember[], removed: readonly string[], head: number): boolean {
		const gone = new Set(removed.filter((account) => this.members.includes(account)));
		const come = added.filter(({ account }) => !this.members.includes(account));
		if (gone.size === 0 && come.length === 0) return false;
		this.members = [...this.members.filter((member) => !gone.has(member)), ...come.map(({ account }) => account)];
		this.devices = [
			...this.devices.filter((device) => !gone.has(device.account)),
			...come.flatMap(({ account, devices }) =>
				devices.map(({ device, registrationId }) => arriving(account, device, registrationId, head)),
			),
		];
		for (const account of gone) this.deviceVersions.delete(account);
		for (const { account, version } of come) this.deviceVersions.set(account, version ?? 0);
		this.version += 1;
		return true;
	}

	/** Rule GROUP-1: whether all envelopes are for devices of the roster, each once, and none for the sender. */
	addresses(send: Send, sender: Device): boolean {
		return send.envelopes.every(({ to }) => {
			if (to === undefined) return false;
			const key = senderKey(uuidFromBytes(to.account), to.device, to.registrationId);
			return key !== sender.key && this.#byKey.has(key);
		});
	}

	/** Rule ROSTER-1: whether the message is for exactly this roster but its sender. */
	fits(send: Send, sender: Device): boolean {
		if (send.rosterVersion !== this.version || send.envelopes.length !== this.devices.length - 1) return false;
		for (const { to } of send.envelopes) {
			if (to === undefined) return false;
			const device = this.devices.find((one) => one.device === to.device && sameBytes(one.accountBytes, to.account));
			if (device === undefined || device === sender || device.registrationId !== to.registrationId) return false;
		}
		return true;
	}

	/** Rule ROSTER-2: what is wrong with the message's addresses. */
	difference(send: Send, sender: Device) {
		const expected = new Map<string, Device>();
		for (const device of this.devices) {
			if (device !== sender) expected.set(`${toHex(device.accountBytes)}.${device.device}`, device);
		}
		const addresses = send.envelopes.flatMap(({ to }) => (to === undefined ? [] : [to]));
		const quoted = new Set<string>();
		const gone: { account: Uint8Array; device: number; registrationId: number }[] = [];
		const reregistered: ReturnType<typeof toAddress>[] = [];
		for (const { account, device, registrationId } of addresses) {
			const key = `${toHex(account)}.${device}`;
			quoted.add(key);
			const known = expected.get(key);
			if (known === undefined) gone.push({ account, device, registrationId });
			else if (known.registrationId !== registrationId) reregistered.push(toAddress(known));
		}
		const missing = [...expected].filter(([key]) => !quoted.has(key)).map(([, device]) => toAddress(device));
		return { version: this.version, missing, gone, reregistered };
	}

	/** As it goes onto the wire. */
	frame() {
		return {
			version: this.version,
			devices: this.devices.map(toAddress),
			members: this.members.map((member) => uuidToBytes(member)),
		};
	}
}

/** A new device: nothing before its arrival is for it. */
export function arriving(account: string, device: number, registrationId: number, head: number): Device {
	return toDevice({ account, device, registrationId, arrived: head, cursor: head, passed: head, nudged: false });
}

function addressOf(account: string, device: number): string {
	return `${account}/${device}`;
}

/** A device's address on the wire. */
export function toAddress(device: Device) {
	return { account: device.accountBytes, device: device.device, registrationId: device.registrationId };
}

/** Whether two byte strings are equal. */
export function sameBytes(one: Uint8Array, other: Uint8Array): boolean {
	if (one.length !== other.length) return false;
	for (let index = 0; index < one.length; index++) if (one[index] !== other[index]) return false;
	return true;
}
