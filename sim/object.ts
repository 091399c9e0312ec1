/**
 * The shell around a conversation's core, as the platform is: sockets with attachments that survive hibernation, one
 * alarm, a store that commits with the turn, and effects that leave only after that. Crashes lose what was not
 * committed, and break the sockets; evictions lose only memory.
 */
import { fromBinary, toBinary } from "@bufbuild/protobuf";
import { ConversationUpSchema } from "../protocol/gen/conversation_up_pb.js";
import { fromHex, uuidFromBytes } from "../protocol/ids.ts";
import {
	ConversationCore,
	type ConversationEvent,
	type Effect,
	type SocketState,
} from "../workers/conversation-do/core.ts";
import type { GroupJson } from "../workers/conversation-do/group.ts";
import type {
	GroupChanged,
	GroupRole,
	GroupView,
	Refused,
	RosterMember,
} from "../workers/conversation-do/interface.ts";
import type { Accounts } from "./account.ts";
import type { Changes } from "./changes.ts";
import { type Device, deviceName } from "./device.ts";
import type { Fault, Waking } from "./faults.ts";
import type { History, LogRow } from "./history.ts";
import type { Link } from "./network.ts";
import type { Random } from "./random.ts";
import type { Schedule } from "./schedule.ts";
import { SimulatedStore } from "./store.ts";

export interface HostOptions {
	schedule: Schedule;
	history: History;
	random: Random;
	fault: Fault;
	accounts: Pick<Accounts, "nudge">;
	/** Probability of a crash in a turn. */
	crashes: number;
	calm(): boolean;
}

/** When the platform runs a failed alarm again. */
const ALARM_RETRY_MS = 2_000;
/** How far the clocks of two machines differ: the object may wake on another one. */
const SKEW_MS = 3_000;
/** As in the real object. */
const SETTLE_MS = 1_000;

interface HostSocket {
	/** The attachment. */
	state: SocketState;
	link: Link;
}

/** One conversation object. */
export class ObjectHost {
	/** Who founds the conversation. */
	members: readonly Device[] = [];
	/** The accounts' devices as the directory has them, where they change. */
	changes: Changes | undefined;
	/** Between whom the conversation is; everybody where there is only one. */
	between: readonly string[] | undefined;
	/** Founded by a call, not by its first connection. */
	readonly isGroup: boolean;
	#answer: GroupChanged | Refused | undefined;
	#options: HostOptions;
	#store = new SimulatedStore();
	#core: ConversationCore | undefined;
	#sockets = new Map<number, HostSocket>();
	#alarmMs: number | undefined;
	#skewMs = 0;
	/** A `settle` is to come, and keeps the object in memory. */
	#settling = false;
	/** Calls that are under way keep the object in memory. */
	#calls = 0;
	/** Counts crashes: the answers of calls from before one reach nobody. */
	#lives = 0;
	#waking: Waking = "start";
	#rosterVersion = 0;

	constructor(options: HostOptions, isGroup = false) {
		this.#options = options;
		this.isGroup = isGroup;
	}

	/** A device's connection arrives. A conversation without a roster is founded first. */
	connect(link: Link, device: Device): void {
		const { schedule, random } = this.#options;
		if (link.broken) return;
		if (!this.#wake().founded && !this.isGroup) {
			this.#turn({ type: "found", members: this.changes?.members(this.between) ?? membersOf(this.members) });
		}
		const state = this.#admit(link, device);
		if (state === "removed") {
			link.cut();
			device.shutOut?.();
			return;
		}
		// The founding may just have crashed.
		if (state === undefined) {
			link.cut();
			if (this.isGroup) device.turnedAway?.();
			return;
		}
		link.life = this.#lives;
		const socket: HostSocket = { state, link };
		this.#sockets.set(link.id, socket);
		link.attach("up", {
			frame: (bytes) => {
				if (this.#sockets.get(link.id) !== socket) return;
				this.#turn({ type: "frame", socket: link.id, data: this.#up(bytes) });
			},
			closed: () => {
				if (this.#sockets.get(link.id) !== socket) return;
				// The object wakes before it hears of the closing.
				this.#wake();
				socket.state = { ...socket.state, closed: true };
				this.#turn({ type: "disconnected", socket: link.id });
				this.#sockets.delete(link.id);
			},
		});
		this.#turn({ type: "connected", socket: state });
		schedule.after(random.between(1, 50), () => device.opened(link));
	}

	/** A call to a group; undefined where the object crashed in its turn. */
	ask(
		event: Extract<ConversationEvent, { type: "changeGroup" | "requestToJoin" }>,
	): GroupChanged | Refused | undefined {
		this.#answer = undefined;
		const asked = this.#options.fault.asked?.(event, this.#group()) ?? event;
		return this.#turn(asked) ? this.#answer : undefined;
	}

	/** A group as its members and who has the link see it. */
	view(account: string, linkSecretHash: string | undefined): GroupView | undefined {
		return this.#wake().view(account, linkSecretHash);
	}

	/** The account is gone. Says whether that was committed. */
	removeMember(account: string): boolean {
		return !this.#wake().founded || this.#turn({ type: "removeMember", account });
	}

	/** A group as it is on disk. */
	#group(): GroupJson | undefined {
		const text = this.#store.readGroup();
		return text === undefined ? undefined : JSON.parse(text);
	}

	get founded(): boolean {
		return this.#wake().founded;
	}

	/** Members of a group with their roles, as they are on disk. */
	roles(): [account: string, role: GroupRole][] {
		return this.#group()?.roles ?? [];
	}

	/** Everything that was ever logged, by number. */
	get payloads(): ReadonlyMap<number, Uint8Array> {
		return this.#store.payloads;
	}

	/** The same with the keys of who sent it, up to the end of the log. */
	logged(): { number: number; sender: string; payload: Uint8Array }[] {
		const { payloads, senders } = this.#store;
		const head = this.#store.head()?.number ?? 0;
		const all = [...payloads].map(([number, payload]) => ({ number, sender: senders.get(number) ?? "", payload }));
		return all.filter(({ number }) => number <= head);
	}

	/** The queue's call. Says whether it was committed; one that comes before the founding changes nothing. */
	setDevices(member: RosterMember): boolean {
		return !this.#wake().founded || this.#turn({ type: "setDevices", member });
	}

	/** The api in front of the object: a listed device that the roster does not know yet is told to it. */
	#admit(link: Link, device: Device): SocketState | "removed" | undefined {
		const admitted = this.#wake().admit(link.id, device.account, device.device);
		if (admitted !== undefined || this.changes === undefined) return admitted;
		if (!this.changes.has(device)) return "removed";
		this.setDevices(this.changes.member(device.account));
		return this.#wake().admit(link.id, device.account, device.device);
	}

	/** Hibernation: memory goes, sockets and attachments stay. */
	evict(): void {
		if (this.#core === undefined || this.#calls > 0 || this.#settling) return;
		this.#options.history.note("the object is evicted");
		this.#core = undefined;
		this.#waking = "eviction";
	}

	/** The runtime crashes between two turns. */
	crash(): void {
		this.#options.history.observe({ type: "object-crashed" });
		this.#core = undefined;
		this.#waking = "crash";
		this.#lives++;
		this.#calls = 0;
		this.#settling = false;
		for (const { link } of this.#sockets.values()) link.abandon("up");
		this.#sockets.clear();
	}

	/** The log as it is on disk. */
	rows(): LogRow[] {
		return this.#store.image().rows.map((row) => ({
			number: row.number,
			id: uuidFromBytes(fromHex(row.messageId)),
			timeMs: row.time_ms,
			wiped: row.payload === null,
		}));
	}

	get #nowMs(): number {
		return this.#options.schedule.nowMs + this.#skewMs;
	}

	#wake(): ConversationCore {
		if (this.#core !== undefined) return this.#core;
		const { fault, random } = this.#options;
		this.#skewMs = random.between(-SKEW_MS, SKEW_MS);
		const store = fault.wrapStore?.(this.#store, this.#waking, random) ?? this.#store;
		const sockets = [...this.#sockets.values()].map(({ state }) => state);
		this.#core = new ConversationCore(store, { now_ms: this.#nowMs, sockets, alarm_ms: this.#alarmMs });
		return this.#core;
	}

	/** One event: the core's turn, its commit, and what leaves after that. Says whether it was committed. */
	#turn(event: ConversationEvent): boolean {
		const { random, fault, crashes } = this.#options;
		const core = this.#wake();
		const image = this.#store.image();
		const effects = core.handle(event, this.#nowMs);
		const crashing = !this.#options.calm() && random.chance(crashes);
		const committed = !crashing || random.chance(0.5);
		const leaving = fault.effects?.(effects, event, random) ?? effects;
		if (crashing && fault.sendsBeforeCommit === true) for (const effect of leaving) this.#send(effect);
		if (!committed) this.#store.restore(image);
		else if (event.type !== "frame") this.#noteRoster(event.type === "changeGroup");
		if (crashing) {
			// The alarm is on the disk as the rows are; everything else of this turn is lost.
			if (committed) for (const effect of effects) if (effect.type === "alarm") this.#setAlarm(effect.at_ms);
			this.crash();
			return committed;
		}
		for (const effect of leaving) this.#carryOut(effect);
		if (core.unsettled && !this.#settling) this.#settleSoon();
		return true;
	}

	#settleSoon(): void {
		const life = this.#lives;
		this.#settling = true;
		this.#options.schedule.after(SETTLE_MS, () => {
			if (life !== this.#lives) return;
			this.#settling = false;
			this.#turn({ type: "settle" });
		});
	}

	/** The roster as it is on disk, where it has changed. `entry`: the change is an entry, which the new members get. */
	#noteRoster(entry: boolean): void {
		const state = this.#store.readState();
		if (state === undefined) return;
		const { version, devices }: { version: number; devices: { account: string; device: number }[] } = JSON.parse(state);
		if (version === this.#rosterVersion) return;
		this.#rosterVersion = version;
		const names = devices.map(({ account, device }) => deviceName(account, device));
		const head = (this.#store.head()?.number ?? 0) - (entry ? 1 : 0);
		this.#options.history.observe({ type: "roster", version, devices: names, head, entry });
	}

	#carryOut(effect: Effect): void {
		switch (effect.type) {
			case "send":
			case "sendAll":
				this.#send(effect);
				return;
			case "close":
				this.#sockets.get(effect.socket)?.link.close("down", effect.code);
				this.#sockets.delete(effect.socket);
				return;
			case "attach": {
				const socket = this.#sockets.get(effect.socket.id);
				if (socket !== undefined) socket.state = { ...effect.socket };
				return;
			}
			case "alarm":
				this.#setAlarm(effect.at_ms);
				return;
			case "erase":
				// Somebody stays in these worlds.
				return;
			case "answer":
				this.#answer = effect.answer;
				return;
			case "nudge":
				this.#nudge(effect);
				return;
			default:
				effect satisfies never;
		}
	}

	#send(effect: Effect): void {
		if (effect.type === "send") this.#sockets.get(effect.socket)?.link.send("down", effect.bytes);
		if (effect.type !== "sendAll") return;
		for (const socket of effect.sockets) this.#sockets.get(socket)?.link.send("down", effect.bytes);
	}

	#nudge({ account, device, upTo }: Extract<Effect, { type: "nudge" }>): void {
		const { accounts, fault, history, schedule } = this.#options;
		const name = deviceName(account, device);
		const life = this.#lives;
		this.#calls++;
		const done = (ok: boolean): void => {
			if (life !== this.#lives) return;
			this.#calls--;
			this.#turn({ type: "nudged", account, device, upTo, ok });
		};
		if (fault.dropsNudges === true) {
			history.note(`the nudge for ${name} is dropped`);
			schedule.after(1, () => done(true));
		} else accounts.nudge(name, upTo, done);
	}

	#setAlarm(atMs: number): void {
		const { schedule } = this.#options;
		this.#alarmMs = atMs;
		schedule.at(atMs - this.#skewMs, () => {
			// A later call has moved it.
			if (this.#alarmMs !== atMs) return;
			this.#alarmMs = undefined;
			// The platform repeats an alarm whose turn failed.
			if (!this.#turn({ type: "alarm" })) this.#setAlarm(this.#nowMs + ALARM_RETRY_MS);
		});
	}

	/** Lets a planted fault change what comes in. */
	#up(bytes: Uint8Array): Uint8Array {
		const { fault } = this.#options;
		if (fault.up === undefined) return bytes;
		const frame = fromBinary(ConversationUpSchema, bytes);
		fault.up(frame, this.#store.head()?.number ?? 0);
		return toBinary(ConversationUpSchema, frame);
	}
}

function membersOf(
	devices: readonly Device[],
): { account: string; devices: { device: number; registrationId: number }[] }[] {
	const accounts = [...new Set(devices.map(({ account }) => account))];
	return accounts.map((account) => ({
		account,
		devices: devices
			.filter((device) => device.account === account)
			.map(({ device, registrationId }) => ({ device, registrationId })),
	}));
}
