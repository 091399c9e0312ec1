/** What the tests of this room share: members, frames, a core with an in-memory store, a device's end of a socket. */
import { env } from "cloudflare:workers";
import { create, fromBinary, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { ErrorCode } from "../../protocol/gen/common_pb.js";
import { type ConversationDown, ConversationDownSchema } from "../../protocol/gen/conversation_down_pb.js";
import { ConversationUpSchema } from "../../protocol/gen/conversation_up_pb.js";
import { nextUuidV7, uuidToBytes } from "../../protocol/ids.ts";
import { ConversationCore, type ConversationEvent, type Effect, type SocketState } from "./core.ts";
import { ACCOUNT_HEADER, DEVICE_HEADER, type RosterMember } from "./interface.ts";
import { MemoryStore } from "./memory-store.ts";
import type { Store } from "./store.ts";

type UpInit = NonNullable<MessageInitShape<typeof ConversationUpSchema>["frame"]>;

export const ALICE = "00000000-0000-4000-8000-00000000000a";
export const BOB = "00000000-0000-4000-8000-00000000000b";

/** A member with one device for each registration id, numbered from 1. */
export function member(account: string, ...registrations: number[]): RosterMember {
	return { account, devices: registrations.map((registrationId, index) => ({ device: index + 1, registrationId })) };
}

export function up(frame: UpInit): Uint8Array {
	return toBinary(ConversationUpSchema, create(ConversationUpSchema, { frame }));
}

let lastId: Uint8Array | undefined;

/** A message id, greater than all before. */
export function newId(): Uint8Array {
	lastId = nextUuidV7(Date.now(), crypto.getRandomValues(new Uint8Array(10)), lastId);
	return lastId;
}

export interface Address {
	account: string;
	device: number;
	registrationId: number;
}

export const A1: Address = { account: ALICE, device: 1, registrationId: 11 };
export const B1: Address = { account: BOB, device: 1, registrationId: 21 };

/** A Send frame for some devices. */
export function message(id: Uint8Array, to: Address[], version = 1, text = "x"): Uint8Array {
	const ciphertext = new TextEncoder().encode(text);
	const envelopes = to.map(({ account, device, registrationId }) => ({
		to: { account: uuidToBytes(account), device, registrationId },
		kind: 1,
		ciphertext,
	}));
	return up({ case: "send", value: { messageId: id, rosterVersion: version, envelopes } });
}

/** A frame in a short form that is easy to compare. */
export function describe(bytes: Uint8Array): string {
	const { frame } = fromBinary(ConversationDownSchema, bytes);
	return describeFrame(frame);
}

function describeFrame(frame: ConversationDown["frame"]): string {
	switch (frame.case) {
		case "welcome":
			return `welcome ${frame.value.head} v${frame.value.roster?.version} ${frame.value.watermarks
				.map((mark) => `${mark.delivered}/${mark.read}`)
				.join(" ")}`;
		case "entry":
			return `entry ${frame.value.number}`;
		case "caughtUp":
			return `caught up ${frame.value.head}`;
		case "accepted":
			return `accepted ${frame.value.number}`;
		case "refused":
			return `refused ${ErrorCode[frame.value.code]} ${frame.value.limit}`;
		case "watermark":
			return `watermark ${frame.value.delivered}/${frame.value.read}`;
		case "roster":
			return `roster v${frame.value.version}`;
		case "missed":
			return `missed ${frame.value.from}-${frame.value.to}${frame.value.entries.map(({ number }) => ` ${number}`).join("")}`;
		case "typing":
			return `typing ${frame.value.started}`;
		case "rosterChange":
			return `roster change v${frame.value.version} +${frame.value.added.length} -${frame.value.removed.length}`;
		case "watermarks":
			return `watermarks ${frame.value.watermarks.map((mark) => `${mark.delivered}/${mark.read}`).join(" ")}`;
		case "withdrawn":
			return "withdrawn";
		case "blocking":
			return `blocking ${frame.value.on}`;
		case "presence":
			return `presence ${frame.value.online}${frame.value.fleeting ? " fleeting" : ""}`;
		case undefined:
			return "nothing";
		default:
			return frame satisfies never;
	}
}

/** A core over memory, with a clock that the test moves. Attachments are kept as the shell would. */
export class Bench {
	readonly store: Store;
	now_ms = 1_800_000_000_000;
	core: ConversationCore;
	readonly sockets: Map<number, SocketState> = new Map();
	/** What the alarm is set to. The test rings it. */
	alarm_ms: number | undefined;
	/** Effects since the last `take`. */
	effects: Effect[] = [];
	#next = 1;

	constructor(members: RosterMember[] = [member(ALICE, 11), member(BOB, 21)], store: Store = new MemoryStore()) {
		this.store = store;
		this.core = new ConversationCore(store, { now_ms: this.now_ms, sockets: [], alarm_ms: undefined });
		// A group is founded by a change.
		if (members.length > 0) this.handle({ type: "found", members });
	}

	handle(event: ConversationEvent): void {
		if (event.type === "disconnected") this.sockets.delete(event.socket);
		if (event.type === "alarm") this.alarm_ms = undefined;
		for (const effect of this.core.handle(event, this.now_ms)) {
			this.effects.push(effect);
			if (effect.type === "attach") this.sockets.set(effect.socket.id, effect.socket);
			if (effect.type === "close") this.sockets.delete(effect.socket);
			if (effect.type === "alarm") this.alarm_ms = effect.at_ms;
		}
	}

	/** A new core over the same disk: with the sockets (hibernation) or without (crash). */
	restart(keepSockets: boolean): void {
		if (!keepSockets) this.sockets.clear();
		const sockets = [...this.sockets.values()];
		this.core = new ConversationCore(this.store, { now_ms: this.now_ms, sockets, alarm_ms: undefined });
	}

	open(address: Address): number {
		const id = this.#next++;
		const socket = this.core.admit(id, address.account, address.device);
		if (socket === undefined) throw new Error("not on the roster");
		this.handle({ type: "connected", socket });
		return id;
	}

	/** Opens and says hello. */
	ready(address: Address, cursor = 0, read = 0): number {
		const id = this.open(address);
		this.up(id, { case: "hello", value: { protocolVersion: 1, cursor, read } });
		return id;
	}

	up(socket: number, frame: UpInit): void {
		this.raw(socket, up(frame));
	}

	raw(socket: number, data: Uint8Array | string): void {
		this.handle({ type: "frame", socket, data });
	}

	/** What a socket was sent since the last call, closes too. Other sockets' frames stay. */
	take(socket: number): string[] {
		const own: string[] = [];
		this.effects = this.effects.filter((effect) => {
			if (effect.type === "send" && effect.socket === socket) own.push(describe(effect.bytes));
			else if (effect.type === "sendAll" && effect.sockets.includes(socket)) {
				own.push(describe(effect.bytes));
				effect.sockets = effect.sockets.filter((one) => one !== socket);
				return effect.sockets.length > 0;
			} else if (effect.type === "close" && effect.socket === socket) own.push(`closed ${effect.code}`);
			else return true;
			return false;
		});
		return own;
	}

	/** Nudges and alarms since the last call. */
	takeCalls(): Effect[] {
		const calls = this.effects.filter(({ type }) => type === "nudge" || type === "alarm");
		this.effects = this.effects.filter(({ type }) => type !== "nudge" && type !== "alarm");
		return calls;
	}
}

/** A new founded conversation in the runtime, of two new accounts with a device each. */
export async function newConversation() {
	const alice: Address = { account: crypto.randomUUID(), device: 1, registrationId: 11 };
	const bob: Address = { account: crypto.randomUUID(), device: 1, registrationId: 21 };
	const stub = env.CONVERSATION.getByName(
		Array.from(crypto.getRandomValues(new Uint8Array(32)), (byte) => byte.toString(16).padStart(2, "0")).join(""),
	);
	await stub.found([member(alice.account, 11), member(bob.account, 21)]);
	return { stub, alice, bob };
}

/** A device's end of a socket. */
export class TestSocket {
	readonly #socket: WebSocket;
	readonly #frames: string[] = [];
	readonly #waiting: ((frame: string) => void)[] = [];
	readonly closed: Promise<number>;

	constructor(socket: WebSocket) {
		this.#socket = socket;
		this.closed = new Promise((resolve) => socket.addEventListener("close", (event) => resolve(event.code)));
		socket.binaryType = "arraybuffer";
		socket.addEventListener("message", (event: MessageEvent) => {
			const data: unknown = event.data;
			const frame = data instanceof ArrayBuffer ? describe(new Uint8Array(data)) : String(data);
			const waiting = this.#waiting.shift();
			if (waiting === undefined) this.#frames.push(frame);
			else waiting(frame);
		});
		socket.accept();
	}

	static async open(stub: DurableObjectStub, { account, device }: Address): Promise<TestSocket> {
		const { webSocket } = await upgrade(stub, account, device);
		if (webSocket === null) throw new Error("no socket");
		return new TestSocket(webSocket);
	}

	/** Opens, says hello and reads the welcome and the end of the catch-up of an empty log. */
	static async ready(stub: DurableObjectStub, address: Address, cursor = 0): Promise<TestSocket> {
		const socket = await TestSocket.open(stub, address);
		socket.send(up({ case: "hello", value: { protocolVersion: 1, cursor } }));
		return socket;
	}

	send(data: Uint8Array | string): void {
		this.#socket.send(data);
	}

	close(code?: number): void {
		this.#socket.close(code);
	}

	/** What has come and was not taken. */
	get unread(): readonly string[] {
		return this.#frames;
	}

	next(): Promise<string> {
		const frame = this.#frames.shift();
		return frame === undefined ? new Promise((resolve) => this.#waiting.push(resolve)) : Promise.resolve(frame);
	}

	async take(count: number): Promise<string[]> {
		const frames: string[] = [];
		while (frames.length < count) frames.push(await this.next());
		return frames;
	}
}

/** Asks for an upgrade as the api does. */
export function upgrade(
	stub: DurableObjectStub,
	account: string,
	device: number,
	headers: Record<string, string> = { upgrade: "websocket" },
) {
	return stub.fetch("https://conversation/socket", {
		headers: { [ACCOUNT_HEADER]: account, [DEVICE_HEADER]: String(device), ...headers },
	});
}
