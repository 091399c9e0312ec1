/** The always-on sockets: hibernatable, one tag for each device, all their state in the attachment (rule IDLE-1). */
import { create, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { AccountDownSchema } from "../../protocol/gen/account_pb.js";
import type { ErrorCode, RefusedSchema } from "../../protocol/gen/common_pb.js";
import type { PreKeyCounts } from "../../protocol/http.ts";
import { fromHex, uuidToBytes } from "../../protocol/ids.ts";
import type { WaitingNews } from "./news.ts";
import { freshPace, type Pace } from "./pace.ts";

/** What a socket's attachment holds. */
export interface SocketState {
	device: number;
	/** It has said hello. */
	ready: boolean;
	/** We closed it; the runtime lists it until the peer answers. */
	closed: boolean;
	pace: Pace;
}

type DownFrame = NonNullable<MessageInitShape<typeof AccountDownSchema>["frame"]>;
type RefusedFields = Omit<Exclude<MessageInitShape<typeof RefusedSchema>, { $typeName: string }>, "code">;

/** The sockets of one object. */
export class Sockets {
	readonly #ctx: DurableObjectState;

	constructor(ctx: DurableObjectState) {
		this.#ctx = ctx;
		// Answered by the runtime: keeps connections alive without waking the object.
		ctx.setWebSocketAutoResponse(new WebSocketRequestResponsePair("ping", "pong"));
	}

	/** Opens a socket for the device; returns the device's end. */
	accept(device: number, now_ms: number): WebSocket {
		const { 0: theirs, 1: ours } = new WebSocketPair();
		this.#ctx.acceptWebSocket(ours, [tag(device)]);
		this.save(ours, { device, ready: false, closed: false, pace: freshPace(now_ms) });
		return theirs;
	}

	/** Every open socket. */
	all(): WebSocket[] {
		return this.#ctx.getWebSockets().filter((socket) => this.#isOpen(socket));
	}

	/** The device's open sockets: one at most, but for the moment in which a newer arrives. */
	of(device: number): WebSocket[] {
		return this.#ctx.getWebSockets(tag(device)).filter((socket) => this.#isOpen(socket));
	}

	/** The device's socket, if it has said hello. */
	ready(device: number): WebSocket | undefined {
		return this.of(device).find((socket) => this.state(socket)?.ready === true);
	}

	state(socket: WebSocket): SocketState | undefined {
		const state: SocketState | null = socket.deserializeAttachment();
		return state ?? undefined;
	}

	save(socket: WebSocket, state: SocketState): void {
		socket.serializeAttachment(state);
	}

	sendNews(socket: WebSocket, news: WaitingNews): void {
		const value = {
			conversation: fromHex(news.conversation),
			peer: news.peer === "" ? new Uint8Array(0) : uuidToBytes(news.peer),
			upTo: news.upTo,
		};
		this.#send(socket, { case: "news", value });
	}

	sendNewsEnd(socket: WebSocket): void {
		this.#send(socket, { case: "newsEnd", value: {} });
	}

	sendCounts(socket: WebSocket, counts: PreKeyCounts): void {
		const value = { oneTimeEc: counts.oneTimePreKeys, oneTimeKyber: counts.oneTimeKyberPreKeys };
		this.#send(socket, { case: "prekeyCounts", value });
	}

	/** Rule REFUSED-1. */
	refuse(socket: WebSocket, code: ErrorCode, fields: RefusedFields = {}): void {
		this.#send(socket, { case: "refused", value: { ...fields, code } });
	}

	/** Closes from our side; from then on the socket is neither listed nor listened to. */
	close(socket: WebSocket, code: number): void {
		const state = this.state(socket);
		if (state !== undefined) this.save(socket, { ...state, closed: true });
		attempt(() => socket.close(code));
	}

	/** Completes a close that the peer began: without it, its end hangs. */
	answerClose(socket: WebSocket, code: number, reason: string): void {
		// 1006 and 1015 say that the connection broke: there is nobody to answer, and they can't be sent.
		if (code === 1006 || code === 1015) return;
		// 1005 stands for a close without a code and can't be sent either.
		attempt(() => (code === 1005 ? socket.close() : socket.close(code, reason)));
	}

	#isOpen(socket: WebSocket): boolean {
		return this.state(socket)?.closed === false;
	}

	#send(socket: WebSocket, frame: DownFrame): void {
		attempt(() => socket.send(toBinary(AccountDownSchema, create(AccountDownSchema, { frame }))));
	}
}

/** A peer may be gone at any moment. What it missed is stored and sent again after its next hello. */
function attempt(action: () => void): void {
	try {
		action();
	} catch {
		// Nothing to do: see above.
	}
}

function tag(device: number): string {
	return `device:${device}`;
}
