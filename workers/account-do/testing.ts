/** What the tests of this room share: accounts with prekeys, and a device's end of the always-on socket. */

import { env } from "cloudflare:workers";
import { create, fromBinary, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { type AccountDown, AccountDownSchema, AccountUpSchema } from "../../protocol/gen/account_pb.js";
import { ErrorCode } from "../../protocol/gen/common_pb.js";
import type { PreKeyUpload } from "../../protocol/http.ts";
import { ACCOUNT_HEADER, DEVICE_HEADER } from "../conversation-do/interface.ts";
import type { AccountInterface } from "./interface.ts";

/** A frame of the protocol, or the runtime's answer to "ping". */
type Arrived = AccountDown["frame"] | string;
type UpFrame = NonNullable<MessageInitShape<typeof AccountUpSchema>["frame"]>;

/** `count` one-time keys of each kind with ids from `from`, and the two that stay. */
export function prekeys(from: number, count: number): Required<PreKeyUpload> {
	const ids = Array.from({ length: count }, (_, index) => from + index);
	return {
		signedPreKey: { id: 1, key: "signed", signature: "s" },
		lastResortKyberPreKey: { id: 1, key: "last-resort", signature: "s" },
		oneTimePreKeys: ids.map((id) => ({ id, key: `ec-${id}` })),
		oneTimeKyberPreKeys: ids.map((id) => ({ id, key: `kyber-${id}`, signature: "s" })),
	};
}

/** A new account with device 1 and that many one-time keys. */
export async function newAccount(count = 30) {
	const id = crypto.randomUUID();
	const stub = env.ACCOUNT.getByName(id);
	await stub.addDevice(1, prekeys(1, count));
	return { id, stub };
}

/** A new conversation with somebody. */
export function newConversation() {
	const conversation = Array.from(crypto.getRandomValues(new Uint8Array(32)), (byte) =>
		byte.toString(16).padStart(2, "0"),
	).join("");
	return { conversation, peer: crypto.randomUUID() as string };
}

/** A new conversation with somebody, of which the account is a member. */
export async function joinConversation(stub: AccountInterface) {
	const reference = newConversation();
	await stub.joined(reference);
	return reference;
}

/** Asks for an upgrade as the api does. */
export function upgrade(id: string, device: number, headers: Record<string, string> = { upgrade: "websocket" }) {
	return env.ACCOUNT.getByName(id).fetch("https://account/socket", {
		headers: { [ACCOUNT_HEADER]: id, [DEVICE_HEADER]: String(device), ...headers },
	});
}

/** A device's end. `next` waits for the next frame, `closed` for the end. */
export class TestSocket {
	readonly #socket: WebSocket;
	readonly #frames: Arrived[] = [];
	readonly #waiting: ((frame: Arrived) => void)[] = [];
	readonly closed: Promise<number>;

	constructor(socket: WebSocket) {
		this.#socket = socket;
		this.closed = new Promise((resolve) => socket.addEventListener("close", (event) => resolve(event.code)));
		socket.addEventListener("message", (event: MessageEvent) => {
			const data: unknown = event.data;
			const frame =
				data instanceof ArrayBuffer ? fromBinary(AccountDownSchema, new Uint8Array(data)).frame : String(data);
			const waiting = this.#waiting.shift();
			if (waiting === undefined) this.#frames.push(frame);
			else waiting(frame);
		});
		socket.binaryType = "arraybuffer";
		socket.accept();
	}

	static async open(id: string, device = 1): Promise<TestSocket> {
		const { webSocket } = await upgrade(id, device);
		if (webSocket === null) throw new Error("no socket");
		return new TestSocket(webSocket);
	}

	/** Opens and says hello. */
	static async ready(id: string, device = 1): Promise<TestSocket> {
		const socket = await TestSocket.open(id, device);
		socket.send({ case: "hello", value: { protocolVersion: 1 } });
		return socket;
	}

	send(frame: UpFrame): void {
		this.sendRaw(toBinary(AccountUpSchema, create(AccountUpSchema, { frame })));
	}

	sendRaw(bytes: Uint8Array | string): void {
		this.#socket.send(bytes);
	}

	close(code?: number): void {
		this.#socket.close(code);
	}

	/** The next frame in a short form that is easy to compare. */
	async next(): Promise<string> {
		const arrived = this.#frames.shift();
		const frame = arrived ?? (await new Promise<Arrived>((resolve) => this.#waiting.push(resolve)));
		return typeof frame === "string" ? frame : describe(frame);
	}

	/** The next `count` frames. */
	async take(count: number): Promise<string[]> {
		const frames: string[] = [];
		while (frames.length < count) frames.push(await this.next());
		return frames;
	}
}

function describe(frame: AccountDown["frame"]): string {
	switch (frame.case) {
		case "news":
			return `news ${frame.value.upTo}`;
		case "newsEnd":
			return "end";
		case "prekeyCounts":
			return `counts ${frame.value.oneTimeEc} ${frame.value.oneTimeKyber}`;
		case "refused":
			return `refused ${ErrorCode[frame.value.code]} ${frame.value.limit}${
				frame.value.retryAfterMs === 0 ? "" : `, again after ${frame.value.retryAfterMs}`
			}`;
		case undefined:
			return "nothing";
		default:
			return frame satisfies never;
	}
}
