/** The account's devices, as their owner sees them. */
import { Failure } from "./failure.ts";
import { linkDevice } from "./linking.ts";
import type { LocalAccount, MachineEvent } from "./machine/interface.ts";
import { fittingName, openName, sealName } from "./signal/device_name.ts";
import { identityKeyPair } from "./signal/keys.ts";
import { readMeta } from "./store/account.ts";
import type { Store } from "./store/database.ts";
import type { Clock } from "./transport/clock.ts";
import type { DeviceCalls } from "./transport/device_calls.ts";

/** A device of the own account. */
export interface Device {
	id: number;
	/** Undefined where no device of the account has named it. */
	name: string | undefined;
	createdAtMs: number;
	/** A day, as YYYY-MM-DD in UTC: nothing finer is kept. */
	lastSeen: string;
	/** This very device. */
	current: boolean;
}

export interface DevicesOptions {
	store: Store;
	account: LocalAccount;
	server: string;
	calls: DeviceCalls;
	clock: Clock;
	/** Tells the machine. */
	post(event: MachineEvent): void;
	/** This device has unlinked itself. */
	onSelfUnlinked(): void;
}

/** The own account's devices: listing, naming, linking and unlinking them. */
export class Devices {
	readonly #options: DevicesOptions;

	constructor(options: DevicesOptions) {
		this.#options = options;
	}

	async list(): Promise<Device[]> {
		const { store, account, calls } = this.#options;
		const identity = identityKeyPair(store);
		return (await calls.list()).map(({ deviceId, registrationId, sealedName, createdAtMs, lastSeenDay }) => ({
			id: deviceId,
			name: sealedName === undefined ? undefined : openName(identity, registrationId, sealedName),
			createdAtMs,
			lastSeen: new Date(lastSeenDay * 86_400_000).toISOString().slice(0, 10),
			current: deviceId === account.deviceId,
		}));
	}

	/** Throws `Failure` `no_such_device`. */
	async rename(id: number, name: string): Promise<void> {
		const { store, calls } = this.#options;
		const fitting = fittingName(name);
		if (fitting === "" || fitting !== name.trim()) {
			throw new Failure("bad_argument", "a device's name has 1 to 64 bytes");
		}
		const device = (await calls.list()).find(({ deviceId }) => deviceId === id);
		if (device === undefined) throw noSuchDevice(id);
		await calls.rename(id, sealName(identityKeyPair(store), device.registrationId, fitting));
	}

	/** The device loses access at once. Throws `Failure` `no_such_device`. */
	async unlink(id: number): Promise<void> {
		const { account, calls, onSelfUnlinked } = this.#options;
		if (!(await calls.list()).some(({ deviceId }) => deviceId === id)) throw noSuchDevice(id);
		await calls.unlink(id);
		if (id === account.deviceId) onSelfUnlinked();
	}

	/**
	 * A new device asks which conversations the account has; what was said in them before stays where it is (rule SYNC-4).
	 * What fails is tried again at the next start.
	 */
	learnConversations(): void {
		const { store, calls, post } = this.#options;
		if (readMeta(store, "conversations_wanted") === undefined) return;
		void calls.conversations().then(
			(peers) => post({ type: "learn-conversations", peers }),
			() => {},
		);
	}

	/** Hands the account to the new device that shows the code; see `linkDevice`. */
	link(link: string, confirm: (name: string) => Promise<boolean>, onSent?: () => void): Promise<number | undefined> {
		return linkDevice(link, { ...this.#options, confirm, onSent });
	}
}

function noSuchDevice(id: number): Failure {
	return new Failure("no_such_device", `the account has no device ${id}: see parley devices`);
}
