/** The connection of a light device in a group: it opens and breaks, steps are written or not, the process dies. */
import { create, toBinary } from "@bufbuild/protobuf";
import { EnvelopeKind, type Roster } from "../protocol/gen/common_pb.js";
import type { Entry } from "../protocol/gen/conversation_down_pb.js";
import { ConversationUpSchema } from "../protocol/gen/conversation_up_pb.js";
import { nextUuidV7, uuidFromBytes } from "../protocol/ids.ts";
import { PROTOCOL_VERSION } from "../protocol/version.ts";
import { addressName, encodeUp } from "./bodies.ts";
import { type Device, deviceName } from "./device.ts";
import type { GroupApi } from "./group-api.ts";
import { GroupHalf } from "./group-half.ts";
import type { SenderKeys } from "./group-keys.ts";
import type { DeviceName } from "./history.ts";
import type { Surroundings } from "./light.ts";
import type { Link } from "./network.ts";

/** When a call that failed is made again. */
export const AGAIN_MS = 5_000;

export interface GroupSurroundings extends Surroundings {
	api(): GroupApi;
	group: string;
	/** Sender keys that another group has, too: a fault. */
	sharedKeys?: SenderKeys | undefined;
	/** Whether the device is one of its account's. */
	listed(device: Device): boolean;
	/** Whether devices also acknowledge beside messages. */
	beside: boolean;
}

export interface Connection {
	link: Link;
	open: boolean;
	welcomed: boolean;
	caughtUp: boolean;
	/** A frame was refused for its roster: the others' answers come first. */
	stale: boolean;
	/** The roster has members of which the change that is behind it will tell. */
	awaiting: boolean;
	acknowledging: boolean;
	acknowledged: number;
	inFlight: Set<string>;
}

export abstract class GroupLine implements Device {
	readonly account: string;
	readonly device: number;
	readonly registrationId: number;
	readonly name: DeviceName;
	protected readonly around: GroupSurroundings;
	readonly half: GroupHalf;
	protected position = 0;
	protected lastId: Uint8Array<ArrayBuffer> | undefined;
	protected rosterVersion = 0;
	/** The group's socket was wanted: it is opened again after a crash or a broken connection. */
	protected hot = false;
	protected connection: Connection | undefined;
	protected running = true;
	protected removed = false;
	protected connecting = false;
	protected failures = 0;
	protected newsUpTo = 0;
	protected calls = new Set<string>();
	protected outgoing: { bytes: Uint8Array; carries: boolean }[] = [];
	protected life = 0;

	constructor(account: string, device: number, registrationId: number, around: GroupSurroundings) {
		this.account = account;
		this.device = device;
		this.registrationId = registrationId;
		this.name = deviceName(account, device);
		this.around = around;
		this.half = new GroupHalf(around.group, account, around.fault.client);
	}

	get online(): boolean {
		return this.running;
	}

	get cursor(): number {
		return this.position;
	}

	get read(): number {
		return 0;
	}

	news(upTo: number): void {
		this.newsUpTo = Math.max(this.newsUpTo, upTo);
		this.connect();
	}

	/** Connects if there is a reason to. */
	wake(): void {
		if (this.hot || this.newsUpTo > this.position) this.connect();
	}

	connect(): void {
		const { schedule, random } = this.around;
		if (!this.running || this.connection !== undefined || this.connecting) return;
		this.connecting = true;
		this.hot = true;
		schedule.after(random.between(10, 100) * 2 ** Math.min(this.failures, 6), () => {
			this.connecting = false;
			if (!this.running || this.connection !== undefined) return;
			const link = this.around.connect(this);
			const flags = { open: false, welcomed: false, caughtUp: false, stale: false, awaiting: false };
			const connection: Connection = { link, ...flags, acknowledging: false, acknowledged: 0, inFlight: new Set() };
			this.connection = connection;
			link.attach("down", {
				frame: (bytes) => this.frame(connection, bytes),
				closed: () => this.closed(connection),
			});
		});
	}

	opened(link: Link): void {
		const connection = this.connection;
		if (connection?.link !== link) return;
		connection.open = true;
		connection.acknowledged = this.position;
		const rosterVersion = this.rosterVersion;
		const value = { protocolVersion: PROTOCOL_VERSION, cursor: this.position, read: 0, rosterVersion };
		this.up({ case: "hello", value });
		this.flush();
	}

	cut(): void {
		this.connection?.link.cut();
	}

	/** The process dies; it comes back with what is on its disk. */
	crash(downMs: number): void {
		if (!this.running) return;
		const { schedule, history } = this.around;
		history.note(`${this.name} crashed`);
		this.running = false;
		this.forget();
		this.around.crashed?.(downMs);
		schedule.after(downMs, () => {
			if (this.removed) return;
			history.note(`${this.name} restarted`);
			this.running = true;
			this.step(() => this.resume());
			this.wake();
		});
	}

	/** The server has no such group for this device, or no such device. */
	shutOut(): void {
		if (this.removed) return;
		if (this.around.listed(this)) {
			this.step(() => this.gone());
			return;
		}
		this.around.history.note(`${this.name} learns that it was unlinked`);
		this.removed = true;
		this.running = false;
		this.forget();
	}

	// Pieces.

	protected acknowledgeSoon(connection: Connection): void {
		const { schedule, random } = this.around;
		if (this.connection !== connection || connection.acknowledging || connection.acknowledged >= this.position) return;
		connection.acknowledging = true;
		schedule.after(random.between(0, 3) * random.between(0, 700), () => {
			connection.acknowledging = false;
			if (this.connection !== connection || !this.running) return;
			connection.acknowledged = this.position;
			this.up({ case: "acknowledge", value: { cursor: this.position } });
			this.flush();
		});
	}

	protected closed(connection: Connection): void {
		if (this.connection !== connection) return;
		this.connection = undefined;
		this.failures++;
		this.wake();
	}

	/** A step that is not written has not been: nothing of it leaves. A crash may come just before or just after. */
	protected step(work: () => void): boolean {
		if (!this.running) return false;
		const { random, crashes, calm } = this.around;
		const crashing = !calm() && random.chance(crashes);
		if (crashing && random.chance(0.5)) {
			this.crash(random.between(100, 20_000));
			return false;
		}
		work();
		if (crashing) this.crash(random.between(100, 20_000));
		else this.flush();
		return true;
	}

	protected forget(): void {
		this.life++;
		this.outgoing = [];
		this.calls.clear();
		this.connection?.link.abandon("down");
		this.connection = undefined;
		this.newsUpTo = 0;
	}

	protected newId(): string {
		const { schedule, random } = this.around;
		this.lastId = nextUuidV7(schedule.nowMs + random.between(-5_000, 5_000), random.bytes(10), this.lastId);
		return uuidFromBytes(this.lastId);
	}

	protected up(frame: Parameters<typeof encodeUp>[0], carries = false): void {
		this.outgoing.push({ bytes: encodeUp(frame), carries });
	}

	protected flush(): void {
		const { connection } = this;
		for (const { bytes, carries } of this.outgoing) {
			if (connection?.open !== true) continue;
			connection.link.send("up", carries ? this.#withAcknowledgement(connection, bytes) : bytes);
		}
		this.outgoing = [];
	}

	/** Rule DELIVERED-4. Every other time, so that both ways are gone. */
	#withAcknowledgement(connection: Connection, bytes: Uint8Array): Uint8Array {
		const acknowledged = this.position;
		if (
			!this.around.beside ||
			!connection.welcomed ||
			connection.acknowledged >= acknowledged ||
			acknowledged % 2 === 0
		)
			return bytes;
		connection.acknowledged = acknowledged;
		const beside = toBinary(ConversationUpSchema, create(ConversationUpSchema, { acknowledged }));
		return Buffer.concat([bytes, beside]);
	}

	/** What came down the connection. */
	protected abstract frame(connection: Connection, bytes: Uint8Array): void;
	/** Asks the server for what is wanted and not under way. */
	protected abstract resume(): void;
	/** The account is no member any more. */
	protected abstract gone(): void;

	protected newKey(): string {
		return `${this.name} ${this.newId()}`;
	}

	protected resumeLater(): void {
		this.around.schedule.after(AGAIN_MS, () => void this.step(() => this.resume()));
	}
}

/** Whether it is a change of the group. */
export function isChange(entry: Entry): boolean {
	return entry.kind === EnvelopeKind.CHANGE;
}

/** Keys before what can't be read without them, also where that has waited longer (rule GROUP-12). */
export function keysFirst<One extends { keys: boolean }>(outbox: readonly One[]): One[] {
	return [...outbox.filter(({ keys }) => keys), ...outbox.filter(({ keys }) => !keys)];
}

/** A device with its registration. */
export function holder(to: Roster["devices"][number]): string {
	return `${addressName(to)}.${to.registrationId}`;
}
