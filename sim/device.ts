/** What the world, the accounts and the checker know of a device, light or real. */
import type { DeviceName } from "./history.ts";
import type { Link } from "./network.ts";

export interface Device {
	readonly account: string;
	readonly device: number;
	readonly registrationId: number;
	readonly name: DeviceName;
	/** Whether the program runs; a sleeping one has no socket to its account. */
	readonly online: boolean;
	/** Everything up to here is on the device's disk. */
	readonly cursor: number;
	readonly read: number;
	/** Says itself when news was looked after; otherwise its cursor says it. */
	readonly saysSeen?: boolean;
	/** The conversation has accepted the connection that the device asked for. */
	opened(link: Link): void | Promise<void>;
	/** The server has said that this device is none of its account's any more. */
	shutOut?(): void;
	/** The server has no such group for the device's account. */
	turnedAway?(): void;
	/** The account says that there is something to fetch up to this number. */
	news(upTo: number): void | Promise<void>;
}

/** A short name: the first digits of the account, and the device. */
export function deviceName(account: string, device: number): DeviceName {
	return `${account.slice(0, 8)}.${device}`;
}
