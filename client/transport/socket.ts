/**
 * One socket that stays open: it connects with an access token, comes back after losses and keeps the line warm. It
 * knows nothing of what its frames mean.
 */
import WebSocket from "ws";
import { LIMITS } from "../../protocol/limits.ts";
import { Backoff } from "./backoff.ts";
import type { Clock } from "./clock.ts";
import { asError, ServerRefusal } from "./errors.ts";

const PING_EVERY_MS = 30_000;
const HANDSHAKE_TIMEOUT_MS = 10_000;
/** How long a closing handshake may take before the line is cut. */
const CLOSE_TIMEOUT_MS = 2_000;
const NORMAL_CLOSURE = 1000;

/** Why a socket has given up. */
export type StopReason =
	/** A newer socket of the same device took its place (close code 4001). */
	| "superseded"
	/** The device is no longer on the roster (close code 4403). */
	| "removed"
	/** The device was unlinked, by a person or for idleness (rule DEVICE-6). */
	| "unlinked"
	| "idle"
	/** The device's credentials are refused. */
	| "unauthorized"
	/** What the socket leads to does not exist. */
	| "not_found"
	/** The server does not accept the upgrade, and would not later. */
	| "refused";

export interface SocketEvents {
	opened(): void;
	frame(bytes: Uint8Array): void;
	/** The line is lost or was closed; another attempt follows unless `stopped` is called. */
	closed(): void;
	/** An attempt failed; `attempts` counts those since the line last worked. */
	failed(attempts: number, error: Error): void;
	stopped(reason: StopReason): void;
}

/** The part of a `ws` socket that is used here, so that a test can stand in for it. */
export type Line = Pick<WebSocket, "on" | "send" | "close" | "terminate" | "readyState">;

export interface SocketOptions {
	url: string;
	clock: Clock;
	events: SocketEvents;
	accessToken(): Promise<string>;
	dropToken(refused: string): void;
	connect?(url: string, headers: Record<string, string>): Line;
}

type State = "waiting" | "connecting" | "open" | "closing" | "done";

export class ManagedSocket {
	readonly #options: SocketOptions;
	readonly #backoff: Backoff;
	#state: State = "waiting";
	/** Upgrades in a row that were refused with 401. */
	#unauthorized = 0;
	#line: Line | undefined;
	#cancelTimer: () => void = () => {};
	#whenDone: ((agreed: boolean) => void)[] = [];

	constructor(options: SocketOptions) {
		this.#options = options;
		this.#backoff = new Backoff(() => options.clock.random());
		void this.#connect();
	}

	get open(): boolean {
		return this.#state === "open";
	}

	/** Sends a frame if the line is open; says whether it was. */
	send(bytes: Uint8Array): boolean {
		if (this.#state !== "open" || this.#line === undefined) return false;
		this.#line.send(bytes);
		return true;
	}

	/**
	 * Closes with 1000 and resolves after the closing handshake: true where the peer has answered, so that it has all
	 * that was sent and knows that this side is gone.
	 */
	close(): Promise<boolean> {
		this.#cancelTimer();
		const line = this.#line;
		if (this.#state === "done") return Promise.resolve(false);
		if (line === undefined) {
			this.#finish();
			return Promise.resolve(false);
		}
		const wasOpen = this.#state === "open";
		this.#state = "closing";
		const done = new Promise<boolean>((resolve) => {
			this.#whenDone.push(resolve);
		});
		if (wasOpen) line.close(NORMAL_CLOSURE);
		else line.terminate();
		this.#cancelTimer = this.#options.clock.after(CLOSE_TIMEOUT_MS, () => {
			line.terminate();
			this.#finish();
		});
		return done;
	}

	async #connect(): Promise<void> {
		this.#state = "connecting";
		let token: string;
		try {
			token = await this.#options.accessToken();
		} catch (error) {
			if (this.#state !== "connecting") return;
			if (error instanceof ServerRefusal && !error.passing) this.#stop(refusedReason(error));
			else this.#retry(asError(error));
			return;
		}
		// Whoever closed the socket while the token was on its way wants no line any more.
		if (this.#state !== "connecting") return;
		const line = (this.#options.connect ?? connectWithWs)(this.#options.url, { authorization: `Bearer ${token}` });
		this.#line = line;
		this.#listen(line, token);
	}

	#listen(line: Line, token: string): void {
		let failure: Error | undefined;
		let refusedStatus: number | undefined;
		line.on("open", () => {
			if (this.#state !== "connecting") return;
			this.#state = "open";
			this.#unauthorized = 0;
			this.#schedulePing(line);
			this.#options.events.opened();
		});
		line.on("message", (data, isBinary) => {
			// Text is the answer to a ping.
			if (!isBinary) return;
			this.#backoff.succeeded();
			this.#options.events.frame(bytesOf(data));
		});
		line.on("unexpected-response", (_request, response) => {
			refusedStatus = response.statusCode ?? 0;
			response.resume();
			line.terminate();
		});
		line.on("error", (error) => {
			failure = error;
		});
		line.on("close", (code) => {
			this.#line = undefined;
			this.#cancelTimer();
			if (this.#state === "done") return;
			if (this.#state === "closing") {
				this.#finish(code === NORMAL_CLOSURE);
				return;
			}
			if (this.#state === "open") this.#options.events.closed();
			if (refusedStatus === 401) {
				this.#unauthorized++;
				this.#options.dropToken(token);
			}
			const reason = stopReason(code, refusedStatus, this.#unauthorized);
			if (reason !== undefined) this.#stop(reason);
			else if (refusedStatus !== undefined) this.#retry(new Error(`the server answered ${refusedStatus}`));
			else this.#retry(failure ?? new Error(`the socket was closed (${code})`));
		});
	}

	#schedulePing(line: Line): void {
		this.#cancelTimer = this.#options.clock.after(PING_EVERY_MS, () => {
			line.send("ping");
			this.#schedulePing(line);
		});
	}

	#retry(error: Error): void {
		this.#state = "waiting";
		const delay = this.#backoff.nextDelayMs();
		this.#cancelTimer = this.#options.clock.after(delay, () => void this.#connect());
		this.#options.events.failed(this.#backoff.attempts, error);
	}

	#stop(reason: StopReason): void {
		this.#finish();
		this.#options.events.stopped(reason);
	}

	#finish(agreed = false): void {
		this.#state = "done";
		this.#cancelTimer();
		for (const resolve of this.#whenDone.splice(0)) resolve(agreed);
	}
}

function refusedReason({ code }: ServerRefusal): StopReason {
	if (code === "device_unlinked") return "unlinked";
	return code === "device_idle" ? "idle" : "unauthorized";
}

function stopReason(code: number, refusedStatus: number | undefined, unauthorized: number): StopReason | undefined {
	if (code === 4001) return "superseded";
	if (code === 4403) return "removed";
	switch (refusedStatus) {
		case undefined:
		case 408:
		case 429:
			return undefined;
		case 401:
			// The first may be a token that has just expired: it was dropped, and a new one is tried.
			return unauthorized === 1 ? undefined : "unauthorized";
		case 404:
			return "not_found";
		default:
			return refusedStatus >= 400 && refusedStatus < 500 ? "refused" : undefined;
	}
}

function connectWithWs(url: string, headers: Record<string, string>): Line {
	return new WebSocket(url, {
		headers,
		handshakeTimeout: HANDSHAKE_TIMEOUT_MS,
		maxPayload: LIMITS.frame_down_bytes,
		perMessageDeflate: false,
	});
}

function bytesOf(data: WebSocket.RawData): Uint8Array {
	if (Array.isArray(data)) return new Uint8Array(Buffer.concat(data));
	return data instanceof ArrayBuffer ? new Uint8Array(data) : data;
}
