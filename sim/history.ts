/** What a world records: the observations that the checker judges, and a trace for people. */

import type { GroupState } from "../client/groups/state.ts";

/** A device's name in a world: account id and device id. */
export type DeviceName = string;

export type Observation =
	/** A person wrote something; it is in the device's outbox. */
	| { type: "offered"; device: DeviceName; id: string }
	/** An entry that no person wrote and that holds nothing for the others. */
	| { type: "beside"; device: DeviceName; id: string }
	/** `to`: the devices for which it was encrypted, where the sender tells. */
	| { type: "accepted"; device: DeviceName; id: string; number: number; timeMs: number; to?: readonly DeviceName[] }
	/** An entry came down a connection, repeats included. */
	| { type: "arrived"; device: DeviceName; link: number; number: number }
	/** An entry that the device has stored for good. */
	| { type: "stored"; device: DeviceName; number: number; id: string; sender: DeviceName; timeMs: number; body: string }
	/** `life` counts the object's crashes before the connection. */
	| { type: "welcome"; device: DeviceName; head: number; life: number }
	| { type: "caught-up"; device: DeviceName; head: number }
	| { type: "missed"; device: DeviceName; from: number; to: number }
	| { type: "watermark"; device: DeviceName; subject: DeviceName; delivered: number; read: number }
	/** What the device itself has on disk: bounds what others may be told about it. */
	| { type: "cursor"; device: DeviceName; cursor: number; read: number }
	| { type: "refused"; device: DeviceName; code: string; id: string | undefined }
	/**
	 * The object has a new roster on its disk; the log ends at `head`. `entry`: made by a change of the group, the entry
	 * after it.
	 */
	| { type: "roster"; version: number; devices: readonly DeviceName[]; head: number; entry: boolean }
	/** A state of a group that the device has verified; `intent`: for what it was made, `number`: of its entry. */
	| {
			type: "state";
			device: DeviceName;
			number: number;
			author: string;
			intent: string;
			/** Not known before, or after an absence: taken as it is. */
			first: boolean;
			state: GroupState;
	  }
	/** The message will never be sent, for a reason that people are told. */
	| { type: "failed"; device: DeviceName; code: string; id: string }
	/** What the device still has to send when the world ends. */
	| { type: "left-over"; device: DeviceName; messages: number; changes: number }
	| { type: "object-crashed" }
	/** The world has calmed down, and nudges have had their time. */
	| { type: "rested" }
	/** Every device has been connected once more. `devices`: who is one of an account's now. */
	| { type: "ended"; head: number; rows: readonly LogRow[]; devices: readonly DeviceName[] };

/** A row of the object's log at the end of a world. */
export interface LogRow {
	number: number;
	id: string;
	timeMs: number;
	wiped: boolean;
}

/** Observations in order, with the moment of each. */
export class History {
	readonly observations: Observation[] = [];
	readonly trace: string[];
	#now: () => number;
	#name: string;

	/** `name` stands before each line of a trace that several conversations write. */
	constructor(now: () => number, name = "", trace: string[] = []) {
		this.#now = now;
		this.#name = name;
		this.trace = trace;
	}

	/** Records what the checker will judge. */
	observe(observation: Observation): void {
		this.observations.push(observation);
		if (observation.type === "ended") this.note(`ended head=${observation.head}`);
		else if (observation.type === "state") {
			const { device, number, author, intent, state } = observation;
			const members = state.members.map(({ account, role }) => `${account.slice(0, 4)}${role === "admin" ? "*" : ""}`);
			this.note(`state ${device} ${number} v${state.version} ${author.slice(0, 8)} ${intent} ${members.join(" ")}`);
		} else this.note(Object.values(observation).join(" "));
	}

	/** Records something for the trace only. */
	note(text: string): void {
		this.trace.push(`${this.#now()} ${this.#name}${text}`);
	}
}
