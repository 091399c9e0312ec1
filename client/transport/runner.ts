/**
 * Runs a machine: hands it what happens, a batch at a time, and carries out what it asks for, in order. All that must
 * survive a crash is inside the machine; this file may forget everything at any moment.
 */
import { fromBinary, toBinary } from "@bufbuild/protobuf";
import { AccountDownSchema, AccountUpSchema } from "../../protocol/gen/account_pb.js";
import { ConversationDownSchema } from "../../protocol/gen/conversation_down_pb.js";
import { ConversationUpSchema } from "../../protocol/gen/conversation_up_pb.js";
import type { PreKeyUpload } from "../../protocol/http.ts";
import { LIMITS } from "../../protocol/limits.ts";
import { isGroup } from "../groups/state.ts";
import type { GroupCall } from "../machine/groups/building.ts";
import type { Machine, MachineEvent, MachineRequest, Notice } from "../machine/interface.ts";
import { Backoff } from "./backoff.ts";
import { Claims } from "./claims.ts";
import type { Clock } from "./clock.ts";
import { ConversationSockets } from "./conversations.ts";
import { asError, ServerRefusal, ServerUnreachable } from "./errors.ts";
import { callGroup } from "./group_calls.ts";
import type { Api } from "./http.ts";
import { ManagedSocket, type SocketEvents, type SocketOptions, type StopReason } from "./socket.ts";

/**
 * Events of one step. They share a transaction, which is what takes the time on a disk, so that more are faster. Half of
 * the entries that the server sends before an acknowledgement: it sends one half while the other is stored.
 */
const EVENTS_PER_STEP = LIMITS.window_entries / 2;
const TICK_EVERY_MS = 60_000;
/** How often the server hears at least that this device is there. */
const SEEN_EVERY_MS = 12 * 60 * 60_000;
const CLAIM_ATTEMPTS = 4;
const CALL_ATTEMPTS = 4;
/** Rates count for a minute: what was refused for one is made again after 5 to 10 seconds, for so many times. */
const LIMITED_WAITS = 12;
const LIMITED_WAIT_MS = 5_000;

/** How the line to the server stands; `peer` is undefined for the account's socket. */
export type LineNotice =
	| { type: "line-opened"; peer: string | undefined }
	| { type: "line-failed"; peer: string | undefined; attempts: number; error: Error }
	| { type: "line-stopped"; peer: string | undefined; reason: StopReason }
	/** A step failed, which is a fault of this program: nothing further is done. */
	| { type: "broken"; error: Error };

/** The machine's notices, and those of the connection. */
export type RunnerNotice = Notice | LineNotice;

export interface RunnerOptions {
	machine: Machine;
	api: Api;
	clock: Clock;
	onNotice(notice: RunnerNotice): void;
	/** Nothing is left to do until something comes from outside. */
	onIdle?(): void;
	/** For tests, which have no network. */
	connect?: NonNullable<SocketOptions["connect"]>;
}

interface Waiting {
	event: MachineEvent;
	done: () => void;
	failed: (error: Error) => void;
}

export class Runner {
	readonly #machine: Machine;
	readonly #api: Api;
	readonly #clock: Clock;
	readonly #onNotice: (notice: RunnerNotice) => void;
	readonly #onIdle: () => void;
	readonly #connect: Pick<SocketOptions, "connect">;
	readonly #conversations: ConversationSockets;
	readonly #queue: Waiting[] = [];
	#account: ManagedSocket | undefined;
	#accountCaughtUp = false;
	#stepping: Promise<void> | undefined;
	#uploading: Promise<void> = Promise.resolve();
	/** For when a tick was last asked for. */
	#tickAtMs = 0;
	#uploads = 0;
	#calls = 0;
	/** How many devices of a group have this device's keys, by the group. */
	readonly groupProgress = new Map<string, { done: number; total: number }>();
	readonly #claims: Claims;
	#broken: Error | undefined;
	#closed = false;
	#cancelTick: () => void;
	#seenMs: number;
	/** What cancels the wakes to come. */
	readonly #wakes = new Set<() => void>();

	constructor(options: RunnerOptions) {
		this.#machine = options.machine;
		this.#api = options.api;
		this.#clock = options.clock;
		this.#onNotice = options.onNotice;
		this.#onIdle = options.onIdle ?? (() => {});
		this.#connect = options.connect === undefined ? {} : { connect: options.connect };
		this.#conversations = new ConversationSockets(
			options.clock,
			{
				opened: (peer) => {
					this.#onNotice({ type: "line-opened", peer });
					this.post({ type: "conversation-opened", peer });
				},
				frame: (peer, bytes) => this.#receiveFrame(peer, bytes),
				closed: (peer) => this.post({ type: "conversation-closed", peer }),
				left: (peer) => this.post({ type: "conversation-left", peer }),
				failed: (peer, attempts, error) => this.#onNotice({ type: "line-failed", peer, attempts, error }),
				stopped: (peer, reason) => {
					// The server has shown this device out: it counts it as connected no longer.
					if (reason === "removed" || reason === "not_found") {
						this.post({ type: "conversation-left", peer });
						if (isGroup(peer)) this.post({ type: "group-gone", peer });
					}
					this.#onNotice({ type: "line-stopped", peer, reason });
				},
			},
			(path, events) => this.#openSocket(path, events),
		);
		this.#claims = this.#claimsOf(this.#api);
		this.#seenMs = this.#clock.nowMs();
		this.#cancelTick = this.#scheduleTick();
	}

	/** Opens the account's socket, over which the server tells of news. */
	openAccount(): void {
		if (this.#account !== undefined || this.#closed) return;
		this.#account = this.#openSocket("/v1/socket", {
			opened: () => {
				this.#onNotice({ type: "line-opened", peer: undefined });
				this.post({ type: "account-opened" });
			},
			frame: (bytes) => this.#receiveAccountFrame(bytes),
			closed: () => {
				this.#accountCaughtUp = false;
				this.post({ type: "account-closed" });
			},
			failed: (attempts, error) => this.#onNotice({ type: "line-failed", peer: undefined, attempts, error }),
			stopped: (reason) => {
				this.#account = undefined;
				this.#onNotice({ type: "line-stopped", peer: undefined, reason });
			},
		});
	}

	openConversation(peer: string): void {
		if (!this.#closed) this.#conversations.want(peer);
	}

	follow(peer: string): void {
		if (!this.#closed) this.#conversations.follow(peer);
	}

	unfollow(peer: string): void {
		this.#conversations.unfollow(peer);
	}

	/** Whether all news has been fetched, stored and acknowledged, as far as is known. */
	get drained(): boolean {
		const working =
			this.#stepping !== undefined || this.#queue.length > 0 || this.#claims.busy || this.#uploads + this.#calls > 0;
		const accountReady = this.#account === undefined || this.#accountCaughtUp;
		return accountReady && this.#conversations.allCaughtUp && !working;
	}

	/** Queues an event. Failures are told by the notice `broken`. */
	post(event: MachineEvent): void {
		this.perform(event).catch(() => {});
	}

	/** Queues an event; resolves after the step with it, when what it wrote is on disk and its frames are on their way. */
	perform(event: MachineEvent): Promise<void> {
		if (this.#broken !== undefined) return Promise.reject(this.#broken);
		if (this.#closed) return Promise.reject(new Error("closed"));
		return new Promise((resolve, reject) => {
			this.#queue.push({ event, done: resolve, failed: reject });
			this.#stepping ??= this.#drainQueue();
		});
	}

	/**
	 * Finishes the steps that are under way, then closes all sockets, waits for their closing handshakes and notes which
	 * were answered: the others are opened again at the next start (rule NUDGE-3).
	 */
	async close(): Promise<void> {
		this.#cancelTick();
		while (this.#stepping !== undefined) await this.#stepping;
		this.#closed = true;
		for (const cancel of this.#wakes) cancel();
		const [left] = await Promise.all([this.#conversations.closeAll(), this.#account?.close()]);
		if (left.length === 0 || this.#broken !== undefined) return;
		await this.#machine.step(left.map((peer) => ({ type: "conversation-left", peer })));
	}

	async #drainQueue(): Promise<void> {
		try {
			do {
				// All that has arrived at the sockets meanwhile joins the step.
				await new Promise((resolve) => setImmediate(resolve));
				const batch = this.#queue.splice(0, EVENTS_PER_STEP);
				try {
					const requests = await this.#machine.step(batch.map((waiting) => waiting.event));
					for (const request of requests) this.#carryOut(request);
					for (const waiting of batch) waiting.done();
				} catch (error) {
					this.#break(asError(error), batch);
				}
			} while (this.#queue.length > 0);
		} finally {
			this.#stepping = undefined;
		}
		this.#onIdle();
	}

	#break(error: Error, batch: Waiting[]): void {
		this.#broken = error;
		for (const waiting of [...batch, ...this.#queue.splice(0)]) waiting.failed(error);
		// The machine takes all connections for closed after a failed step.
		void this.#account?.close();
		void this.#conversations.closeAll();
		this.#onNotice({ type: "broken", error });
	}

	#carryOut(request: MachineRequest): void {
		switch (request.type) {
			case "open-conversation":
				this.openConversation(request.peer);
				return;
			case "send-frame":
				this.#conversations.send(request.peer, request.bytes ?? toBinary(ConversationUpSchema, request.frame));
				return;
			case "send-account-frame":
				this.#account?.send(toBinary(AccountUpSchema, request.frame));
				return;
			case "claim-prekeys":
				this.#claims.ask(request.account);
				return;
			case "upload-prekeys":
				this.#uploads++;
				this.#uploading = this.#uploading.then(() => this.#uploadPreKeys(request.upload));
				return;
			case "wake":
				this.#later(request.afterMs, { type: "wake", account: request.account });
				return;
			case "tick-at":
				this.#tickAt(request.atMs);
				return;
			case "call-group":
				void this.#callGroup(request.peer, request.id, request.call);
				return;
			case "notify":
				if (request.notice.type === "group-progress") this.groupProgress.set(request.notice.peer, request.notice);
				if (request.notice.type === "caught-up") this.#conversations.caughtUp(request.notice.peer);
				if (request.notice.type === "account-caught-up") this.#accountCaughtUp = true;
				this.#onNotice(request.notice);
				return;
			default:
				request satisfies never;
		}
	}

	#later(afterMs: number, event: MachineEvent): void {
		const cancel = this.#clock.after(afterMs, () => {
			this.#wakes.delete(cancel);
			this.post(event);
		});
		this.#wakes.add(cancel);
	}

	/** Before the next tick that comes anyway; the machine asks again with each. */
	#tickAt(atMs: number): void {
		const now = this.#clock.nowMs();
		if (atMs > now + TICK_EVERY_MS || (this.#tickAtMs > now && this.#tickAtMs <= atMs)) return;
		this.#tickAtMs = atMs;
		this.#later(Math.max(0, atMs - now), { type: "tick" });
	}

	#receiveFrame(peer: string, bytes: Uint8Array): void {
		try {
			this.post({ type: "conversation-frame", peer, frame: fromBinary(ConversationDownSchema, bytes) });
		} catch (error) {
			this.#onNotice({ type: "line-failed", peer, attempts: 0, error: asError(error) });
		}
	}

	#receiveAccountFrame(bytes: Uint8Array): void {
		try {
			this.post({ type: "account-frame", frame: fromBinary(AccountDownSchema, bytes) });
		} catch (error) {
			this.#onNotice({ type: "line-failed", peer: undefined, attempts: 0, error: asError(error) });
		}
	}

	#claimsOf(api: Api): Claims {
		return new Claims({
			api,
			retrying: (attempt) => this.#retrying(attempt, CLAIM_ATTEMPTS),
			claimed: (account, bundles) => this.post({ type: "prekeys-claimed", account, bundles }),
			failed: (account, error) => {
				if (error !== undefined) {
					this.#onNotice({ type: "line-failed", peer: account, attempts: CLAIM_ATTEMPTS, error: asError(error) });
				}
				this.post({ type: "prekeys-failed", account });
			},
		});
	}

	async #callGroup(peer: string, id: string, call: GroupCall): Promise<void> {
		this.#calls++;
		try {
			this.post(await this.#retrying(() => callGroup(this.#api, peer, id, call), CALL_ATTEMPTS));
		} catch (error) {
			this.#onNotice({ type: "line-failed", peer, attempts: CALL_ATTEMPTS, error: asError(error) });
			this.post({ type: "group-failed", peer, id });
		} finally {
			this.#calls--;
		}
	}

	async #uploadPreKeys(upload: PreKeyUpload): Promise<void> {
		try {
			await this.#retrying(() => this.#api.uploadPreKeys(upload), Number.POSITIVE_INFINITY);
			this.post({ type: "prekeys-uploaded" });
		} catch (error) {
			// The machine uploads the same set again after the next start.
			this.#onNotice({ type: "line-failed", peer: undefined, attempts: 0, error: asError(error) });
		} finally {
			this.#uploads--;
		}
	}

	/** Tries again while the failure is one that passes. */
	async #retrying<T>(attempt: () => Promise<T>, attempts: number): Promise<T> {
		const backoff = new Backoff(() => this.#clock.random());
		let limited = 0;
		for (;;) {
			try {
				return await attempt();
			} catch (error) {
				const tooFast = error instanceof ServerRefusal && error.code === "rate_limited";
				if (tooFast && limited < LIMITED_WAITS && !this.#closed) {
					limited++;
					await this.#wait(LIMITED_WAIT_MS * (1 + this.#clock.random()));
					if (this.#closed) throw error;
					continue;
				}
				const passing = error instanceof ServerUnreachable || (error instanceof ServerRefusal && error.passing);
				if (!passing || this.#closed) throw error;
				const delay = backoff.nextDelayMs();
				if (backoff.attempts >= attempts) throw error;
				await this.#wait(delay);
				if (this.#closed) throw error;
			}
		}
	}

	/** Ends with this runner, whose program must not wait for it. */
	#wait(delayMs: number): Promise<void> {
		return new Promise((resolve) => {
			const end = () => {
				this.#wakes.delete(end);
				cancel();
				resolve();
			};
			const cancel = this.#clock.after(delayMs, end);
			this.#wakes.add(end);
		});
	}

	#openSocket(path: string, events: SocketEvents): ManagedSocket {
		return new ManagedSocket({
			...this.#connect,
			url: `${this.#api.server.replace(/^http/, "ws")}${path}`,
			clock: this.#clock,
			events,
			accessToken: () => this.#api.accessToken(),
			dropToken: (refused) => this.#api.dropToken(refused),
		});
	}

	/** A line can hold for weeks without a new token, and whoever asks for none counts as idle (rule DEVICE-5). */
	#beSeen(): void {
		if (this.#account?.open !== true || this.#clock.nowMs() - this.#seenMs < SEEN_EVERY_MS) return;
		this.#seenMs = this.#clock.nowMs();
		// The next one is as good: it is asked for many times in 45 days.
		this.#api.accessToken().catch(() => {});
	}

	#scheduleTick(): () => void {
		return this.#clock.after(TICK_EVERY_MS, () => {
			this.post({ type: "tick" });
			this.#beSeen();
			this.#cancelTick = this.#scheduleTick();
		});
	}
}
