/** The shell of an account object: RPC and sockets around the prekeys and the news. */

import { DurableObject } from "cloudflare:workers";
import { ErrorCode } from "../../protocol/gen/common_pb.js";
import type { PreKeyCounts, PreKeyUpload } from "../../protocol/http.ts";
import { toHex } from "../../protocol/ids.ts";
import { LIMITS } from "../../protocol/limits.ts";
import { PROTOCOL_VERSION } from "../../protocol/version.ts";
import { ACCOUNT_HEADER, DEVICE_HEADER } from "../conversation-do/interface.ts";
import { logFault } from "../fault-log.ts";
import type { AccountInterface, ConversationReference, TakenPreKeys } from "./interface.ts";
import { News } from "./news.ts";
import { countFrame, countMalformed, RETRY_AFTER_MS } from "./pace.ts";
import { PreKeys } from "./prekeys.ts";
import { isErased, migrate, removeDevice, retire } from "./schema.ts";
import { type SocketState, Sockets } from "./sockets.ts";
import { checkDevice, checkEntry, checkReference, readFrame, type UpFrame } from "./validate.ts";

/**
 * One account: its devices' prekeys, always-on sockets, waiting news and conversations. No method awaits between
 * reading and writing, so each is one turn; the output gate holds its answer and its frames until the rows are on disk.
 */
export class Account extends DurableObject implements AccountInterface {
	readonly #prekeys: PreKeys;
	readonly #news: News;
	readonly #sockets: Sockets;

	constructor(ctx: DurableObjectState, env: Cloudflare.Env) {
		super(ctx, env);
		migrate(ctx.storage);
		this.#prekeys = new PreKeys(ctx.storage.sql);
		this.#news = new News(ctx.storage.sql);
		this.#sockets = new Sockets(ctx);
	}

	async addDevice(device: number, keys: PreKeyUpload): Promise<void> {
		checkDevice(device);
		if (isErased(this.ctx.storage.sql)) throw new Error("account erased");
		this.ctx.storage.transactionSync(() => this.#prekeys.addDevice(device, keys));
	}

	async uploadPreKeys(
		device: number,
		upload: PreKeyUpload,
	): Promise<PreKeyCounts | "too_many_prekeys" | "unknown_device"> {
		return this.ctx.storage.transactionSync(() => this.#prekeys.upload(device, upload));
	}

	async preKeyCounts(device: number): Promise<PreKeyCounts | "unknown_device"> {
		return this.#prekeys.counts(device);
	}

	/** Rule PREKEY-1. A device that runs low is told so. */
	async takePreKeys(): Promise<TakenPreKeys[]> {
		const taken = this.ctx.storage.transactionSync(() => this.#prekeys.take());
		for (const { keys, changed } of taken) {
			if (!changed) continue;
			const counts = this.#prekeys.counts(keys.deviceId);
			if (counts === "unknown_device") continue;
			if (Math.min(counts.oneTimePreKeys, counts.oneTimeKyberPreKeys) >= LIMITS.prekeys_low) continue;
			const socket = this.#sockets.ready(keys.deviceId);
			if (socket !== undefined) this.#sockets.sendCounts(socket, counts);
		}
		return taken.map(({ keys }) => keys);
	}

	async has(device: number): Promise<boolean> {
		return this.#prekeys.has(device);
	}

	async membership(device: number, conversation: string): Promise<"removed" | "stranger" | "member"> {
		if (!this.#prekeys.has(device)) return "removed";
		return this.#news.isMember(conversation) ? "member" : "stranger";
	}

	/** Rule ACCOUNT-7. A retired account joins nothing: the api finds that out from the directory. */
	async joined(reference: ConversationReference): Promise<"joined" | "too_many_conversations"> {
		checkReference(reference);
		return isErased(this.ctx.storage.sql) ? "joined" : this.#news.joined(reference);
	}

	async left(conversations: string[]): Promise<void> {
		this.ctx.storage.transactionSync(() => {
			for (const conversation of conversations) this.#news.left(conversation);
		});
	}

	async conversations(after: string): Promise<ConversationReference[]> {
		return this.#news.conversations(after);
	}

	/** Rules NUDGE-1 and NUDGE-2. */
	async nudge(by: ConversationReference, devices: number[], upTo: number): Promise<"kept" | "stranger"> {
		checkReference(by);
		checkEntry(upTo);
		const { conversation } = by;
		const peer = this.#news.peerIn(conversation);
		if (peer === undefined) return "stranger";
		const reference = { conversation, peer };
		for (const device of devices) {
			// An erased account has no devices, so it is not filled again either.
			if (!this.#prekeys.has(device) || !this.#news.add(device, reference, upTo)) continue;
			const socket = this.#sockets.ready(device);
			if (socket !== undefined) this.#sockets.sendNews(socket, { ...reference, upTo });
		}
		return "kept";
	}

	/** Rules ACCOUNT-4 and ACCOUNT-6. */
	async retire(): Promise<void> {
		this.ctx.storage.transactionSync(() => retire(this.ctx.storage.sql, Date.now()));
		this.#closeAll();
	}

	/** Rule DEVICE-3. */
	async removeDevices(devices: number[]): Promise<void> {
		for (const device of devices) checkDevice(device);
		this.ctx.storage.transactionSync(() => {
			for (const device of devices) removeDevice(this.ctx.storage.sql, device);
		});
		for (const device of devices) {
			for (const socket of this.#sockets.of(device)) {
				this.#sockets.refuse(socket, ErrorCode.DEVICE_UNLINKED);
				this.#sockets.close(socket, 4403);
			}
		}
	}

	/** Rule ACCOUNT-4. */
	async erase(): Promise<void> {
		this.ctx.storage.transactionSync(() => {
			retire(this.ctx.storage.sql, Date.now());
			this.#news.forgetAll();
		});
		this.#closeAll();
	}

	#closeAll(): void {
		for (const socket of this.#sockets.all()) {
			this.#sockets.refuse(socket, ErrorCode.NOT_ON_ROSTER);
			this.#sockets.close(socket, 4403);
		}
	}

	override async fetch(request: Request): Promise<Response> {
		if (request.headers.get("upgrade")?.toLowerCase() !== "websocket") return new Response(null, { status: 426 });
		const account = request.headers.get(ACCOUNT_HEADER);
		const device = Number(request.headers.get(DEVICE_HEADER));
		if (account === null || account !== this.ctx.id.name || !this.#prekeys.has(device)) {
			return new Response(null, { status: 403 });
		}
		// The newer socket wins (rule SOCKET-1): the older is most often a connection that died unnoticed.
		for (const older of this.#sockets.of(device)) {
			this.#sockets.refuse(older, ErrorCode.SUPERSEDED);
			this.#sockets.close(older, 4001);
		}
		return new Response(null, { status: 101, webSocket: this.#sockets.accept(device, Date.now()) });
	}

	override webSocketMessage(socket: WebSocket, message: string | ArrayBuffer): void {
		const state = this.#sockets.state(socket);
		if (state === undefined || state.closed) return;
		try {
			this.#receive(socket, state, message);
		} catch (error) {
			logFault("account, frame", error);
			this.#sockets.refuse(socket, ErrorCode.INTERNAL);
			this.#sockets.close(socket, 4500);
		}
	}

	override webSocketClose(socket: WebSocket, code: number, reason: string): void {
		this.#sockets.answerClose(socket, code, reason);
	}

	#receive(socket: WebSocket, state: SocketState, message: string | ArrayBuffer): void {
		const verdict = countFrame(state.pace, Date.now());
		this.#sockets.save(socket, state);
		switch (verdict) {
			case "pass":
				this.#read(socket, state, message);
				break;
			case "drop":
				break;
			case "refuse":
				this.#sockets.refuse(socket, ErrorCode.RATE_LIMITED, { retryAfterMs: RETRY_AFTER_MS });
				break;
			case "close":
				this.#sockets.refuse(socket, ErrorCode.RATE_LIMITED, { retryAfterMs: RETRY_AFTER_MS });
				this.#sockets.close(socket, 4429);
				break;
			default:
				verdict satisfies never;
		}
	}

	#read(socket: WebSocket, state: SocketState, message: string | ArrayBuffer): void {
		const frame = readFrame(message);
		if (frame === "malformed") this.#malformed(socket, state, ErrorCode.MALFORMED);
		else if (frame === "too_large") this.#malformed(socket, state, ErrorCode.FRAME_TOO_LARGE);
		else if (state.ready) this.#answer(socket, state, frame);
		else if (frame.case === "hello") this.#hello(socket, state, frame.value.protocolVersion);
		else this.#sockets.refuse(socket, ErrorCode.HELLO_EXPECTED);
	}

	#answer(socket: WebSocket, state: SocketState, frame: UpFrame): void {
		switch (frame.case) {
			case "hello":
				// A second hello would push again what is outstanding.
				this.#malformed(socket, state, ErrorCode.MALFORMED);
				break;
			case "seen": {
				const more = this.#news.seen(state.device, toHex(frame.value.conversation), frame.value.upTo);
				if (more !== undefined) this.#sockets.sendNews(socket, more);
				break;
			}
			default:
				frame satisfies never;
		}
	}

	#hello(socket: WebSocket, state: SocketState, version: number): void {
		const counts = this.#prekeys.counts(state.device);
		if (version !== PROTOCOL_VERSION) {
			this.#sockets.refuse(socket, ErrorCode.UNSUPPORTED_VERSION, { limit: PROTOCOL_VERSION });
		} else if (counts === "unknown_device") {
			this.#sockets.refuse(socket, ErrorCode.NOT_ON_ROSTER);
			this.#sockets.close(socket, 4403);
		} else {
			this.#sockets.save(socket, { ...state, ready: true });
			for (const news of this.#news.waiting(state.device)) this.#sockets.sendNews(socket, news);
			this.#sockets.sendNewsEnd(socket);
			this.#sockets.sendCounts(socket, counts);
		}
	}

	#malformed(socket: WebSocket, state: SocketState, code: ErrorCode): void {
		const verdict = countMalformed(state.pace);
		this.#sockets.save(socket, state);
		this.#sockets.refuse(socket, code, code === ErrorCode.FRAME_TOO_LARGE ? { limit: LIMITS.frame_bytes } : {});
		if (verdict === "close") this.#sockets.close(socket, 4400);
	}
}
