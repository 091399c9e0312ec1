/**
 * The sockets of conversations: each is opened when the machine asks for it, kept while there is traffic or somebody
 * follows the conversation, and closed after a minute of silence. An account with many conversations so holds few
 * sockets.
 */
import { isGroup } from "../groups/state.ts";
import type { Clock } from "./clock.ts";
import type { ManagedSocket, SocketEvents, StopReason } from "./socket.ts";

const IDLE_MS = 60_000;

export interface ConversationEvents {
	opened(peer: string): void;
	frame(peer: string, bytes: Uint8Array): void;
	closed(peer: string): void;
	failed(peer: string, attempts: number, error: Error): void;
	/** The server has answered a closing that came from here. */
	left(peer: string): void;
	stopped(peer: string, reason: StopReason): void;
}

/** The part of a socket that is used here. */
type Socket = Pick<ManagedSocket, "open" | "send" | "close">;

interface OpenConversation {
	socket: Socket;
	caughtUp: boolean;
	cancelIdle: () => void;
}

/** The sockets of conversations: opened, kept while they are needed, and opened again. */
export class ConversationSockets {
	readonly #clock: Clock;
	readonly #events: ConversationEvents;
	readonly #openSocket: (path: string, events: SocketEvents) => Socket;
	readonly #open = new Map<string, OpenConversation>();
	readonly #followed = new Set<string>();
	#ended = false;

	constructor(clock: Clock, events: ConversationEvents, openSocket: (path: string, events: SocketEvents) => Socket) {
		this.#clock = clock;
		this.#events = events;
		this.#openSocket = openSocket;
	}

	/** Opens the conversation's socket if there is none. */
	want(peer: string): void {
		const known = this.#open.get(peer);
		if (known !== undefined) {
			this.#touch(peer, known);
			return;
		}
		const socket = this.#openSocket(isGroup(peer) ? `/v1/groups/${peer}/socket` : `/v1/direct/${peer}/socket`, {
			opened: () => this.#events.opened(peer),
			frame: (bytes) => {
				const conversation = this.#open.get(peer);
				if (conversation !== undefined) this.#touch(peer, conversation);
				this.#events.frame(peer, bytes);
			},
			closed: () => {
				const conversation = this.#open.get(peer);
				if (conversation !== undefined) conversation.caughtUp = false;
				this.#events.closed(peer);
			},
			failed: (attempts, error) => this.#events.failed(peer, attempts, error),
			stopped: (reason) => {
				this.#open.get(peer)?.cancelIdle();
				this.#open.delete(peer);
				this.#events.stopped(peer, reason);
			},
		});
		const conversation: OpenConversation = { socket, caughtUp: false, cancelIdle: () => {} };
		this.#open.set(peer, conversation);
		this.#touch(peer, conversation);
	}

	/** Keeps a conversation's socket open through silence. */
	follow(peer: string): void {
		this.#followed.add(peer);
		this.want(peer);
	}

	unfollow(peer: string): void {
		this.#followed.delete(peer);
		const conversation = this.#open.get(peer);
		if (conversation !== undefined) this.#touch(peer, conversation);
	}

	/** Sends if the socket is open. What is dropped here the machine sends again when it opens. */
	send(peer: string, bytes: Uint8Array): void {
		const conversation = this.#open.get(peer);
		if (conversation === undefined) return;
		conversation.socket.send(bytes);
		this.#touch(peer, conversation);
	}

	caughtUp(peer: string): void {
		const conversation = this.#open.get(peer);
		if (conversation !== undefined) conversation.caughtUp = true;
	}

	get allCaughtUp(): boolean {
		for (const conversation of this.#open.values()) if (!conversation.caughtUp) return false;
		return true;
	}

	/** Closes all for good. Returns the conversations whose closing the server has answered. */
	async closeAll(): Promise<string[]> {
		this.#ended = true;
		const open = [...this.#open];
		this.#open.clear();
		for (const [, conversation] of open) conversation.cancelIdle();
		const agreed = await Promise.all(open.map(([, conversation]) => conversation.socket.close()));
		return open.flatMap(([peer], index) => (agreed[index] === true ? [peer] : []));
	}

	/** A line that ends without an answer is opened once more: the server may not know of the end, and tell nothing. */
	async #leave(peer: string, conversation: OpenConversation): Promise<void> {
		this.#open.delete(peer);
		this.#events.closed(peer);
		const agreed = await conversation.socket.close();
		if (this.#ended || this.#open.has(peer)) return;
		if (agreed) this.#events.left(peer);
		else this.want(peer);
	}

	#touch(peer: string, conversation: OpenConversation): void {
		conversation.cancelIdle();
		conversation.cancelIdle = () => {};
		if (this.#followed.has(peer)) return;
		conversation.cancelIdle = this.#clock.after(IDLE_MS, () => {
			// A socket that still tries to connect has something to do, so it isn't idle.
			if (!conversation.socket.open) {
				this.#touch(peer, conversation);
				return;
			}
			void this.#leave(peer, conversation);
		});
	}
}
