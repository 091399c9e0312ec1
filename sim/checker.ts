/**
 * Judges a world from its recorded history alone, rule by rule. It knows nothing of the object's insides: what a
 * device saw and what the log holds at the end must agree.
 */
import { bodyText } from "./bodies.ts";
import type { DeviceName, History, LogRow, Observation } from "./history.ts";

/** A broken promise. */
export interface Violation {
	rule: string;
	what: string;
}

type Of<Type extends Observation["type"]> = Extract<Observation, { type: Type }>;

/** What the checker learns as it reads the history. */
class Reading {
	readonly violations: Violation[] = [];
	readonly accepted = new Map<string, Of<"accepted">>();
	readonly offered = new Map<string, DeviceName>();
	readonly beside = new Set<string>();
	/** Number to id, from every source: one log for all. */
	readonly log = new Map<number, { id: string; timeMs: number }>();
	readonly stored = new Map<DeviceName, Of<"stored">[]>();
	readonly cursors = new Map<DeviceName, { cursor: number; read: number }>();
	/** Last number on each connection. */
	readonly arrived = new Map<number, number>();
	readonly caughtUp: { device: DeviceName; head: number; stored: number; promised: number }[] = [];
	/** What each device was told last about each other. */
	readonly marks = new Map<DeviceName, Map<DeviceName, { delivered: number; read: number }>>();
	/** The object's life from which each device had its last Welcome. */
	readonly lives = new Map<DeviceName, number>();
	/** Rosters in order: each counts for the entries after its head. */
	readonly rosters: { devices: ReadonlySet<DeviceName>; head: number }[] = [];
	/** Highest number that any device was told of. */
	promised = 0;
	rested: Map<DeviceName, number> | undefined;
	end: Of<"ended"> | undefined;

	fail(rule: string, what: string): void {
		this.violations.push({ rule, what });
	}

	/** Who was on the roster when an entry got its number. */
	rosterAt(number: number): ReadonlySet<DeviceName> {
		return this.rosters.findLast(({ head }) => head < number)?.devices ?? new Set();
	}

	/** Where the log ended when the device came; undefined for one that was there from the beginning. */
	arrivalOf(device: DeviceName): number | undefined {
		const first = this.rosters.findIndex(({ devices }) => devices.has(device));
		return first > 0 ? this.rosters[first]?.head : undefined;
	}

	/** Where the log ended when the device came for the last time; it may have left before with things unread. */
	lastArrivalOf(device: DeviceName): number {
		const absent = this.rosters.findLastIndex(({ devices }) => !devices.has(device));
		return absent < 0 ? 0 : (this.rosters[absent + 1]?.head ?? 0);
	}

	/** Whether the device is one of its account's at the end. */
	remains(device: DeviceName): boolean {
		return this.end?.devices.includes(device) ?? true;
	}

	/** A number belongs to one id and one time, whoever says so. */
	place(number: number, id: string, timeMs: number, who: string): void {
		const known = this.log.get(number);
		if (known === undefined) this.log.set(number, { id, timeMs });
		else if (known.id !== id) this.fail("ORDER-1", `${who}: number ${number} is ${id} and ${known.id}`);
		else if (known.timeMs !== timeMs) this.fail("ONCE-1", `${who}: number ${number} has two times`);
	}
}

/** All broken promises of a world; empty when it held. */
export function check(history: History, devices: readonly DeviceName[]): Violation[] {
	const reading = new Reading();
	for (const device of devices) {
		reading.stored.set(device, []);
		reading.cursors.set(device, { cursor: 0, read: 0 });
	}
	for (const observation of history.observations) observe(reading, observation);
	const { end } = reading;
	if (end === undefined) {
		reading.fail("ORDER-1", "the world did not end");
		return reading.violations;
	}
	checkLog(reading, end);
	checkAccepted(reading, end);
	checkRosters(reading, end);
	checkDelivered(reading, end);
	checkKept(reading, end.rows);
	checkWatermarks(reading, devices);
	return reading.violations;
}

function observe(reading: Reading, seen: Observation): void {
	switch (seen.type) {
		case "offered":
			reading.offered.set(seen.id, seen.device);
			return;
		case "beside":
			reading.beside.add(seen.id);
			return;
		case "accepted": {
			const first = reading.accepted.get(seen.id);
			reading.promised = Math.max(reading.promised, seen.number);
			if (first === undefined) reading.accepted.set(seen.id, seen);
			else if (first.number !== seen.number || first.timeMs !== seen.timeMs) {
				reading.fail("ONCE-1", `${seen.id} was accepted as ${first.number}, then as ${seen.number}`);
			}
			reading.place(seen.number, seen.id, seen.timeMs, seen.device);
			checkAddressees(reading, seen);
			return;
		}
		case "arrived": {
			const last = reading.arrived.get(seen.link) ?? 0;
			if (seen.number <= last) reading.fail("DELIVERED-1", `${seen.device}: ${seen.number} came after ${last}`);
			reading.arrived.set(seen.link, seen.number);
			return;
		}
		case "stored":
			reading.stored.get(seen.device)?.push(seen);
			reading.promised = Math.max(reading.promised, seen.number);
			reading.place(seen.number, seen.id, seen.timeMs, seen.device);
			if (seen.body !== bodyText(seen.id, seen.device)) {
				reading.fail("DELIVERED-1", `${seen.device}: entry ${seen.number} is not the one addressed to it`);
			}
			return;
		case "caught-up": {
			const stored = reading.stored.get(seen.device)?.length ?? 0;
			reading.caughtUp.push({ device: seen.device, head: seen.head, stored, promised: reading.promised });
			return;
		}
		case "missed":
			reading.fail("KEPT-1", `${seen.device} was told that it missed ${seen.from} to ${seen.to}`);
			return;
		case "watermark":
			observeWatermark(reading, seen);
			return;
		case "cursor":
			reading.cursors.set(seen.device, { cursor: seen.cursor, read: seen.read });
			return;
		case "refused":
			if (seen.code !== "SUPERSEDED") reading.fail("REFUSED-1", `${seen.device} was refused: ${seen.code}`);
			return;
		case "roster":
			reading.rosters.push({ devices: new Set(seen.devices), head: seen.head });
			return;
		case "failed":
			reading.offered.delete(seen.id);
			return;
		case "state":
		case "left-over":
		case "object-crashed":
			return;
		case "rested":
			reading.rested = new Map([...reading.stored].map(([device, entries]) => [device, entries.length]));
			return;
		case "ended":
			reading.end = seen;
			return;
		case "welcome":
			// A crash may lose what the devices say again in their next Hello (rule WATERMARK-2).
			if (reading.lives.get(seen.device) !== seen.life) reading.marks.delete(seen.device);
			reading.lives.set(seen.device, seen.life);
			return;
		default:
			seen satisfies never;
	}
}

function observeWatermark(reading: Reading, seen: Of<"watermark">): void {
	const { device, subject, delivered, read } = seen;
	const marks = reading.marks.get(device) ?? new Map();
	reading.marks.set(device, marks);
	const last = marks.get(subject);
	if (last !== undefined && (delivered < last.delivered || read < last.read)) {
		reading.fail(
			"WATERMARK-1",
			`${device} about ${subject}: ${last.delivered}/${last.read} went back to ${delivered}/${read}`,
		);
	}
	marks.set(subject, { delivered, read });
}

/** It was encrypted for exactly those who were on the roster, but its sender. */
function checkAddressees(reading: Reading, { number, id, device, to }: Of<"accepted">): void {
	if (to === undefined) return;
	const expected = [...reading.rosterAt(number)].filter((name) => name !== device).sort();
	if (expected.join(" ") === [...to].sort().join(" ")) return;
	reading.fail("ROSTER-1", `${id} at ${number} is for ${to.join(" ")}; on the roster were ${expected.join(" ")}`);
}

/** The conversation knows the devices that there are. */
function checkRosters(reading: Reading, end: Of<"ended">): void {
	const last = reading.rosters.at(-1);
	if (last === undefined) return;
	const [known, actual] = [[...last.devices].sort().join(" "), [...end.devices].sort().join(" ")];
	if (known !== actual) reading.fail("DEVICE-4", `the roster is ${known}, the devices are ${actual}`);
}

/** Numbers 1 to n without gaps, one log for all, time in order. */
function checkLog(reading: Reading, end: Of<"ended">): void {
	for (const row of end.rows) reading.place(row.number, row.id, row.timeMs, "the log");
	let timeMs = 0;
	const numbers = new Map<string, number>();
	for (let number = 1; number <= end.head; number++) {
		const entry = reading.log.get(number);
		if (entry === undefined) {
			reading.fail("ORDER-1", `nobody has seen number ${number} of ${end.head}`);
			continue;
		}
		if (entry.timeMs < timeMs) reading.fail("ORDER-2", `time runs backwards at ${number}`);
		timeMs = entry.timeMs;
		const other = numbers.get(entry.id);
		if (other !== undefined) reading.fail("ONCE-1", `${entry.id} stands at ${other} and ${number}`);
		numbers.set(entry.id, number);
		if (!reading.offered.has(entry.id) && !reading.beside.has(entry.id))
			reading.fail("ORDER-1", `${entry.id} at ${number} was never written`);
	}
	for (const number of reading.log.keys()) {
		if (number > end.head) reading.fail("DURABLE-1", `number ${number} was seen, the log ends at ${end.head}`);
	}
}

/** What was promised is there, and what a person wrote was accepted in the end. */
function checkAccepted(reading: Reading, end: Of<"ended">): void {
	const rows = new Map(end.rows.map((row) => [row.number, row.id]));
	for (const { id, number } of reading.accepted.values()) {
		const row = rows.get(number);
		if (row !== id) reading.fail("DURABLE-1", `${id} was accepted as ${number}; there the log has ${row}`);
	}
	for (const [id, device] of reading.offered) {
		if (!reading.accepted.has(id) && reading.remains(device)) {
			reading.fail("DELIVERED-1", `${device}: ${id} was never accepted`);
		}
	}
}

/** Every device has everything that was addressed to it, in order; `CaughtUp` meant it. */
function checkDelivered(reading: Reading, end: Of<"ended">): void {
	const senders = new Map<number, DeviceName | undefined>();
	for (const row of end.rows) {
		if (!reading.beside.has(row.id)) senders.set(row.number, reading.offered.get(row.id));
	}
	for (const [device, entries] of reading.stored) {
		const expected = [...senders]
			.filter(([number, sender]) => sender !== device && reading.rosterAt(number).has(device))
			.map(([number]) => number);
		const meant = new Set(expected);
		let last = 0;
		for (const entry of entries) {
			if (entry.number <= last) reading.fail("DELIVERED-1", `${device} stored ${entry.number} after ${last}`);
			if (entry.sender !== senders.get(entry.number)) {
				reading.fail("DELIVERED-1", `${device}: entry ${entry.number} names another sender`);
			}
			if (!meant.has(entry.number)) reading.fail("ROSTER-3", `${device} has read ${entry.number}, which it may not`);
			last = entry.number;
		}
		const have = new Set(entries.map(({ number }) => number));
		// Who was removed may have left early.
		const arrival = reading.lastArrivalOf(device);
		const due = expected.filter((number) => number > arrival);
		const lacking = reading.remains(device) ? due.filter((number) => !have.has(number)) : [];
		if (lacking.length > 0) reading.fail("DELIVERED-1", `${device} never got ${lacking.join(", ")}`);
		const rested = reading.rested?.get(device) ?? 0;
		if (rested < entries.length && lacking.length === 0 && reading.remains(device)) {
			const late = entries.slice(rested).map(({ number }) => number);
			reading.fail("NUDGE-1", `${device} was not woken for ${late.join(", ")}`);
		}
		for (const caughtUp of reading.caughtUp) {
			if (caughtUp.device !== device) continue;
			const due = expected.filter((number) => number <= caughtUp.head).length;
			if (caughtUp.stored < due) {
				reading.fail("DELIVERED-2", `${device} was told that it caught up to ${caughtUp.head} before it had`);
			}
			if (caughtUp.head > end.head) {
				reading.fail("DELIVERED-2", `${device} caught up to ${caughtUp.head}, beyond the head ${end.head}`);
			}
		}
	}
}

/** All have acknowledged everything: no ciphertext is left. */
function checkKept(reading: Reading, rows: readonly LogRow[]): void {
	const left = rows.filter((row) => !row.wiped).map((row) => row.number);
	if (left.length > 0) reading.fail("KEPT-1", `the ciphertext of ${left.join(", ")} is still there`);
}

/** At the end everybody knows where everybody stands. */
function checkWatermarks(reading: Reading, devices: readonly DeviceName[]): void {
	for (const observer of devices) {
		// The real client keeps its watermarks to itself.
		if (!reading.lives.has(observer) || !reading.remains(observer)) continue;
		for (const subject of devices) {
			if (observer === subject || !reading.remains(subject)) continue;
			const mark = reading.marks.get(observer)?.get(subject);
			const actual = reading.cursors.get(subject);
			if (actual === undefined) continue;
			// A new device has everything up to its arrival, which the roster tells.
			const delivered = mark?.delivered ?? reading.arrivalOf(subject);
			if (delivered !== actual.cursor) {
				reading.fail("WATERMARK-2", `${observer} thinks that ${subject} has ${delivered}, it has ${actual.cursor}`);
			}
		}
	}
}
