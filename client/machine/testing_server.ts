/** A tiny server for tests: one log per conversation with numbers, repeats and prekeys, all in memory. */
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { ErrorCode } from "../../protocol/gen/common_pb.js";
import {
	type ConversationDown,
	ConversationDownSchema,
	MissedEntrySchema,
	MissedSchema,
} from "../../protocol/gen/conversation_down_pb.js";
import { type ConversationUp, ConversationUpSchema, type Send } from "../../protocol/gen/conversation_up_pb.js";
import type { PreKeyBundles, PreKeyUpload, RegisterRequest } from "../../protocol/http.ts";
import { toHex, uuidFromBytes, uuidToBytes } from "../../protocol/ids.ts";

interface Logged {
	number: number;
	send: Send;
	sender: string;
	timeMs: number;
	/** Its sender has taken it back. */
	withdrawn?: boolean;
}

interface Listed {
	registrationId: number;
	identityKey: string;
	keys: PreKeyUpload;
}

/** Two accounts with a device each. */
export class TestServer {
	readonly log: Logged[] = [];
	readonly devices = new Map<string, Listed>();
	rosterVersion = 1;
	/** The server's clock. */
	readonly now: () => number;
	/** Changes what goes down to an account; returns undefined to lose the frame. */
	onEntry: (account: string, entry: Logged) => Logged | undefined = (_account, entry) => entry;
	/** Ciphertexts go when they are acknowledged (rules KEPT-1, RETRY-3), or else stay. */
	wipes = false;
	/** Accounts that block the other one. */
	readonly blocks = new Set<string>();
	/** What devices of other accounts acknowledged and read. */
	readonly acknowledged = new Map<string, number>();
	readonly read = new Map<string, number>();

	constructor(now: () => number) {
		this.now = now;
	}

	register(account: string, request: RegisterRequest): void {
		const { oneTimePreKeys, oneTimeKyberPreKeys, signedPreKey, lastResortKyberPreKey } = request;
		this.devices.set(account, {
			registrationId: request.registrationId,
			identityKey: request.identityKey,
			keys: structuredClone({ oneTimePreKeys, oneTimeKyberPreKeys, signedPreKey, lastResortKyberPreKey }),
		});
	}

	claim(account: string): PreKeyBundles | undefined {
		const listed = this.devices.get(account);
		if (listed?.keys.signedPreKey === undefined) return undefined;
		const oneTimePreKey = listed.keys.oneTimePreKeys.shift();
		const kyberPreKey = listed.keys.oneTimeKyberPreKeys.shift() ?? listed.keys.lastResortKyberPreKey;
		if (kyberPreKey === undefined) return undefined;
		const device = {
			deviceId: 1,
			registrationId: listed.registrationId,
			signedPreKey: listed.keys.signedPreKey,
			kyberPreKey,
			...(oneTimePreKey === undefined ? {} : { oneTimePreKey }),
		};
		return { identityKey: listed.identityKey, devices: [device] };
	}

	/** Handles a frame of one account's device; `others` gets what is pushed to everyone else. */
	handle(account: string, bytes: Uint8Array, push: (account: string, frame: ConversationDown) => void): void {
		const { frame, acknowledged } = fromBinary(ConversationUpSchema, bytes);
		if (acknowledged !== undefined) this.#watermark(account, this.acknowledged, acknowledged, push);
		switch (frame.case) {
			case "hello":
				if (Math.max(frame.value.cursor, frame.value.read) > this.log.length) {
					push(account, this.#beyondHead());
					return;
				}
				push(account, this.#welcome(account));
				for (const entry of this.log) {
					if (entry.number <= frame.value.cursor) continue;
					if (this.wipes && entry.number <= (this.acknowledged.get(account) ?? 0)) this.#missed(account, entry, push);
					else this.#deliver(account, entry, push);
				}
				push(account, down({ case: "caughtUp", value: { $typeName: "parley.v1.CaughtUp", head: this.log.length } }));
				if (!frame.value.quiet) this.#watermark(account, this.acknowledged, frame.value.cursor, push);
				this.#watermark(account, this.read, frame.value.read, push);
				return;
			case "send":
				this.#send(account, frame.value, push);
				return;
			case "acknowledge":
				if (!frame.value.quiet) this.#watermark(account, this.acknowledged, frame.value.cursor, push);
				return;
			case "read":
				this.#watermark(account, this.read, frame.value.upTo, push);
				return;
			case "withdraw":
				for (const entry of this.log) {
					if (toHex(entry.send.messageId) === toHex(frame.value.messageId)) entry.withdrawn = true;
				}
				push(
					account,
					down({ case: "withdrawn", value: { $typeName: "parley.v1.Withdrawn", messageId: frame.value.messageId } }),
				);
				return;
			case "block":
				if (frame.value.on) this.blocks.add(account);
				else this.blocks.delete(account);
				push(account, down({ case: "blocking", value: { $typeName: "parley.v1.Blocking", on: frame.value.on } }));
				return;
			case "typing":
			case "presence":
			case "watermarks":
			case undefined:
				return;
		}
	}

	#send(account: string, send: Send, push: (account: string, frame: ConversationDown) => void): void {
		const id = toHex(send.messageId);
		const known = this.log.find((entry) => toHex(entry.send.messageId) === id);
		if (known === undefined) {
			const difference = this.#difference(account, send);
			if (difference !== undefined) {
				push(account, difference);
				return;
			}
		} else if (!same(known.send, send)) {
			throw new Error("the same id with other bytes");
		}
		const entry = known ?? { number: this.log.length + 1, send, sender: account, timeMs: this.now() };
		if (known === undefined) this.log.push(entry);
		const accepted = { messageId: send.messageId, number: entry.number, serverTimeMs: BigInt(entry.timeMs) };
		push(account, down({ case: "accepted", value: { $typeName: "parley.v1.Accepted", ...accepted } }));
		if (known !== undefined) return;
		for (const other of this.devices.keys()) if (other !== account) this.#deliver(other, entry, push);
	}

	#difference(account: string, send: Send): ConversationDown | undefined {
		const reregistered = send.envelopes
			.map((envelope) => envelope.to)
			.filter((to) => to !== undefined)
			.filter((to) => this.devices.get(uuidFromBytes(to.account))?.registrationId !== to.registrationId)
			.map((to) => this.#address(uuidFromBytes(to.account)));
		const named = new Set(send.envelopes.map((envelope) => uuidFromBytes(envelope.to?.account ?? new Uint8Array(16))));
		const missing = [...this.devices.keys()]
			.filter((other) => other !== account && !named.has(other))
			.map((other) => this.#address(other));
		if (send.rosterVersion === this.rosterVersion && missing.length + reregistered.length === 0) return undefined;
		return down({
			case: "refused",
			value: {
				$typeName: "parley.v1.Refused",
				code: ErrorCode.STALE_ROSTER,
				messageId: send.messageId,
				limit: 0,
				retryAfterMs: 0,
				difference: {
					$typeName: "parley.v1.RosterDifference",
					version: this.rosterVersion,
					missing,
					gone: [],
					reregistered,
				},
			},
		});
	}

	#welcome(account: string): ConversationDown {
		const watermarks = [...this.devices.keys()].map((account) => this.#mark(account));
		const accounts = [...this.devices.keys()];
		const devices = accounts.map((account) => this.#address(account));
		const members = accounts.map(uuidToBytes);
		return down({
			case: "welcome",
			value: {
				$typeName: "parley.v1.Welcome",
				head: this.log.length,
				serverTimeMs: 1n,
				roster: { $typeName: "parley.v1.Roster", version: this.rosterVersion, devices, members },
				watermarks,
				blocking: this.blocks.has(account),
				online: [],
			},
		});
	}

	#beyondHead(): ConversationDown {
		const value = { messageId: new Uint8Array(), limit: this.log.length, retryAfterMs: 0 };
		const code = ErrorCode.CURSOR_BEYOND_HEAD;
		return down({ case: "refused", value: { $typeName: "parley.v1.Refused", code, ...value } });
	}

	/** As after a restore from a backup: everything after `head` is gone. */
	restore(head: number): void {
		this.log.length = head;
		this.rosterVersion = 1;
		for (const marks of [this.acknowledged, this.read]) {
			for (const [account, mark] of marks) marks.set(account, Math.min(mark, head));
		}
	}

	#address(account: string) {
		const registrationId = this.devices.get(account)?.registrationId ?? 0;
		return { $typeName: "parley.v1.DeviceAddress" as const, account: uuidToBytes(account), device: 1, registrationId };
	}

	#mark(account: string) {
		return {
			$typeName: "parley.v1.Watermark" as const,
			account: uuidToBytes(account),
			device: 1,
			delivered: this.acknowledged.get(account) ?? 0,
			read: this.read.get(account) ?? 0,
			after: 0,
		};
	}

	#watermark(
		account: string,
		marks: Map<string, number>,
		value: number,
		push: (account: string, frame: ConversationDown) => void,
	): void {
		if (value > this.log.length) throw new Error("a cursor after the head");
		if (value <= (marks.get(account) ?? 0)) return;
		marks.set(account, value);
		const frame = down({ case: "watermark", value: this.#mark(account) });
		for (const other of this.devices.keys()) if (other !== account) push(other, frame);
	}

	#missed(
		account: string,
		{ number, timeMs, send, sender }: Logged,
		push: (to: string, down: ConversationDown) => void,
	) {
		if (sender === account) return;
		const named = { number, serverTimeMs: BigInt(timeMs), messageId: send.messageId, senderDevice: 1 };
		const entry = create(MissedEntrySchema, { ...named, senderAccount: uuidToBytes(sender) });
		const value = create(MissedSchema, { from: number, to: number, entries: [entry] });
		push(account, down({ case: "missed", value }));
	}

	#deliver(account: string, logged: Logged, push: (account: string, frame: ConversationDown) => void): void {
		const entry = this.onEntry(account, logged);
		const registered = this.devices.get(account)?.registrationId;
		const envelope = entry?.send.envelopes.find(
			({ to }) => to !== undefined && uuidFromBytes(to.account) === account && to.registrationId === registered,
		);
		if (entry === undefined || envelope === undefined || entry.withdrawn === true) return;
		if (entry.sender !== account && this.blocks.has(account)) return;
		const value = {
			$typeName: "parley.v1.Entry" as const,
			number: entry.number,
			serverTimeMs: BigInt(entry.timeMs),
			messageId: entry.send.messageId,
			senderAccount: uuidToBytes(entry.sender),
			senderDevice: 1,
			kind: envelope.kind,
			ciphertext: envelope.ciphertext,
		};
		push(account, down({ case: "entry", value }));
	}
}

function down(frame: ConversationDown["frame"]): ConversationDown {
	return create(ConversationDownSchema, { frame });
}

function same(one: Send, other: Send): boolean {
	const bytes = (send: Send) =>
		toHex(
			toBinary(
				ConversationUpSchema,
				create(ConversationUpSchema, { frame: { case: "send", value: send } }) as ConversationUp,
			),
		);
	return bytes(one) === bytes(other);
}
