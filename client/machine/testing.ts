/** For tests of this directory: devices with machines and files, and a world of two of them on a small server. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { create, toBinary } from "@bufbuild/protobuf";
import { type ConversationDown, ConversationDownSchema } from "../../protocol/gen/conversation_down_pb.js";
import { ConversationUpSchema } from "../../protocol/gen/conversation_up_pb.js";
import type { Draft, Wish } from "../messages/wishes.ts";
import { completeRegistration, makeRegistration } from "../signal/registration.ts";
import { setPrivacySwitch } from "../store/account.ts";
import { Store } from "../store/database.ts";
import type { MachineEnvironment, MachineEvent, MachineRequest, Notice } from "./interface.ts";
import { ClientMachine } from "./machine.ts";
import { TestServer } from "./testing_server.ts";

/** Of all devices' files. */
export const KEY = new Uint8Array(32).fill(7);

/** One device with its file, and the events that wait for it. */
export class TestDevice {
	readonly account: string;
	readonly path: string;
	readonly server: TestServer;
	readonly environment: MachineEnvironment;
	readonly notices: Notice[] = [];
	/** What the machine asked for and the test did not want carried out. */
	readonly requests: MachineRequest[] = [];
	store: Store;
	machine: ClientMachine;
	inbox: MachineEvent[] = [];
	/** Conversations with an open socket. */
	open = new Set<string>();
	/** Events in one step. */
	batch = 100;

	constructor(folder: string, account: string, server: TestServer, environment: MachineEnvironment) {
		this.account = account;
		this.server = server;
		this.environment = environment;
		this.path = join(folder, `${account}.db`);
		this.store = Store.open(this.path, KEY);
		const request = makeRegistration(this.store, `user_${account.slice(0, 8)}`, "http://server", environment.nowMs());
		server.register(account, request);
		completeRegistration(this.store, { accountId: account, deviceId: 1 });
		// Tests of requests switch them on.
		setPrivacySwitch(this.store, "message_requests", false);
		this.machine = new ClientMachine(this.store, environment);
	}

	/** As after a kill: memory and sockets are gone, the file stays. */
	restart(): void {
		this.store.close();
		this.store = Store.open(this.path, KEY);
		this.machine = new ClientMachine(this.store, this.environment);
		this.inbox = [];
		this.open.clear();
	}
}

/** Carries out everything until nothing is left. `reopen`: as a runner does after a start. */
export async function settle(devices: readonly TestDevice[], only?: TestDevice): Promise<void> {
	for (let round = 0; round < 1_000; round++) {
		const device = devices.find((candidate) => candidate.inbox.length > 0 && (only ?? candidate) === candidate);
		if (device === undefined) return;
		const requests = await device.machine.step(device.inbox.splice(0, device.batch));
		for (const request of requests) carryOut(device, request, devices);
	}
	throw new Error("the machines do not come to rest");
}

function carryOut(device: TestDevice, request: MachineRequest, devices: readonly TestDevice[]): void {
	const { server, account } = device;
	switch (request.type) {
		case "open-conversation":
			if (device.open.has(request.peer)) return;
			device.open.add(request.peer);
			device.inbox.push({ type: "conversation-opened", peer: request.peer });
			return;
		case "send-frame": {
			if (!device.open.has(request.peer)) return;
			server.handle(account, toBinary(ConversationUpSchema, request.frame), (to, frame) => {
				const receiver = devices.find((candidate) => candidate.account === to);
				const peer = to === account ? request.peer : account;
				if (receiver?.open.has(peer)) receiver.inbox.push({ type: "conversation-frame", peer, frame });
			});
			return;
		}
		case "claim-prekeys":
			device.inbox.push({
				type: "prekeys-claimed",
				account: request.account,
				bundles: server.claim(request.account),
			});
			return;
		case "notify":
			device.notices.push(request.notice);
			return;
		case "wake":
		case "tick-at":
		case "send-account-frame":
		case "upload-prekeys":
			device.requests.push(request);
			return;
	}
}

/** What the server says to one of the two in their conversation. */
export function says(peer: string, frame: ConversationDown["frame"]): MachineEvent {
	return { type: "conversation-frame", peer, frame: create(ConversationDownSchema, { frame }) };
}

export const ALICE = "0a000000-0000-4000-8000-00000000000a";
export const BOB = "0b000000-0000-4000-8000-00000000000b";

/** Alice and Bob on one server; `close` removes their files. */
export class TestWorld {
	readonly folder = mkdtempSync(join(tmpdir(), "parley-machine-"));
	nowMs = Date.UTC(2026, 10, 1);
	readonly server = new TestServer(() => this.nowMs);
	#random = 0;
	readonly environment: MachineEnvironment = {
		nowMs: () => this.nowMs,
		randomBytes: (count) => new Uint8Array(count).map(() => (this.#random = (this.#random * 1_103 + 12_345) % 65_537)),
	};
	readonly alice = new TestDevice(this.folder, ALICE, this.server, this.environment);
	readonly bob = new TestDevice(this.folder, BOB, this.server, this.environment);

	/** Both are connected, have sessions, and have said hello. */
	static async talking(): Promise<TestWorld> {
		const world = new TestWorld();
		world.connect(world.alice);
		world.connect(world.bob);
		world.text(world.alice, "hello");
		await world.settle();
		world.text(world.bob, "hi");
		await world.settle();
		return world;
	}

	/** Until nothing is left to do; of one device alone if it is named: what it causes at the other waits there. */
	async settle(only?: TestDevice): Promise<void> {
		await settle([this.alice, this.bob], only);
	}

	/** Queues a text. */
	text(from: TestDevice, body: string): string {
		const id = from.machine.newMessageId();
		from.inbox.push({ type: "send-text", id, peer: from.account === ALICE ? BOB : ALICE, body });
		return id;
	}

	/** Sends more than a plain text. */
	draft(from: TestDevice, draft: Draft): string {
		const id = from.machine.newMessageId();
		from.inbox.push({ type: "send-message", id, peer: from.account === ALICE ? BOB : ALICE, draft });
		return id;
	}

	/** Does something with a message, or with the conversation. */
	wish(from: TestDevice, wish: Wish): string {
		const id = from.machine.newMessageId();
		from.inbox.push({ type: "do", id, peer: from.account === ALICE ? BOB : ALICE, wish });
		return id;
	}

	/** Opens the device's conversation socket anew. */
	connect(device: TestDevice): void {
		const peer = device.account === ALICE ? BOB : ALICE;
		device.open.add(peer);
		device.inbox.push({ type: "conversation-opened", peer });
	}

	close(): void {
		this.alice.store.close();
		this.bob.store.close();
		rmSync(this.folder, { recursive: true, force: true });
	}
}
