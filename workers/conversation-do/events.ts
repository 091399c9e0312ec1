/** What goes into the core and what comes out of it. */
import type { GroupChanged, GroupChangeRequest, GroupJoinRequest, Refused, RosterMember } from "./interface.ts";
import type { Rate } from "./pace.ts";
import type { SocketState } from "./sessions.ts";

/** What the object knows when it wakes, beside its store. */
export interface Waking {
	now_ms: number;
	/** The sockets that stayed open. */
	sockets: SocketState[];
	/** When the alarm is set, if it is. */
	alarm_ms: number | undefined;
	rate?: Rate;
}

/** Everything that can happen to a conversation. */
export type ConversationEvent =
	/** A socket was opened by a device that `admit` has admitted. */
	| { type: "connected"; socket: SocketState }
	/** A WebSocket message, as it came. */
	| { type: "frame"; socket: number; data: Uint8Array | string }
	| { type: "disconnected"; socket: number }
	| { type: "alarm" }
	/** `unsettled` has been so for a second (rule KEPT-1). */
	| { type: "settle" }
	/** The core is a new one after a fault. */
	| { type: "recovered" }
	| { type: "found"; members: RosterMember[] }
	| { type: "setDevices"; member: RosterMember }
	| { type: "removeMember"; account: string }
	| { type: "changeGroup"; request: GroupChangeRequest }
	| { type: "requestToJoin"; request: GroupJoinRequest }
	/** How the call of a `nudge` effect went. */
	| { type: "nudged"; account: string; device: number; upTo: number; ok: boolean };

/** Everything that a conversation does, in order. */
export type Effect =
	/** A `ConversationDown` frame to a socket. */
	| { type: "send"; socket: number; bytes: Uint8Array }
	/** The same frame to many sockets. */
	| { type: "sendAll"; sockets: number[]; bytes: Uint8Array }
	/** Closes the socket; no `disconnected` need follow. */
	| { type: "close"; socket: number; code: number }
	/** Keeps this with the socket through hibernation. */
	| { type: "attach"; socket: SocketState }
	/** Calls the device's account, and reports with `nudged`. */
	| { type: "nudge"; account: string; peer: string; device: number; upTo: number }
	/** The answer to who asked for the event. */
	| { type: "answer"; answer: GroupChanged | Refused }
	/** Deletes everything, the alarm too: the object is as one that was never founded. Always the last effect. */
	| { type: "erase" }
	/** Sets the one alarm. */
	| { type: "alarm"; at_ms: number };
