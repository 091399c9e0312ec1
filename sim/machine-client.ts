/**
 * A device that runs the real client: its state machine over an encrypted file, with libsignal. This is the runner
 * around it: it opens connections, carries out requests, and dies in the middle of steps.
 */
import { fromBinary, toBinary } from "@bufbuild/protobuf";
import type { MachineEvent, MachineRequest } from "../client/machine/interface.ts";
import { ClientMachine } from "../client/machine/machine.ts";
import { toBase64url } from "../client/signal/bytes.ts";
import { identityKeyPair } from "../client/signal/keys.ts";
import { completeDevice, makeDevice } from "../client/signal/new_device.ts";
import { completeRegistration, makeRegistration } from "../client/signal/registration.ts";
import { setPrivacySwitch } from "../client/store/account.ts";
import { Store } from "../client/store/database.ts";
import type { MessageRow } from "../client/store/messages.ts";
import { conversationsWithOutbox, positions } from "../client/store/queries.ts";
import { ConversationDownSchema } from "../protocol/gen/conversation_down_pb.js";
import { type ConversationUp, ConversationUpSchema } from "../protocol/gen/conversation_up_pb.js";
import { uuidFromBytes, uuidToBytes } from "../protocol/ids.ts";
import type { Accounts } from "./account.ts";
import { bodyText } from "./bodies.ts";
import { type Device, deviceName } from "./device.ts";
import type { Directory } from "./directory.ts";
import type { DeviceName, History } from "./history.ts";
import type { Link } from "./network.ts";
import type { Random } from "./random.ts";
import type { Schedule } from "./schedule.ts";

const KEY = new Uint8Array(32).fill(7);
/** A conversation without traffic is closed after this. */
const IDLE_MS = 60_000;
const NORMAL_CLOSURE = 1000;
/** Stands for all devices in a text. */
const EVERYBODY = "everybody";

/** What the real client needs of its world. */
export interface MachineSurroundings {
	schedule: Schedule;
	history: History;
	random: Random;
	accounts: Accounts;
	directory: Directory;
	path: string;
	crashes: number;
	connect(device: Device): Link;
	calm(): boolean;
}

export class MachineClient implements Device {
	readonly account: string;
	readonly peer: string;
	readonly device: number;
	readonly registrationId: number;
	readonly name: DeviceName;
	readonly saysSeen = true;
	#around: MachineSurroundings;
	#store: Store;
	#machine: ClientMachine;
	#running = true;
	#wanted = false;
	#link: Link | undefined;
	/** Closed by this side, and not answered yet. */
	#leaving: Link | undefined;
	#open = false;
	#connecting = false;
	#trafficMs = 0;
	#removed = false;
	#reported = new Set<string>();
	/** Ids of what a person wrote here. */
	#written = new Set<string>();

	/** A new account's first device; with `old`, a further device of that one's account. */
	constructor(account: string, peer: string, device: number, around: MachineSurroundings, old?: MachineClient) {
		this.account = account;
		this.peer = peer;
		this.device = device;
		this.name = deviceName(account, device);
		this.#around = around;
		this.#store = Store.open(around.path, KEY);
		const { directory, schedule } = around;
		const answer = { accountId: account, deviceId: device };
		const username = `user_${account.slice(0, 8)}`;
		if (old === undefined) {
			const request = makeRegistration(this.#store, username, "http://server", schedule.nowMs);
			directory.register(account, request.identityKey, device, request);
			completeRegistration(this.#store, answer);
			// What receipts promise is looked at without anybody who accepts.
			setPrivacySwitch(this.#store, "message_requests", false);
			this.registrationId = request.registrationId;
		} else {
			const identity = identityKeyPair(old.#store);
			const token = toBase64url(new Uint8Array(32));
			const handed = { accountId: account, username, identity, token };
			const request = makeDevice(this.#store, handed, "http://server", this.name, schedule.nowMs);
			directory.register(account, toBase64url(identity.publicKey.serialize()), device, request);
			completeDevice(this.#store, answer);
			setPrivacySwitch(this.#store, "message_requests", false);
			this.registrationId = request.registrationId;
		}
		this.#machine = this.#newMachine();
	}

	/** The device was unlinked and has learned it: its program ends. */
	shutOut(): void {
		if (this.#removed) return;
		this.#around.history.note(`${this.name} learns that it was unlinked`);
		this.#removed = true;
		this.#running = false;
		this.#link?.abandon("down");
		this.#link = undefined;
		this.#open = false;
	}

	get online(): boolean {
		return this.#running;
	}

	get cursor(): number {
		return positions(this.#store, this.peer).cursor;
	}

	get read(): number {
		return positions(this.#store, this.peer).read;
	}

	/** The program starts: the account's socket opens, and what waits in the outbox is looked after. */
	async start(): Promise<void> {
		await this.#step([{ type: "account-opened" }, { type: "tick" }]);
		if (this.#running && conversationsWithOutbox(this.#store).length > 0) this.connect();
	}

	/** A person writes a message. */
	async offer(): Promise<void> {
		if (!this.#running) return;
		const id = this.#machine.newMessageId();
		const body = bodyText(id, EVERYBODY);
		this.#written.add(id);
		const committed = await this.#step([{ type: "send-text", id, peer: this.peer, body }]);
		if (committed) this.#around.history.observe({ type: "offered", device: this.name, id });
	}

	async news(upTo: number): Promise<void> {
		const value = {
			$typeName: "parley.v1.News" as const,
			conversation: new Uint8Array(32),
			peer: uuidToBytes(this.peer),
			upTo,
		};
		const frame = { $typeName: "parley.v1.AccountDown" as const, frame: { case: "news" as const, value } };
		await this.#step([{ type: "account-frame", frame }]);
	}

	/** Opens the conversation, and opens it again when it breaks. */
	connect(): void {
		const { schedule, random, history } = this.#around;
		this.#wanted = true;
		if (!this.#running || this.#link !== undefined || this.#connecting) return;
		this.#connecting = true;
		schedule.after(random.between(50, 1_000), () => {
			this.#connecting = false;
			if (!this.#running || this.#link !== undefined || !this.#wanted) return;
			const link = this.#around.connect(this);
			this.#link = link;
			link.attach("down", {
				frame: (bytes) => this.#frame(link, bytes),
				closed: async (code) => {
					if (this.#leaving === link) {
						this.#leaving = undefined;
						if (code === NORMAL_CLOSURE && this.#link === undefined) await this.#left();
						else this.connect();
					}
					if (this.#link !== link) return;
					history.note(`${this.name} lost connection ${link.id}`);
					await this.#closed();
					if (this.#wanted) this.connect();
				},
			});
		});
	}

	async opened(link: Link): Promise<void> {
		if (this.#link !== link) return;
		this.#open = true;
		this.#touch();
		await this.#step([{ type: "conversation-opened", peer: this.peer }]);
	}

	cut(): void {
		this.#link?.cut();
	}

	/** The process is killed; the file stays. */
	crash(): void {
		if (!this.#running) return;
		const { schedule, random, history } = this.#around;
		history.note(`${this.name} crashed`);
		this.#running = false;
		this.#link?.abandon("down");
		this.#leaving?.abandon("down");
		this.#leaving = undefined;
		this.#link = undefined;
		this.#open = false;
		this.#wanted = false;
		this.#store.close();
		this.#store = Store.open(this.#around.path, KEY);
		this.#machine = this.#newMachine();
		schedule.after(random.between(100, 20_000), async () => {
			if (this.#removed) return;
			history.note(`${this.name} restarted`);
			this.#running = true;
			await this.start();
		});
	}

	/** Records what is on the device's disk by now. */
	report(): void {
		const { history } = this.#around;
		const rows = this.#store.all<MessageRow>(
			"SELECT * FROM messages WHERE peer = ? AND number IS NOT NULL AND status <> 'undecryptable' ORDER BY number",
			[this.peer],
		);
		for (const { id, number, body, server_time_ms, sender: account, sender_device } of rows) {
			if (number === null || this.#reported.has(id)) continue;
			this.#reported.add(id);
			const timeMs = server_time_ms ?? 0;
			const sender = deviceName(account, sender_device);
			// A text is the same for all: what the checker wants is that it is this device's copy of it.
			const copy = body === bodyText(id, EVERYBODY) ? bodyText(id, this.name) : (body ?? "");
			if (sender === this.name) history.observe({ type: "accepted", device: sender, id, number, timeMs });
			else history.observe({ type: "stored", device: this.name, number, id, sender, timeMs, body: copy });
		}
	}

	close(): void {
		this.#store.close();
	}

	#newMachine(): ClientMachine {
		const { schedule, random } = this.#around;
		return new ClientMachine(this.#store, {
			nowMs: () => schedule.nowMs,
			randomBytes: (count) => random.bytes(count),
		});
	}

	async #frame(link: Link, bytes: Uint8Array): Promise<void> {
		if (this.#link !== link || !this.#running) return;
		this.#touch();
		const frame = fromBinary(ConversationDownSchema, bytes);
		await this.#step([{ type: "conversation-frame", peer: this.peer, frame }]);
	}

	async #closed(): Promise<void> {
		this.#link = undefined;
		this.#open = false;
		await this.#step([{ type: "conversation-closed", peer: this.peer }]);
	}

	async #left(): Promise<void> {
		await this.#step([{ type: "conversation-left", peer: this.peer }]);
	}

	/** What a device sends that no person wrote: requests for what it can't read, and their answers (rule RETRY-1). */
	#noteBeside({ frame }: ConversationUp): void {
		if (frame.case !== "send") return;
		const id = uuidFromBytes(frame.value.messageId);
		if (this.#written.has(id)) return;
		this.#around.history.observe({ type: "beside", device: this.name, id });
	}

	/** Closes the conversation after a time of silence, as the client's runner does. */
	#touch(): void {
		const { schedule } = this.#around;
		this.#trafficMs = schedule.nowMs;
		const link = this.#link;
		schedule.after(IDLE_MS, async () => {
			if (link === undefined || this.#link !== link || schedule.nowMs - this.#trafficMs < IDLE_MS) return;
			this.#around.history.note(`${this.name} goes idle`);
			this.#wanted = false;
			this.#leaving = link;
			link.close("up", NORMAL_CLOSURE);
			await this.#closed();
		});
	}

	/** One step; it may be killed before its commit or just after. Says whether it was committed. */
	async #step(events: MachineEvent[]): Promise<boolean> {
		if (!this.#running) return false;
		const { random, crashes, history } = this.#around;
		const crashing = !this.#around.calm() && random.chance(crashes);
		const before = crashing && random.chance(0.5);
		history.note(`${this.name} ${events.map(nameOf).join(", ")}`);
		if (before) {
			this.#store.commit = () => {
				throw new Killed();
			};
		}
		try {
			const requests = await this.#machine.step(events);
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
		const { schedule, accounts, directory, random } = this.#around;
		switch (request.type) {
			case "open-conversation":
				// What devices of one account tell each other has no object here.
				if (request.peer === this.peer) this.connect();
				return;
			case "send-frame":
				if (!this.#open) return;
				this.#noteBeside(request.frame);
				this.#touch();
				this.#link?.send("up", toBinary(ConversationUpSchema, request.frame));
				return;
			case "send-account-frame":
				if (request.frame.frame.case === "seen") accounts.seen(this.name, request.frame.frame.value.upTo);
				return;
			case "claim-prekeys": {
				const { account } = request;
				schedule.after(random.between(10, 300), async () => {
					const event = random.chance(0.1)
						? { type: "prekeys-failed" as const, account }
						: { type: "prekeys-claimed" as const, account, bundles: directory.claim(account) };
					await this.#step([event]);
				});
				return;
			}
			case "upload-prekeys":
				directory.upload(this.account, this.device, request.upload);
				schedule.after(random.between(10, 300), async () => void (await this.#step([{ type: "prekeys-uploaded" }])));
				return;
			case "wake": {
				const machine = this.#machine;
				schedule.after(request.afterMs, async () => {
					// A wait ends with the process.
					if (machine === this.#machine) await this.#step([{ type: "wake", account: request.account }]);
				});
				return;
			}
			case "tick-at": {
				const machine = this.#machine;
				schedule.after(Math.max(0, request.atMs - schedule.nowMs), async () => {
					if (machine === this.#machine) await this.#step([{ type: "tick" }]);
				});
				return;
			}
			case "notify":
				if (request.notice.type === "message-changed") return;
				this.#around.history.note(`${this.name} tells of ${request.notice.type}`);
				return;
			case "call-group":
				// No groups in this world.
				return;
			default:
				request satisfies never;
		}
	}
}

/** A kill in the moment before the commit. */
class Killed extends Error {}

function nameOf(event: MachineEvent): string {
	return event.type === "conversation-frame" ? `gets ${event.frame.frame.case}` : event.type;
}
