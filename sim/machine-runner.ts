/**
 * Runs the real client for one conversation: its state machine over an encrypted file, with libsignal. It opens
 * connections, carries out requests, and dies in the middle of steps.
 */
import { fromBinary, toBinary } from "@bufbuild/protobuf";
import { isGroup } from "../client/groups/state.ts";
import type { MachineEvent, MachineRequest } from "../client/machine/interface.ts";
import { ClientMachine } from "../client/machine/machine.ts";
import { toBase64url } from "../client/signal/bytes.ts";
import { identityKeyPair } from "../client/signal/keys.ts";
import { completeDevice, makeDevice } from "../client/signal/new_device.ts";
import { completeRegistration, makeRegistration } from "../client/signal/registration.ts";
import { setPrivacySwitch } from "../client/store/account.ts";
import { Store } from "../client/store/database.ts";
import { conversationsWithOutbox, positions } from "../client/store/queries.ts";
import { ConversationDownSchema } from "../protocol/gen/conversation_down_pb.js";
import { type ConversationUp, ConversationUpSchema } from "../protocol/gen/conversation_up_pb.js";
import { fromHex, uuidFromBytes, uuidToBytes } from "../protocol/ids.ts";
import type { Accounts } from "./account.ts";
import { bodyText } from "./bodies.ts";
import { type Device, deviceName } from "./device.ts";
import type { Directory } from "./directory.ts";
import type { DeviceName, History } from "./history.ts";
import { EVERYBODY, MessageRecord } from "./machine-record.ts";
import type { Link } from "./network.ts";
import type { Random } from "./random.ts";
import type { Schedule } from "./schedule.ts";

const KEY = new Uint8Array(32).fill(7);
/** A conversation without traffic is closed after this. */
const IDLE_MS = 60_000;
const NORMAL_CLOSURE = 1000;

/** What the real client needs of its world. */
export interface MachineSurroundings {
	schedule: Schedule;
	history: History;
	random: Random;
	accounts: Pick<Accounts, "seen">;
	directory: Directory;
	path: string;
	crashes: number;
	connect(device: Device): Link;
	calm(): boolean;
	/** A fault that is planted in the file, each time that it is opened. */
	plant?(store: Store): void;
}

/** What is installed: a new account's first device; with `old`, a further one of that one's account. */
export interface Installed {
	account: string;
	/** The conversation: the other account, or the group. */
	peer: string;
	device: number;
	old: MachineRunner | undefined;
}

/** A request to the server about a group. */
export type GroupRequest = Extract<MachineRequest, { type: "call-group" }>;

export abstract class MachineRunner<Around extends MachineSurroundings = MachineSurroundings> implements Device {
	readonly account: string;
	readonly peer: string;
	readonly device: number;
	readonly registrationId: number;
	readonly name: DeviceName;
	readonly saysSeen = true;
	protected readonly around: Around;
	protected store: Store;
	protected machine: ClientMachine;
	protected running = true;
	/** The server has said that this device is none of its account's. */
	protected removed = false;
	protected link: Link | undefined;
	#wanted = false;
	/** Closed by this side, and not answered yet. */
	#leaving: Link | undefined;
	#open = false;
	#connecting = false;
	#trafficMs = 0;
	readonly #record: MessageRecord;
	/** Ids of what a person wrote here. */
	readonly #written = new Set<string>();

	constructor({ account, peer, device, old }: Installed, around: Around) {
		this.account = account;
		this.peer = peer;
		this.device = device;
		this.name = deviceName(account, device);
		this.around = around;
		this.store = Store.open(around.path, KEY);
		const { directory, schedule, history } = around;
		const answer = { accountId: account, deviceId: device };
		const username = `user_${account.slice(0, 8)}`;
		if (old === undefined) {
			const request = makeRegistration(this.store, username, "http://server", schedule.nowMs);
			directory.register(account, request.identityKey, device, request);
			completeRegistration(this.store, answer);
			this.registrationId = request.registrationId;
		} else {
			const identity = identityKeyPair(old.store);
			const token = toBase64url(new Uint8Array(32));
			const handed = { accountId: account, username, identity, token };
			const request = makeDevice(this.store, handed, "http://server", this.name, schedule.nowMs);
			directory.register(account, toBase64url(identity.publicKey.serialize()), device, request);
			completeDevice(this.store, answer);
			this.registrationId = request.registrationId;
		}
		// What receipts promise is looked at without anybody who accepts.
		setPrivacySwitch(this.store, "message_requests", false);
		around.plant?.(this.store);
		this.machine = this.#newMachine();
		this.#record = new MessageRecord(peer, this.name, history);
	}

	/** The device was unlinked and has learned it: its program ends. */
	shutOut(): void {
		if (this.removed) return;
		this.around.history.note(`${this.name} learns that it was unlinked`);
		this.removed = true;
		this.running = false;
		this.drop();
	}

	get online(): boolean {
		return this.running;
	}

	get cursor(): number {
		return positions(this.store, this.peer).cursor;
	}

	get read(): number {
		return positions(this.store, this.peer).read;
	}

	/** The program starts: the account's socket opens, and what waits in the outbox is looked after. */
	async start(): Promise<void> {
		await this.step([{ type: "account-opened" }, { type: "tick" }]);
		if (this.running && conversationsWithOutbox(this.store).length > 0) this.connect();
	}

	/** A person writes a message. */
	protected async write(): Promise<void> {
		if (!this.running) return;
		const id = this.machine.newMessageId();
		const body = bodyText(id, EVERYBODY);
		this.#written.add(id);
		const committed = await this.step([{ type: "send-text", id, peer: this.peer, body }]);
		if (committed) this.around.history.observe({ type: "offered", device: this.name, id });
	}

	async news(upTo: number): Promise<void> {
		const group = isGroup(this.peer);
		const value = {
			$typeName: "parley.v1.News" as const,
			conversation: group ? fromHex(this.peer) : new Uint8Array(32),
			peer: group ? new Uint8Array(0) : uuidToBytes(this.peer),
			upTo,
		};
		const frame = { $typeName: "parley.v1.AccountDown" as const, frame: { case: "news" as const, value } };
		await this.step([{ type: "account-frame", frame }]);
	}

	/** Opens the conversation, and opens it again when it breaks. */
	connect(): void {
		const { schedule, random } = this.around;
		this.#wanted = true;
		if (!this.running || this.link !== undefined || this.#connecting) return;
		this.#connecting = true;
		schedule.after(random.between(50, 1_000), () => {
			this.#connecting = false;
			if (!this.running || this.link !== undefined || !this.#wanted) return;
			const link = this.around.connect(this);
			this.link = link;
			link.attach("down", {
				frame: (bytes) => this.#frame(link, bytes),
				closed: (code) => this.#ended(link, code),
			});
		});
	}

	async opened(link: Link): Promise<void> {
		if (this.link !== link) return;
		this.#open = true;
		this.#touch();
		await this.step([{ type: "conversation-opened", peer: this.peer }]);
	}

	cut(): void {
		this.link?.cut();
	}

	/** The process is killed; the file stays. */
	crash(downMs?: number): void {
		if (!this.running) return;
		const { schedule, random, history } = this.around;
		history.note(`${this.name} crashed`);
		this.running = false;
		this.#leaving?.abandon("down");
		this.#leaving = undefined;
		this.drop();
		this.store.close();
		this.store = Store.open(this.around.path, KEY);
		this.around.plant?.(this.store);
		this.machine = this.#newMachine();
		schedule.after(downMs ?? random.between(100, 20_000), async () => {
			if (this.removed) return;
			history.note(`${this.name} restarted`);
			this.running = true;
			await this.start();
		});
	}

	/** Records what is on the device's disk by now. */
	note(): void {
		this.#record.note(this.store);
	}

	close(): void {
		this.store.close();
	}

	/** The connection is given up, and none is wanted. */
	protected drop(): void {
		this.link?.abandon("down");
		this.link = undefined;
		this.#open = false;
		this.#wanted = false;
	}

	/** The connection has ended with this code. Says whether another one may be opened. */
	protected mayReturn(_code: number): boolean {
		return true;
	}

	/** What a committed step has asked for, before it is carried out. */
	protected stepped(_requests: readonly MachineRequest[]): void {}

	/** Asks the server for a change of a group. */
	protected abstract callGroup(request: GroupRequest): void;

	#newMachine(): ClientMachine {
		const { schedule, random } = this.around;
		return new ClientMachine(this.store, {
			nowMs: () => schedule.nowMs,
			randomBytes: (count) => random.bytes(count),
		});
	}

	async #frame(link: Link, bytes: Uint8Array): Promise<void> {
		if (this.link !== link || !this.running) return;
		this.#touch();
		const frame = fromBinary(ConversationDownSchema, bytes);
		if (isGroup(this.peer) && frame.frame.case === "entry") {
			const { number } = frame.frame.value;
			this.around.history.observe({ type: "arrived", device: this.name, link: link.id, number });
		}
		await this.step([{ type: "conversation-frame", peer: this.peer, frame }]);
	}

	async #ended(link: Link, code: number): Promise<void> {
		if (this.#leaving === link) {
			this.#leaving = undefined;
			if (code === NORMAL_CLOSURE && this.link === undefined) {
				await this.step([{ type: "conversation-left", peer: this.peer }]);
			} else this.connect();
		}
		if (this.link !== link) return;
		this.around.history.note(`${this.name} lost connection ${link.id}`);
		await this.#closed();
		if (this.#wanted && this.mayReturn(code)) this.connect();
	}

	async #closed(): Promise<void> {
		this.link = undefined;
		this.#open = false;
		await this.step([{ type: "conversation-closed", peer: this.peer }]);
	}

	/** What a device sends that no person wrote: requests for what it can't read, and their answers (rule RETRY-1). */
	#noteBeside({ frame }: ConversationUp): void {
		if (frame.case !== "send") return;
		const id = uuidFromBytes(frame.value.messageId);
		if (this.#written.has(id)) return;
		this.around.history.observe({ type: "beside", device: this.name, id });
	}

	/** Closes the conversation after a time of silence, as the client's runner does. */
	#touch(): void {
		const { schedule } = this.around;
		this.#trafficMs = schedule.nowMs;
		const link = this.link;
		schedule.after(IDLE_MS, async () => {
			if (link === undefined || this.link !== link || schedule.nowMs - this.#trafficMs < IDLE_MS) return;
			this.around.history.note(`${this.name} goes idle`);
			this.#wanted = false;
			this.#leaving = link;
			link.close("up", NORMAL_CLOSURE);
			await this.#closed();
		});
	}

	/** One step; it may be killed before its commit or just after. Says whether it was committed. */
	protected async step(events: MachineEvent[]): Promise<boolean> {
		if (!this.running) return false;
		const { random, crashes, history } = this.around;
		const crashing = !this.around.calm() && random.chance(crashes);
		const before = crashing && random.chance(0.5);
		history.note(`${this.name} ${events.map(nameOf).join(", ")}`);
		if (before) {
			this.store.commit = () => {
				throw new Killed();
			};
		}
		try {
			const requests = await this.machine.step(events);
			this.stepped(requests);
			if (crashing) this.crash();
			else for (const request of requests) this.#carryOut(request);
			return !before;
		} catch (error) {
			if (!(error instanceof Killed)) throw error;
			this.crash();
			return false;
		}
	}

	#carryOut(request: MachineRequest): void {
		const { accounts, directory } = this.around;
		switch (request.type) {
			case "open-conversation":
				// What devices of one account tell each other has no object here.
				if (request.peer === this.peer) this.connect();
				return;
			case "send-frame":
				if (!this.#open || request.peer !== this.peer) return;
				this.#noteBeside(request.frame);
				this.#touch();
				this.link?.send("up", toBinary(ConversationUpSchema, request.frame));
				return;
			case "send-account-frame":
				if (request.frame.frame.case === "seen") accounts.seen(this.name, request.frame.frame.value.upTo);
				return;
			case "claim-prekeys":
				this.#claim(request.account);
				return;
			case "upload-prekeys":
				directory.upload(this.account, this.device, request.upload);
				this.#soon(async () => void (await this.step([{ type: "prekeys-uploaded" }])));
				return;
			case "wake":
				this.later(request.afterMs, { type: "wake", account: request.account });
				return;
			case "tick-at":
				this.later(Math.max(0, request.atMs - this.around.schedule.nowMs), { type: "tick" });
				return;
			case "notify":
				if (request.notice.type === "message-changed") return;
				this.around.history.note(`${this.name} tells of ${request.notice.type}`);
				return;
			case "call-group":
				this.callGroup(request);
				return;
			default:
				request satisfies never;
		}
	}

	#claim(account: string): void {
		const { directory, random } = this.around;
		this.#soon(async () => {
			const event = random.chance(0.1)
				? { type: "prekeys-failed" as const, account }
				: { type: "prekeys-claimed" as const, account, bundles: directory.claim(account) };
			await this.step([event]);
		});
	}

	#soon(action: () => Promise<void>): void {
		const { schedule, random } = this.around;
		schedule.after(random.between(10, 300), action);
	}

	/** A wait ends with the process. */
	protected later(afterMs: number, event: MachineEvent): void {
		const { machine } = this;
		this.around.schedule.after(afterMs, async () => {
			if (machine === this.machine) await this.step([event]);
		});
	}
}

/** A kill in the moment before the commit. */
class Killed extends Error {}

function nameOf(event: MachineEvent): string {
	return event.type === "conversation-frame" ? `gets ${event.frame.frame.case}` : event.type;
}
