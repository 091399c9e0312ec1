/** A tiny server of groups for tests: logs, rosters and prekeys, all in memory. It believes what it is told. */
import { create, fromBinary } from "@bufbuild/protobuf";
import { EnvelopeKind, ErrorCode } from "../../../protocol/gen/common_pb.js";
import {
	type ConversationDown,
	ConversationDownSchema,
	MissedEntrySchema,
	MissedSchema,
} from "../../../protocol/gen/conversation_down_pb.js";
import { ConversationUpSchema, type Send } from "../../../protocol/gen/conversation_up_pb.js";
import type { PreKeyBundles, PreKeyUpload, RegisterRequest } from "../../../protocol/http.ts";
import { toHex, uuidFromBytes, uuidToBytes } from "../../../protocol/ids.ts";
import type { MachineEvent } from "../interface.ts";
import { changeOf, type GroupCall } from "./building.ts";

export interface Address {
	account: string;
	device: number;
}

interface Listed extends Address {
	registrationId: number;
	identityKey: string;
	keys: PreKeyUpload;
}

interface Logged {
	number: number;
	id: string;
	sender: Address;
	/** `account.device.registration` of the roster when it came. */
	addressed: Set<string>;
	send: Send | undefined;
	change: Uint8Array<ArrayBuffer> | undefined;
}

export interface ServerGroup {
	version: number;
	state: string;
	members: string[];
	requests: string[];
	log: Logged[];
	rosterVersion: number;
	/** Known devices, `account.device.registration`, for which the roster version stands. */
	roster: Set<string>;
	marks: Map<string, { delivered: number; read: number }>;
}

type Push = (to: Address, frame: ConversationDown) => void;

export class GroupServer {
	readonly devices = new Map<string, Listed>();
	readonly groups = new Map<string, ServerGroup>();
	/** Ciphertexts go when they are acknowledged (rules KEPT-1, RETRY-3), or else stay. */
	wipes = false;
	/** Sends that were refused for their roster. */
	refusals = 0;
	/** Frames with envelopes and messages by this name are lost, as if the line broke; set by tests. */
	drop: (send: Send, sender: Address) => boolean = () => false;
	/** Changes a bundle before it is handed out. */
	onClaim: (account: string, bundles: PreKeyBundles) => PreKeyBundles = (_account, bundles) => bundles;

	register({ account, device }: Address, request: RegisterRequest): void {
		const { oneTimePreKeys, oneTimeKyberPreKeys, signedPreKey, lastResortKyberPreKey, registrationId } = request;
		const keys = structuredClone({ oneTimePreKeys, oneTimeKyberPreKeys, signedPreKey, lastResortKyberPreKey });
		this.devices.set(nameOf({ account, device }), {
			account,
			device,
			registrationId,
			identityKey: request.identityKey,
			keys,
		});
	}

	claim(account: string): PreKeyBundles | undefined {
		const listed = [...this.devices.values()].filter((one) => one.account === account);
		const devices = listed.flatMap(({ device, registrationId, keys }) => {
			const { signedPreKey } = keys;
			const oneTimePreKey = keys.oneTimePreKeys.shift();
			const kyberPreKey = keys.oneTimeKyberPreKeys.shift() ?? keys.lastResortKyberPreKey;
			if (signedPreKey === undefined || kyberPreKey === undefined) return [];
			const optional = oneTimePreKey === undefined ? {} : { oneTimePreKey };
			return [{ deviceId: device, registrationId, signedPreKey, kyberPreKey, ...optional }];
		});
		const identityKey = listed[0]?.identityKey;
		return identityKey === undefined ? undefined : this.onClaim(account, { identityKey, devices });
	}

	group(peer: string): ServerGroup {
		const group = this.groups.get(peer);
		if (group === undefined) throw new Error("no such group");
		return group;
	}

	call(by: Address, peer: string, id: string, call: GroupCall, push: Push): MachineEvent {
		const refused = (code: string, limit?: number): MachineEvent => ({ type: "group-refused", peer, id, code, limit });
		if (call.do === "fetch") {
			const group = this.groups.get(peer);
			if (group === undefined) return { type: "group-fetched", peer, group: undefined };
			const { version, state, requests } = group;
			return { type: "group-fetched", peer, group: { version, state, requests } };
		}
		if (call.do === "create" && !this.groups.has(peer)) {
			const members = [by.account, ...call.body.members.map(({ accountId }) => accountId)];
			const log: Logged[] = [];
			const empty = { version: 0, state: "", members, requests: [], log, rosterVersion: 0, roster: new Set<string>() };
			this.groups.set(peer, { ...empty, marks: new Map() });
		}
		const group = this.group(peer);
		if (call.do === "leave") {
			if (!group.members.includes(by.account)) return refused("not_found");
			group.members = group.members.filter((one) => one !== by.account);
			this.refreshRoster(peer, push);
			return { type: "group-answered", peer, id, answer: { number: 0, version: 0, unreachable: [] } };
		}
		const known = group.log.find((entry) => entry.id === id);
		if (known !== undefined) {
			return {
				type: "group-answered",
				peer,
				id,
				answer: { number: known.number, version: group.version, unreachable: [] },
			};
		}
		if (call.do === "request") {
			group.requests.push(by.account);
			return { type: "group-answered", peer, id, answer: { number: 0, version: 0, unreachable: [] } };
		}
		const { body } = call;
		const version = "version" in body ? body.version : 1;
		if (version !== group.version + 1) return refused("group_conflict", group.version);
		if ("version" in body) {
			if (!group.members.includes(by.account) && body.linkSecret === undefined) return refused("not_found");
			const gone = body.removed ?? [];
			group.members = group.members.filter((account) => !gone.includes(account));
			group.members.push(...(body.added ?? []).map(({ accountId }) => accountId));
		}
		group.version = version;
		group.state = body.state;
		this.refreshRoster(peer, push);
		const entry = this.append(peer, id, by, undefined, changeOf(call));
		this.#deliverAll(peer, entry, push, undefined);
		return { type: "group-answered", peer, id, answer: { number: entry.number, version, unreachable: [] } };
	}

	/** Brings the roster up to the members and their devices, and tells who is connected. */
	refreshRoster(peer: string, push: Push): void {
		const group = this.group(peer);
		const now = new Map(
			[...this.devices.values()]
				.filter(({ account }) => group.members.includes(account))
				.map((one) => [fullName(one), one]),
		);
		const added = [...now.keys()].filter((name) => !group.roster.has(name));
		const removed = [...group.roster].filter((name) => !now.has(name));
		if (added.length + removed.length === 0) return;
		group.rosterVersion++;
		const before = group.roster;
		group.roster = new Set(now.keys());
		const value = {
			$typeName: "parley.v1.RosterChange" as const,
			version: group.rosterVersion,
			added: added.map(addressOf),
			removed: removed.map(addressOf),
			membersAdded: group.members.map(uuidToBytes),
			membersRemoved: removed
				.map((name) => uuidToBytes(name.split(".")[0] ?? ""))
				.filter((bytes) => !group.members.includes(uuidFromBytes(bytes))),
		};
		for (const name of group.roster) if (before.has(name)) push(parse(name), down({ case: "rosterChange", value }));
		for (const name of removed) push(parse(name), refusal(ErrorCode.NOT_ON_ROSTER));
	}

	/** Puts a change into the log and hands it to everybody. */
	deliver(peer: string, id: string, sender: Address, change: Uint8Array<ArrayBuffer>, push: Push): void {
		this.#deliverAll(peer, this.append(peer, id, sender, undefined, change), push, undefined);
	}

	append(
		peer: string,
		id: string,
		sender: Address,
		send: Send | undefined,
		change: Uint8Array<ArrayBuffer> | undefined,
	): Logged {
		const group = this.group(peer);
		const entry = { number: group.log.length + 1, id, sender, addressed: new Set(group.roster), send, change };
		group.log.push(entry);
		return entry;
	}

	handle(from: Address, peer: string, bytes: Uint8Array, push: Push): void {
		const group = this.group(peer);
		const { frame } = fromBinary(ConversationUpSchema, bytes);
		const listed = this.devices.get(nameOf(from));
		if (listed === undefined || !group.roster.has(fullName(listed))) {
			push(from, refusal(ErrorCode.NOT_ON_ROSTER));
			return;
		}
		switch (frame.case) {
			case "hello": {
				const head = group.log.length;
				if (frame.value.cursor > head) {
					push(from, refusal(ErrorCode.CURSOR_BEYOND_HEAD, undefined, head));
					return;
				}
				const roster = frame.value.rosterVersion === group.rosterVersion ? {} : { roster: this.#roster(group) };
				const watermarks = [...group.marks].map(([name, mark]) => watermark(name, mark));
				push(
					from,
					down({
						case: "welcome",
						value: {
							$typeName: "parley.v1.Welcome",
							head,
							serverTimeMs: 1n,
							watermarks,
							blocking: false,
							online: [],
							...roster,
						},
					}),
				);
				for (const entry of group.log) {
					if (entry.number <= frame.value.cursor) continue;
					if (this.wipes && entry.number <= (group.marks.get(nameOf(from))?.delivered ?? 0)) missed(from, entry, push);
					else this.#deliver(from, entry, push);
				}
				push(from, down({ case: "caughtUp", value: { $typeName: "parley.v1.CaughtUp", head } }));
				this.#mark(peer, from, { delivered: frame.value.cursor, read: 0 }, push);
				return;
			}
			case "send":
				if (!this.drop(frame.value, from)) this.#send(from, peer, frame.value, push);
				return;
			case "acknowledge":
				this.#mark(peer, from, { delivered: frame.value.cursor, read: 0 }, push);
				return;
			case "read":
				this.#mark(peer, from, { delivered: 0, read: frame.value.upTo }, push);
				return;
			case "watermarks":
			case "typing":
			case undefined:
				return;
		}
	}

	#send(from: Address, peer: string, send: Send, push: Push): void {
		const group = this.group(peer);
		const id = uuidFromBytes(send.messageId);
		const known = group.log.find((entry) => entry.id === id);
		if (known === undefined && send.rosterVersion !== group.rosterVersion) {
			this.refusals++;
			push(from, down({ case: "roster", value: this.#roster(group) }));
			push(from, refusal(ErrorCode.STALE_ROSTER, send.messageId));
			return;
		}
		if (known !== undefined && toHex(known.send?.shared ?? new Uint8Array()) !== toHex(send.shared)) {
			throw new Error("the same id with other bytes");
		}
		const bytes = send.envelopes.reduce((sum, { ciphertext }) => sum + ciphertext.length, send.shared.length);
		if (bytes > 96 * 1024) throw new Error("a message that is too large");
		const entry = known ?? this.append(peer, id, from, send, undefined);
		const accepted = { messageId: send.messageId, number: entry.number, serverTimeMs: BigInt(entry.number) };
		push(from, down({ case: "accepted", value: { $typeName: "parley.v1.Accepted", ...accepted } }));
		if (known === undefined) this.#deliverAll(peer, entry, push, from);
	}

	#deliverAll(peer: string, entry: Logged, push: Push, except: Address | undefined): void {
		for (const name of this.group(peer).roster) {
			const to = parse(name);
			if (except === undefined || nameOf(to) !== nameOf(except)) this.#deliver(to, entry, push);
		}
	}

	#deliver(to: Address, entry: Logged, push: Push): void {
		const listed = this.devices.get(nameOf(to));
		const own = nameOf(entry.sender) === nameOf(to) && entry.send !== undefined;
		if (listed === undefined || own || !entry.addressed.has(fullName(listed))) return;
		const part = partOf(entry, listed);
		if (part === undefined) return;
		const value = {
			$typeName: "parley.v1.Entry" as const,
			number: entry.number,
			serverTimeMs: BigInt(entry.number),
			messageId: uuidToBytes(entry.id),
			senderAccount: uuidToBytes(entry.sender.account),
			senderDevice: entry.sender.device,
			...part,
		};
		push(to, down({ case: "entry", value }));
	}

	#roster({ rosterVersion, roster, members }: ServerGroup) {
		const devices = [...roster].map(addressOf);
		return {
			$typeName: "parley.v1.Roster" as const,
			version: rosterVersion,
			devices,
			members: members.map(uuidToBytes),
		};
	}

	#mark(peer: string, from: Address, mark: { delivered: number; read: number }, push: Push): void {
		const { marks, roster } = this.group(peer);
		const before = marks.get(nameOf(from)) ?? { delivered: 0, read: 0 };
		const delivered = Math.max(before.delivered, mark.delivered);
		const read = Math.max(before.read, mark.read);
		if (delivered === before.delivered && read === before.read) return;
		marks.set(nameOf(from), { delivered, read });
		for (const name of roster)
			push(parse(name), down({ case: "watermark", value: watermark(nameOf(from), { delivered, read }) }));
	}
}

function missed(to: Address, { number, id, sender }: Logged, push: Push): void {
	if (nameOf(sender) === nameOf(to)) return;
	const named = { number, messageId: uuidToBytes(id), senderDevice: sender.device };
	const entry = create(MissedEntrySchema, { ...named, senderAccount: uuidToBytes(sender.account) });
	push(to, down({ case: "missed", value: create(MissedSchema, { from: number, to: number, entries: [entry] }) }));
}

function partOf(entry: Logged, { account, device, registrationId }: Listed) {
	if (entry.change !== undefined) return { kind: EnvelopeKind.CHANGE, ciphertext: entry.change };
	const shared = entry.send?.shared ?? new Uint8Array(0);
	if (shared.length > 0) return { kind: EnvelopeKind.SENDER_KEY, ciphertext: shared };
	const envelope = entry.send?.envelopes.find(
		({ to }) => to?.device === device && uuidFromBytes(to.account) === account && to.registrationId === registrationId,
	);
	return envelope === undefined ? undefined : { kind: envelope.kind, ciphertext: envelope.ciphertext };
}

function nameOf({ account, device }: Address): string {
	return `${account}.${device}`;
}

function fullName(one: Address & { registrationId: number }): string {
	return `${nameOf(one)}.${one.registrationId}`;
}

function parse(name: string): Address {
	const [account = "", device = "0"] = name.split(".");
	return { account, device: Number(device) };
}

function addressOf(name: string) {
	const [account = "", device = "0", registration = "0"] = name.split(".");
	return {
		$typeName: "parley.v1.DeviceAddress" as const,
		account: uuidToBytes(account),
		device: Number(device),
		registrationId: Number(registration),
	};
}

function watermark(name: string, mark: { delivered: number; read: number }) {
	const { account, device } = parse(name);
	return { $typeName: "parley.v1.Watermark" as const, account: uuidToBytes(account), device, after: 0, ...mark };
}

function refusal(code: ErrorCode, messageId: Uint8Array = new Uint8Array(0), limit = 0): ConversationDown {
	const value = { $typeName: "parley.v1.Refused" as const, code, messageId, limit, retryAfterMs: 0 };
	return down({ case: "refused", value });
}

function down(frame: ConversationDown["frame"]): ConversationDown {
	return create(ConversationDownSchema, { frame });
}
