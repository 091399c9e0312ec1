/** Nudges to the accounts of absent devices, and the one alarm (rules NUDGE-1 and EXPIRY-1). */
import type { Effect } from "./events.ts";
import { type Log, RETENTION_MS } from "./log.ts";
import type { Device } from "./roster.ts";
import type { Persisted } from "./state.ts";

/** When the alarm tries for the first time what the call itself should have done at once. */
const FIRST_RETRY_MS = 5_000;
const LAST_RETRY_MS = 60 * 60 * 1_000;

/** Who has to be nudged, and when the alarm rings. */
export class Nudges {
	readonly #state: Persisted;
	readonly #isConnected: (device: Device) => boolean;
	#alarm_ms: number | undefined;

	constructor(state: Persisted, alarm_ms: number | undefined, isConnected: (device: Device) => boolean) {
		this.#state = state;
		this.#alarm_ms = alarm_ms;
		this.#isConnected = isConnected;
	}

	/** The alarm is set already. */
	alarmIs(alarm_ms: number): void {
		this.#alarm_ms ??= alarm_ms;
	}

	/**
	 * After waking: a crash takes connections with it whose end nobody tells of, so a device that is behind and not here
	 * may have no nudge. It has a moment to connect again by itself.
	 */
	woken(head: number, now_ms: number, effects: Effect[]): void {
		const forgotten = this.#state.devices.some(
			(device) => !device.nudged && device.passed < head && !this.#isConnected(device),
		);
		if (forgotten) this.#ring(now_ms + FIRST_RETRY_MS, effects);
	}

	/** After each append: its ciphertext has a deadline, and absent devices get their nudge. */
	appended(head: number, now_ms: number, effects: Effect[]): void {
		if (this.#alarm_ms === undefined) this.#ring(now_ms + RETENTION_MS, effects);
		for (const device of this.#state.devices) this.check(device, head, now_ms, effects);
	}

	/** Nudges the device if it is absent, behind, and has not been nudged since it was here. */
	check(device: Device, head: number, now_ms: number, effects: Effect[]): void {
		if (device.nudged || device.nudging || device.passed >= head) return;
		if (device.nudgeAt_ms !== undefined && device.nudgeAt_ms > now_ms) return;
		if (this.#isConnected(device)) return;
		// A group has no peer: its id is its address. One that is gone is known to the device's account.
		const peer = this.#state.group === undefined ? (this.#state.roster?.peerOf(device.account) ?? "") : "";
		device.nudging = true;
		device.nudgeAt_ms = now_ms + pause(device.attempts);
		// The alarm before the call: it is on disk together with the entry, so a crash can't lose the nudge.
		this.#ring(device.nudgeAt_ms, effects);
		effects.push({ type: "nudge", account: device.account, peer, device: device.device, upTo: head });
	}

	/** The device has connected; says whether its mark has to be removed on disk. */
	present(device: Device): boolean {
		const { nudged } = device;
		device.nudged = false;
		device.nudgeAt_ms = undefined;
		device.attempts = 0;
		return nudged;
	}

	/** How a call went. */
	called(
		outcome: { account: string; device: number; upTo: number; ok: boolean },
		log: Log,
		now_ms: number,
		effects: Effect[],
	): void {
		const device = this.#state.roster?.find(outcome.account, outcome.device);
		if (device === undefined) return;
		device.nudging = false;
		if (!outcome.ok) {
			device.attempts += 1;
			device.nudgeAt_ms = now_ms + pause(device.attempts);
			this.#ring(device.nudgeAt_ms, effects);
			return;
		}
		device.attempts = 0;
		device.nudgeAt_ms = undefined;
		if (this.#isConnected(device)) return;
		if (device.passed >= outcome.upTo) {
			// It was here meanwhile, has everything of that nudge and left again: the next entry is new news.
			this.check(device, log.head, now_ms, effects);
			return;
		}
		device.nudged = true;
		this.#state.saveSoon();
	}

	/** The alarm has rung. */
	alarm(log: Log, now_ms: number, effects: Effect[]): void {
		this.#alarm_ms = undefined;
		let next = log.nextExpiry();
		for (const device of this.#state.devices) {
			this.check(device, log.head, now_ms, effects);
			// One that is due and was not called is present, or a call is under way: either sets its own time again.
			if (device.nudgeAt_ms !== undefined && device.nudgeAt_ms <= now_ms) device.nudgeAt_ms = undefined;
			if (device.nudgeAt_ms !== undefined) next = Math.min(next ?? device.nudgeAt_ms, device.nudgeAt_ms);
		}
		if (next !== undefined) this.#ring(next, effects);
	}

	#ring(at_ms: number, effects: Effect[]): void {
		if (this.#alarm_ms !== undefined && this.#alarm_ms <= at_ms) return;
		this.#alarm_ms = at_ms;
		effects.push({ type: "alarm", at_ms });
	}
}

function pause(attempts: number): number {
	return Math.min(LAST_RETRY_MS, FIRST_RETRY_MS * 2 ** attempts);
}
