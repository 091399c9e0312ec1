/**
 * Two of the client's machines in one process with the least of a server between them: it numbers entries, accepts
 * them and passes them on. Everything that a message needs of the client happens, and nothing of a network.
 */
import { randomBytes, randomUUID } from "node:crypto";
import { join } from "node:path";
import { create, fromBinary, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import type { MachineEvent, MachineRequest } from "../client/machine/interface.ts";
import { ClientMachine } from "../client/machine/machine.ts";
import { completeRegistration, makeRegistration } from "../client/signal/registration.ts";
import { Store } from "../client/store/database.ts";
import { ConversationDownSchema } from "../protocol/gen/conversation_down_pb.js";
import { type ConversationUp, ConversationUpSchema } from "../protocol/gen/conversation_up_pb.js";
import type { RegisterRequest } from "../protocol/http.ts";
import { uuidToBytes } from "../protocol/ids.ts";

/** One person's device. */
export class Device {
	readonly accountId = randomUUID();
	readonly machine: ClientMachine;
	readonly registration: RegisterRequest;
	readonly store: Store;

	constructor(folder: string, username: string) {
		this.store = Store.open(join(folder, `${username}.db`), randomBytes(32));
		this.registration = makeRegistration(this.store, username, "http://127.0.0.1");
		completeRegistration(this.store, { accountId: this.accountId, deviceId: 1 });
		this.machine = new ClientMachine(this.store, {
			nowMs: Date.now,
			randomBytes: (count) => new Uint8Array(randomBytes(count)),
		});
	}

	/** Foreign messages that are on disk as text. */
	received(): number {
		return (
			this.store.value<number>("SELECT COUNT(*) AS value FROM messages WHERE outgoing = 0 AND body IS NOT NULL") ?? 0
		);
	}
}

/** What waits for a device: an event, or a frame as its socket brings it. */
export type Arrival = MachineEvent | { type: "bytes"; peer: string; bytes: Uint8Array };
/** What a device wants: as its machine says it, or a frame as its socket takes it. */
export type Errand = Exclude<MachineRequest, { type: "send-frame" }> | { type: "bytes"; bytes: Uint8Array };

/** What a client's transport makes of what has come. */
export function decode(arrival: Arrival): MachineEvent {
	if (arrival.type !== "bytes") return arrival;
	return {
		type: "conversation-frame",
		peer: arrival.peer,
		frame: fromBinary(ConversationDownSchema, arrival.bytes),
	};
}

/** What a client's transport makes of a request. */
export function encode(request: MachineRequest): Errand {
	if (request.type !== "send-frame") return request;
	return { type: "bytes", bytes: request.bytes ?? toBinary(ConversationUpSchema, request.frame) };
}

/** What the machines want carried out, turned into what happens next at each. */
export class Relay {
	#number = 0;
	readonly #pending = new Map<Device, Arrival[]>();

	/** Events that wait for a device; they are handed out once. */
	take(device: Device): Arrival[] {
		const events = this.#pending.get(device) ?? [];
		this.#pending.set(device, []);
		return events;
	}

	/** Carries out what a device's machine has asked for. */
	carry(from: Device, to: Device, errands: readonly Errand[]): void {
		for (const errand of errands) {
			switch (errand.type) {
				case "open-conversation":
					this.#open(from, to);
					break;
				case "claim-prekeys":
					this.#push(from, { type: "prekeys-claimed", account: to.accountId, bundles: bundles(to.registration) });
					break;
				case "bytes":
					this.#frame(from, to, fromBinary(ConversationUpSchema, errand.bytes));
					break;
				case "send-account-frame":
				case "upload-prekeys":
				case "notify":
					break;
			}
		}
	}

	#open(from: Device, to: Device): void {
		this.#push(from, { type: "conversation-opened", peer: to.accountId });
		const address = (device: Device) => ({
			account: uuidToBytes(device.accountId),
			device: 1,
			registrationId: device.registration.registrationId,
		});
		const roster = {
			version: 1,
			devices: [address(from), address(to)],
			members: [uuidToBytes(from.accountId), uuidToBytes(to.accountId)],
		};
		this.#down(from, to, { case: "welcome", value: { head: this.#number, roster } });
		this.#down(from, to, { case: "caughtUp", value: { head: this.#number } });
	}

	#frame(from: Device, to: Device, { frame }: ConversationUp): void {
		switch (frame.case) {
			case "send": {
				const { messageId, envelopes } = frame.value;
				const envelope = envelopes[0];
				if (envelope === undefined) throw new Error("an entry for nobody");
				const number = ++this.#number;
				const serverTimeMs = BigInt(Date.now());
				this.#down(from, to, { case: "accepted", value: { messageId, number, serverTimeMs } });
				const sender = { senderAccount: uuidToBytes(from.accountId), senderDevice: 1 };
				const { kind, ciphertext } = envelope;
				this.#down(to, from, {
					case: "entry",
					value: { number, serverTimeMs, messageId, kind, ciphertext, ...sender },
				});
				return;
			}
			case "acknowledge": {
				const delivered = frame.value.cursor;
				const value = { account: uuidToBytes(from.accountId), device: 1, delivered, read: 0 };
				this.#down(to, from, { case: "watermark", value });
				return;
			}
			case "hello":
			case "read":
			case "typing":
			case undefined:
				return;
		}
	}

	#down(device: Device, peer: Device, frame: DownFrame): void {
		const bytes = toBinary(ConversationDownSchema, create(ConversationDownSchema, { frame }));
		this.#push(device, { type: "bytes", peer: peer.accountId, bytes });
	}

	#push(device: Device, event: Arrival): void {
		const events = this.#pending.get(device);
		if (events === undefined) this.#pending.set(device, [event]);
		else events.push(event);
	}
}

type DownFrame = NonNullable<MessageInitShape<typeof ConversationDownSchema>["frame"]>;

/** The prekeys of a registration, as a server would hand them out. */
function bundles(registration: RegisterRequest) {
	const oneTimePreKey = registration.oneTimePreKeys[0];
	return {
		identityKey: registration.identityKey,
		devices: [
			{
				deviceId: 1,
				registrationId: registration.registrationId,
				signedPreKey: registration.signedPreKey,
				kyberPreKey: registration.oneTimeKyberPreKeys[0] ?? registration.lastResortKyberPreKey,
				...(oneTimePreKey === undefined ? {} : { oneTimePreKey }),
			},
		],
	};
}
