/** What a light client keeps, and what it needs of its world. */
import type { Entry } from "../protocol/gen/conversation_down_pb.js";
import type { Send } from "../protocol/gen/conversation_up_pb.js";
import type { Device } from "./device.ts";
import type { Fault } from "./faults.ts";
import type { History } from "./history.ts";
import type { Link } from "./network.ts";
import type { Random } from "./random.ts";
import type { Schedule } from "./schedule.ts";

/** What is on the device's disk. */
export interface Disk {
	cursor: number;
	read: number;
	/** The conversation's socket was wanted: it is opened again after a crash or a broken connection. */
	open: boolean;
	lastId: Uint8Array<ArrayBuffer> | undefined;
	/** Unsent or unanswered messages, in order, as they go over the wire. */
	outbox: Send[];
	/** Entries of the running step; they are written with it. */
	storing: Entry[];
}

/** What the device knows of its connection; gone with a crash. */
export interface Session {
	link: Link;
	open: boolean;
	leaving: boolean;
	welcomed: boolean;
	caughtUp: boolean;
	acknowledging: boolean;
	acknowledged: number;
}

/** What a device needs of its world. */
export interface Surroundings {
	schedule: Schedule;
	history: History;
	random: Random;
	fault: Fault;
	/** Probability of a crash in the middle of a step. */
	crashes: number;
	/** Opens a connection to the conversation. */
	connect(device: Device): Link;
	/** The process died, and is back after this time: its other conversations die with it. */
	crashed?(downMs: number): void;
	/** No more trouble: nobody crashes, disconnects or goes idle. */
	calm(): boolean;
}
