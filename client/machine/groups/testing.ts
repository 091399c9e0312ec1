/** Many devices in one group, in memory, over the test server. */
import { copyFileSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { toBinary } from "@bufbuild/protobuf";
import { ConversationUpSchema } from "../../../protocol/gen/conversation_up_pb.js";
import type { Intention } from "../../groups/intention.ts";
import { addOneTimePreKeys, identityKeyPair, rotatePreKeys } from "../../signal/keys.ts";
import { completeRegistration, makeRegistration } from "../../signal/registration.ts";
import { writeMeta } from "../../store/account.ts";
import { Store } from "../../store/database.ts";
import { history } from "../../store/queries.ts";
import type { MachineEvent, MachineRequest, Notice } from "../interface.ts";
import { ClientMachine } from "../machine.ts";
import { type Address, GroupServer } from "./testing_server.ts";

const KEY = new Uint8Array(32).fill(7);
export const GROUP = "ab".repeat(32);

/** An account id for a letter. */
export function account(letter: string): string {
	const digit = letter.charCodeAt(0).toString(16).padStart(2, "0");
	return `${digit.repeat(4)}-0000-4000-8000-0000000000${digit}`;
}

export class GroupDevice implements Address {
	readonly account: string;
	readonly device: number;
	readonly path: string;
	readonly world: GroupWorld;
	notices: Notice[] = [];
	inbox: MachineEvent[] = [];
	open = new Set<string>();
	/** Events in one step. */
	batch = 100;
	store: Store;
	machine: ClientMachine;

	constructor(world: GroupWorld, at: Address, sister?: GroupDevice) {
		this.world = world;
		this.account = at.account;
		this.device = at.device;
		this.path = join(world.folder, `${at.account}.${at.device}.${world.devices.length}.db`);
		this.store = Store.open(this.path, KEY);
		if (sister !== undefined) adopt(this.store, sister, world.nowMs);
		const request = makeRegistration(this.store, `user_${at.account.slice(0, 8)}`, "http://server", world.nowMs);
		world.server.register(at, request);
		completeRegistration(this.store, { accountId: at.account, deviceId: at.device });
		this.machine = new ClientMachine(this.store, world.environment);
	}

	/** As after a kill. */
	restart(): void {
		this.store.close();
		this.store = Store.open(this.path, KEY);
		this.machine = new ClientMachine(this.store, this.world.environment);
		this.inbox = [];
		this.open.clear();
	}

	/** A copy of the file as it is now; what it returns puts that back. */
	backUp(): () => void {
		this.store.run("PRAGMA wal_checkpoint(TRUNCATE)");
		copyFileSync(this.path, `${this.path}.old`);
		return () => {
			this.store.close();
			copyFileSync(`${this.path}.old`, this.path);
			this.store = Store.open(this.path, KEY);
			this.restart();
		};
	}

	/** The file once more, for another installation to take the account from. */
	restarted(): GroupDevice {
		this.store = Store.open(this.path, KEY);
		return this;
	}

	connect(): void {
		this.open.add(GROUP);
		this.inbox.push({ type: "conversation-opened", peer: GROUP });
	}

	disconnect(): void {
		this.open.delete(GROUP);
		this.inbox = [{ type: "conversation-closed", peer: GROUP }];
	}

	text(body: string): string {
		const id = this.machine.newMessageId();
		this.inbox.push({ type: "send-text", id, peer: GROUP, body });
		return id;
	}

	want(intention: Intention): string {
		const id = this.machine.newMessageId();
		this.inbox.push({ type: "change-group", id, peer: GROUP, intention });
		return id;
	}

	/** What a person reads. */
	read(): (string | undefined)[] {
		return history(this.store, GROUP, 10_000).map(({ body }) => body);
	}

	/** Notices of one type. */
	told<Type extends Notice["type"]>(type: Type): Extract<Notice, { type: Type }>[] {
		return this.notices.filter((notice): notice is Extract<Notice, { type: Type }> => notice.type === type);
	}
}

/** What a new device takes over from a sister, and what it makes itself. */
function adopt(store: Store, sister: GroupDevice, nowMs: number): void {
	store.transaction(() => {
		writeMeta(store, "identity_key_pair", identityKeyPair(sister.store).serialize());
		writeMeta(store, "registration_id", 1 + ((Number(nowMs) + sister.world.devices.length) % 16_000));
		writeMeta(store, "device_secret", "s".repeat(43));
		rotatePreKeys(store, nowMs);
		addOneTimePreKeys(store, nowMs, { ec: true, kyber: true });
	});
}

export class GroupWorld {
	readonly folder = mkdtempSync(join(tmpdir(), "parley-groups-"));
	readonly server = new GroupServer();
	readonly devices: GroupDevice[] = [];
	nowMs = Date.UTC(2026, 10, 1);
	/** Which requests are held back until `release`; set by tests. */
	holds: (device: GroupDevice, request: MachineRequest) => boolean = () => false;
	#held: { device: GroupDevice; request: MachineRequest }[] = [];
	#random = 0;
	readonly environment = {
		nowMs: () => this.nowMs,
		randomBytes: (count: number) =>
			new Uint8Array(count).map(() => (this.#random = (this.#random * 1_103 + 12_345) % 65_537)),
	};

	add(letter: string, device = 1, sister?: GroupDevice): GroupDevice {
		const one = new GroupDevice(this, { account: account(letter), device }, sister);
		const index = this.devices.findIndex((other) => other.account === one.account && other.device === device);
		if (index >= 0) this.devices.splice(index, 1);
		this.devices.push(one);
		return one;
	}

	/** The first one founds a group of all; everybody is connected. */
	async found(...devices: GroupDevice[]): Promise<void> {
		const [first] = devices;
		const members = [...new Set(devices.map((one) => one.account))].filter((one) => one !== first?.account);
		first?.inbox.push({
			type: "create-group",
			id: first.machine.newMessageId(),
			peer: GROUP,
			title: "friends",
			description: "",
			seed: "A".repeat(43),
			members,
		});
		await this.settle();
		for (const device of devices) if (!device.open.has(GROUP)) device.connect();
		await this.settle();
	}

	/** Carries out everything until nothing is left; with `only`, of one device. */
	async settle(only?: GroupDevice): Promise<void> {
		for (let round = 0; round < 5_000; round++) {
			const device = this.devices.find((one) => one.inbox.length > 0 && (only ?? one) === one);
			if (device === undefined) return;
			const requests = await device.machine.step(device.inbox.splice(0, device.batch));
			for (const request of requests) {
				if (this.holds(device, request)) this.#held.push({ device, request });
				else this.#carryOut(device, request);
			}
		}
		throw new Error("the machines do not come to rest");
	}

	/** Carries out what was held back. */
	async release(): Promise<void> {
		this.holds = () => false;
		for (const { device, request } of this.#held.splice(0)) this.#carryOut(device, request);
		await this.settle();
	}

	/** As the server, to whoever is connected. */
	readonly push = (to: Address, frame: Extract<MachineEvent, { type: "conversation-frame" }>["frame"]): void => {
		const device = this.devices.find((one) => one.account === to.account && one.device === to.device);
		if (device?.open.has(GROUP)) device.inbox.push({ type: "conversation-frame", peer: GROUP, frame });
	};

	#carryOut(device: GroupDevice, request: MachineRequest): void {
		switch (request.type) {
			case "open-conversation":
				if (!device.open.has(request.peer) && this.server.groups.has(request.peer)) device.connect();
				return;
			case "send-frame":
				if (!device.open.has(request.peer)) return;
				this.server.handle(device, request.peer, toBinary(ConversationUpSchema, request.frame), this.push);
				return;
			case "claim-prekeys": {
				const bundles = this.server.claim(request.account);
				device.inbox.push({ type: "prekeys-claimed", account: request.account, bundles });
				return;
			}
			case "call-group":
				device.inbox.push(this.server.call(device, request.peer, request.id, request.call, this.push));
				return;
			case "notify":
				device.notices.push(request.notice);
				return;
			case "wake":
			case "tick-at":
			case "send-account-frame":
			case "upload-prekeys":
				return;
			default:
				request satisfies never;
		}
	}

	close(): void {
		for (const device of this.devices) device.store.close();
		rmSync(this.folder, { recursive: true, force: true });
	}
}
