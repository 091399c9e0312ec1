/** The shell of a conversation object: sockets, alarm and calls around the core, which decides everything. */

import { DurableObject } from "cloudflare:workers";
import { logFault } from "../fault-log.ts";
import { ConversationCore, type Effect, type SocketState } from "./core.ts";
import type { ConversationEvent } from "./events.ts";
import { FAULT_FRAME } from "./frames.ts";
import {
	ACCOUNT_HEADER,
	type ConversationInterface,
	DEVICE_HEADER,
	type GroupChanged,
	type GroupChangeRequest,
	type GroupJoinRequest,
	type GroupView,
	type Refused,
	type RosterMember,
} from "./interface.ts";
import { RATE, type Rate } from "./pace.ts";
import { SqliteStore } from "./sqlite-store.ts";

const CHANGES_ROSTER: ReadonlySet<ConversationEvent["type"]> = new Set([
	"setDevices",
	"removeMember",
	"changeGroup",
	"requestToJoin",
]);

/** Accounts that are called at once: a group of a thousand must not be a thousand calls side by side. */
const CALLS_AT_ONCE = 32;

/** How long what was acknowledged beside a message may wait for its end (rule KEPT-1). */
const SETTLE_MS = 1_000;

interface AccountCall {
	account: string;
	peer: string;
	devices: number[];
	upTo: number;
}

/**
 * One conversation. Each event is one synchronous turn in which rows are written and frames are sent: the output gate
 * holds the frames until the rows are on disk (rule DURABLE-1).
 */
export class Conversation extends DurableObject implements ConversationInterface {
	readonly #sockets: Map<number, WebSocket> = new Map();
	/** The same the other way round: an attachment is deserialized with each look at it. */
	readonly #ids: WeakMap<WebSocket, number> = new WeakMap();
	#core: ConversationCore;
	#nextSocket = 1;
	/** When the alarm rings, as far as this instance knows. */
	#alarm_ms: number | undefined;
	#answer: GroupChanged | Refused | undefined;
	/** Nudges that wait for their call. Lost with a crash, which the alarm is for. */
	readonly #calls: Map<string, AccountCall> = new Map();
	#calling = false;
	#settling = false;

	constructor(ctx: DurableObjectState, env: Cloudflare.Env) {
		super(ctx, env);
		// Answered by the runtime: keeps connections alive without waking the object.
		ctx.setWebSocketAutoResponse(new WebSocketRequestResponsePair("ping", "pong"));
		this.#core = this.#wake();
		ctx.blockConcurrencyWhile(async () => {
			const alarm_ms = await ctx.storage.getAlarm();
			if (alarm_ms === null) return;
			this.#alarm_ms = alarm_ms;
			this.#core.alarmIs(alarm_ms);
		});
	}

	async found(members: RosterMember[]): Promise<void> {
		this.#handle({ type: "found", members });
	}

	async setDevices(member: RosterMember): Promise<void> {
		this.#handle({ type: "setDevices", member });
	}

	async removeMember(account: string): Promise<void> {
		this.#handle({ type: "removeMember", account });
	}

	async changeGroup(request: GroupChangeRequest): Promise<GroupChanged | Refused> {
		return this.#ask({ type: "changeGroup", request });
	}

	async requestToJoin(request: GroupJoinRequest): Promise<GroupChanged | Refused> {
		return this.#ask({ type: "requestToJoin", request });
	}

	async viewGroup(account: string, linkSecretHash: string | undefined): Promise<GroupView | undefined> {
		return this.#core.view(account, linkSecretHash);
	}

	async membersAmong(accounts: string[]): Promise<string[]> {
		return this.#core.membersAmong(accounts);
	}

	override async fetch(request: Request): Promise<Response> {
		if (request.headers.get("upgrade")?.toLowerCase() !== "websocket") return new Response(null, { status: 426 });
		if (!this.#core.founded) return new Response(null, { status: 428 });
		const account = request.headers.get(ACCOUNT_HEADER) ?? "";
		const device = Number(request.headers.get(DEVICE_HEADER));
		const socket = this.#core.admit(this.#nextSocket, account, device);
		if (socket === undefined) return new Response(null, { status: 403 });
		this.#nextSocket += 1;
		const { 0: theirs, 1: ours } = new WebSocketPair();
		this.ctx.acceptWebSocket(ours, [`${account}.${device}`]);
		ours.serializeAttachment(socket);
		this.#opened(socket.id, ours);
		this.#handle({ type: "connected", socket });
		return new Response(null, { status: 101, webSocket: theirs });
	}

	override webSocketMessage(socket: WebSocket, message: string | ArrayBuffer): void {
		const id = this.#ids.get(socket);
		if (id === undefined) return;
		this.#handle({ type: "frame", socket: id, data: typeof message === "string" ? message : new Uint8Array(message) });
	}

	override webSocketClose(socket: WebSocket, code: number, reason: string): void {
		this.#gone(socket);
		// 1006 and 1015 say that the connection broke: there is nobody to answer, and they can't be sent.
		if (code === 1006 || code === 1015) return;
		// 1005 stands for a close without a code and can't be sent either. Without an answer the peer's end hangs.
		attempt(() => (code === 1005 ? socket.close() : socket.close(code, reason)));
	}

	override webSocketError(socket: WebSocket): void {
		this.#gone(socket);
	}

	override alarm(): void {
		this.#alarm_ms = undefined;
		this.#handle({ type: "alarm" });
	}

	#opened(id: number, socket: WebSocket): void {
		this.#sockets.set(id, socket);
		this.#ids.set(socket, id);
	}

	/** Nothing more is heard from the socket or sent to it. */
	#closed(id: number, socket: WebSocket): void {
		const state: SocketState = socket.deserializeAttachment();
		socket.serializeAttachment({ ...state, closed: true });
		this.#sockets.delete(id);
		this.#ids.delete(socket);
	}

	#gone(socket: WebSocket): void {
		const id = this.#ids.get(socket);
		if (id === undefined) return;
		this.#closed(id, socket);
		this.#handle({ type: "disconnected", socket: id });
	}

	#handle(event: ConversationEvent): void {
		try {
			this.#run(event);
		} catch (error) {
			logFault(`conversation, ${event.type}`, error);
			if (event.type === "frame") this.#fail(event.socket);
			// The roster may have changed and nobody was told: who was removed must not read on, and the others begin anew.
			if (CHANGES_ROSTER.has(event.type)) for (const id of [...this.#sockets.keys()]) this.#fail(id);
			this.#recover();
			if (event.type !== "frame") throw error;
		}
	}

	#run(event: ConversationEvent): void {
		for (const effect of this.#core.handle(event, Date.now())) this.#do(effect);
		if (this.#calls.size > 0) this.ctx.waitUntil(this.#callAccounts());
		if (this.#core.unsettled && !this.#settling) this.#settleSoon();
	}

	/** A timer keeps the object awake, so that no hibernation forgets what is unsettled. */
	#settleSoon(): void {
		this.#settling = true;
		setTimeout(() => {
			this.#settling = false;
			this.#handle({ type: "settle" });
		}, SETTLE_MS);
	}

	/** An event with an answer. */
	#ask(event: Extract<ConversationEvent, { type: "changeGroup" | "requestToJoin" }>): GroupChanged | Refused {
		this.#answer = undefined;
		this.#handle(event);
		const answer: GroupChanged | Refused | undefined = this.#answer;
		if (answer === undefined) throw new Error("no answer");
		return answer;
	}

	/**
	 * After a fault of ours what is in memory may be half of something: begin again from the disk, and with all sockets
	 * from their cursors, since an entry may be in the log that nobody was sent (rule DELIVERED-1). What happens twice is
	 * removed by the devices.
	 */
	#recover(): void {
		// Else entries that are wiped would be told as missed to devices that have them.
		for (const state of this.#core.unattached) this.#sockets.get(state.id)?.serializeAttachment(state);
		try {
			this.#core = this.#wake();
			this.#run({ type: "recovered" });
		} catch (error) {
			logFault("conversation, recovered", error);
			// A fault that stays: the devices come back later, each with its cursor.
			for (const id of [...this.#sockets.keys()]) this.#fail(id);
			this.#core = this.#wake();
		}
	}

	/** Rule REFUSED-1: the fault is ours, and the device's next connection starts afresh. */
	#fail(id: number): void {
		const socket = this.#sockets.get(id);
		if (socket === undefined) return;
		this.#closed(id, socket);
		attempt(() => socket.send(FAULT_FRAME));
		attempt(() => socket.close(4500));
	}

	#do(effect: Effect): void {
		switch (effect.type) {
			case "send":
				this.#send(effect.socket, effect.bytes);
				break;
			case "sendAll":
				for (const socket of effect.sockets) this.#send(socket, effect.bytes);
				break;
			case "attach":
				this.#sockets.get(effect.socket.id)?.serializeAttachment(effect.socket);
				break;
			case "close":
				this.#close(effect.socket, effect.code);
				break;
			case "alarm":
				// Not awaited: written together with the rows of this turn; the output gate waits for it.
				void this.ctx.storage.setAlarm(effect.at_ms);
				this.#alarm_ms = effect.at_ms;
				break;
			case "nudge":
				this.#nudge(effect);
				break;
			case "erase":
				this.#erase();
				break;
			case "answer":
				this.#answer = effect.answer;
				break;
			default:
				effect satisfies never;
		}
	}

	#send(id: number, bytes: Uint8Array): void {
		try {
			this.#sockets.get(id)?.send(bytes);
		} catch {
			// A peer may be gone at any moment. What it missed is in the log and is sent after its next hello.
		}
	}

	/** Rule KEPT-4. In the same turn: whoever comes next finds an object that was never founded. */
	#erase(): void {
		void this.ctx.storage.deleteAlarm();
		void this.ctx.storage.deleteAll();
		this.#alarm_ms = undefined;
		this.#calls.clear();
		this.#core = this.#wake();
	}

	#close(id: number, code: number): void {
		const socket = this.#sockets.get(id);
		if (socket === undefined) return;
		this.#closed(id, socket);
		attempt(() => socket.close(code));
	}

	/** Devices of one account, nudged up to the same entry, are one call. */
	#nudge({ account, peer, device, upTo }: Extract<Effect, { type: "nudge" }>): void {
		const call = this.#calls.get(account);
		if (call !== undefined && call.upTo === upTo) call.devices.push(device);
		else this.#calls.set(account, { account, peer, devices: [...(call?.devices ?? []), device], upTo });
	}

	/** Rule NUDGE-1. A call that fails is the alarm's to repeat, with a new stub. */
	async #callAccounts(): Promise<void> {
		if (this.#calling) return;
		this.#calling = true;
		try {
			await this.#callAll();
		} finally {
			this.#calling = false;
		}
	}

	async #callAll(): Promise<void> {
		while (this.#calls.size > 0) {
			const calls = [...this.#calls.values()].slice(0, CALLS_AT_ONCE);
			for (const { account } of calls) this.#calls.delete(account);
			const outcomes = await Promise.all(calls.map((call) => this.#call(call)));
			for (const [index, { account, devices, upTo }] of calls.entries()) {
				const ok = outcomes[index] === true;
				for (const device of devices) this.#handle({ type: "nudged", account, device, upTo, ok });
			}
		}
	}

	async #call({ account, peer, devices, upTo }: AccountCall): Promise<boolean> {
		const conversation = this.ctx.id.name;
		if (conversation === undefined) return false;
		try {
			// An account that does not list the conversation yet: it will, and must not miss this.
			return (await this.env.ACCOUNT.getByName(account).nudge({ conversation, peer }, devices, upTo)) !== "stranger";
		} catch {
			// Reported to the core, which sets the time for the next try.
			return false;
		}
	}

	#wake(): ConversationCore {
		const sockets: SocketState[] = [];
		for (const socket of this.ctx.getWebSockets()) {
			const state: SocketState | null = socket.deserializeAttachment();
			if (state === null) continue;
			this.#nextSocket = Math.max(this.#nextSocket, state.id + 1);
			if (state.closed) continue;
			this.#opened(state.id, socket);
			sockets.push(state);
		}
		// A new store too: after a fault its tables may be gone with the turn that made them.
		return new ConversationCore(new SqliteStore(this.ctx.storage), {
			now_ms: Date.now(),
			sockets,
			alarm_ms: this.#alarm_ms,
			rate: rateOf(this.env),
		});
	}
}

/** Benchmarks raise the rate with a variable. */
function rateOf(env: Cloudflare.Env): Rate {
	const value: unknown = Reflect.get(env, "FRAMES_PER_SECOND");
	const frames = typeof value === "string" ? Number(value) : Number.NaN;
	return frames > 0 ? { frames_per_second: frames, frame_burst: frames * 4 } : RATE;
}

function attempt(action: () => void): void {
	try {
		action();
	} catch {
		// The peer is gone.
	}
}
