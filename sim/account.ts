/**
 * A stand-in for the account objects: it keeps the news for each device until the device has caught up, and tells it
 * when its program runs. Calls to it may fail before or after it has written.
 */
import type { Device } from "./device.ts";
import type { History } from "./history.ts";
import type { Random } from "./random.ts";
import type { Schedule } from "./schedule.ts";

/** How often a waiting device is told again: its account socket breaks, too. */
const REPEAT_MS = 2_000;

export class Accounts {
	#schedule: Schedule;
	#random: Random;
	#history: History;
	#devices = new Map<string, Device>();
	/** On disk: news that waits, by device; in worlds with several conversations by conversation and device. */
	#waiting = new Map<string, number>();
	/** Probability that a call fails. */
	#failures: number;

	constructor(schedule: Schedule, random: Random, history: History, failures: number) {
		this.#schedule = schedule;
		this.#random = random;
		this.#history = history;
		this.#failures = failures;
	}

	/** `name`: under which its news waits. */
	add(device: Device, name: string = device.name): void {
		this.#devices.set(name, device);
	}

	/** The device was unlinked: nudges for it are ignored. */
	remove({ name }: Device): void {
		for (const [key, device] of this.#devices) {
			if (device.name !== name) continue;
			this.#devices.delete(key);
			this.#waiting.delete(key);
		}
	}

	/** No call fails from here on. */
	calm(): void {
		this.#failures = 0;
	}

	/** The conversation's call; `done` hears, after a while, whether it went well. */
	nudge(name: string, upTo: number, done: (ok: boolean) => void | Promise<void>): void {
		const fails = this.#random.chance(this.#failures);
		const arrives = !fails || this.#random.chance(0.5);
		this.#schedule.after(this.#random.between(1, 200), () => {
			if (arrives) {
				this.#history.note(`${name} is nudged up to ${upTo}`);
				const started = this.#waiting.has(name);
				this.#waiting.set(name, Math.max(upTo, this.#waiting.get(name) ?? 0));
				if (!started) this.#tell(name, 1);
			}
			this.#schedule.after(this.#random.between(1, 200), () => done(!fails));
		});
	}

	/** The device has looked after its news up to there. */
	seen(name: string, upTo: number): void {
		if ((this.#waiting.get(name) ?? 0) <= upTo) this.#waiting.delete(name);
	}

	/**
	 * Tells a device its news until it has caught up with it: once at least, though it may have everything. A crash of the
	 * conversation forgets what was acknowledged, and only a Hello tells it again (rule NUDGE-1).
	 */
	#tell(name: string, delayMs: number, told = false): void {
		this.#schedule.after(delayMs, () => {
			const upTo = this.#waiting.get(name);
			const device = this.#devices.get(name);
			if (upTo === undefined || device === undefined) return;
			if (device.saysSeen !== true && told && device.cursor >= upTo) {
				this.#waiting.delete(name);
				return;
			}
			this.#tell(name, REPEAT_MS, told || device.online);
			if (device.online) return device.news(upTo);
		});
	}
}
