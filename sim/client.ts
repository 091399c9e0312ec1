/**
 * A device that speaks the raw protocol with plain bytes in place of ciphertext: outbox, cursor, acknowledgements. It
 * is fast enough for thousands of worlds, which test the object; the real client has worlds of its own.
 */
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import {
	type DeviceAddress,
	DeviceAddressSchema,
	EnvelopeKind,
	EnvelopeSchema,
	ErrorCode,
	type Refused,
} from "../protocol/gen/common_pb.js";
import { type ConversationDown, ConversationDownSchema, type Entry } from "../protocol/gen/conversation_down_pb.js";
import { ConversationUpSchema, type Send, SendSchema } from "../protocol/gen/conversation_up_pb.js";
import { nextUuidV7, uuidFromBytes } from "../protocol/ids.ts";
import { PROTOCOL_VERSION } from "../protocol/version.ts";
import { addressName, bodyFor, encodeUp } from "./bodies.ts";
import { type Device, deviceName } from "./device.ts";
import type { DeviceName } from "./history.ts";
import type { Disk, Session, Surroundings } from "./light.ts";
import type { Link } from "./network.ts";

/** Code of a connection that a side closed because it was done. */
const NORMAL_CLOSURE = 1000;

export class LightClient implements Device {
	readonly account: string;
	readonly device: number;
	readonly registrationId: number;
	readonly name: DeviceName;
	#around: Surroundings;
	#disk: Disk = { cursor: 0, read: 0, open: false, lastId: undefined, outbox: [], storing: [] };
	#session: Session | undefined;
	#running = true;
	#removed = false;
	#connecting = false;
	#newsUpTo = 0;
	#outgoing: { bytes: Uint8Array; carries: boolean }[] = [];
	#failures = 0;
	/** How far accounts have read, as this device was told last. */
	readonly #reads: Map<DeviceName, number> = new Map();

	constructor(account: string, device: number, registrationId: number, around: Surroundings) {
		this.account = account;
		this.device = device;
		this.registrationId = registrationId;
		this.name = deviceName(account, device);
		this.#around = around;
	}

	get online(): boolean {
		return this.#running;
	}

	get cursor(): number {
		return this.#disk.cursor;
	}

	get read(): number {
		return this.#disk.read;
	}

	/** A person writes a message. */
	offer(): void {
		if (!this.#running) return;
		const { schedule, random, history } = this.#around;
		let offered: string | undefined;
		const stored = this.#step((disk) => {
			const id = nextUuidV7(schedule.nowMs + random.between(-5_000, 5_000), random.bytes(10), disk.lastId);
			disk.lastId = id;
			offered = uuidFromBytes(id);
			// Encrypted when the roster is known: version 0 is no roster's.
			const send = create(SendSchema, { messageId: id, rosterVersion: 0, envelopes: [] });
			disk.outbox.push(send);
			if (this.#session?.welcomed === true) this.#send(send);
		});
		if (stored && offered !== undefined) history.observe({ type: "offered", device: this.name, id: offered });
		this.#flush();
		this.wake();
	}

	/** The account's socket says that there is something to fetch. */
	news(upTo: number): void {
		this.#newsUpTo = Math.max(this.#newsUpTo, upTo);
		this.connect();
	}

	/** Connects if there is a reason to. */
	wake(): void {
		const wanted = this.#disk.open || this.#disk.outbox.length > 0 || this.#newsUpTo > this.#disk.cursor;
		if (wanted) this.connect();
	}

	/** Connects, with or without a reason. */
	connect(): void {
		const { schedule, random } = this.#around;
		if (!this.#running || this.#session !== undefined || this.#connecting) return;
		this.#connecting = true;
		this.#disk.open = true;
		schedule.after(random.between(10, 100) * 2 ** Math.min(this.#failures, 6), () => {
			this.#connecting = false;
			if (!this.#running || this.#session !== undefined) return;
			const link = this.#around.connect(this);
			const flags = { open: false, leaving: false, welcomed: false, caughtUp: false, acknowledging: false };
			const session: Session = { link, ...flags, acknowledged: 0 };
			this.#session = session;
			link.attach("down", {
				frame: (bytes) => this.#frame(session, bytes),
				closed: (code) => this.#closed(session, code),
			});
		});
	}

	/** The connection is up: says where the device stands. */
	opened(link: Link): void {
		this.#around.history.note(`${this.name} has connection ${link.id}`);
		const session = this.#session;
		if (session === undefined || session.link !== link) return;
		session.open = true;
		session.acknowledged = this.#disk.cursor;
		const { cursor, read } = this.#disk;
		this.#up({ case: "hello", value: { protocolVersion: PROTOCOL_VERSION, cursor, read } });
		this.#flush();
	}

	/** The person reads everything that is there. */
	readAll(): void {
		if (!this.#running) return;
		this.#step((disk) => {
			disk.read = disk.cursor;
			if (this.#session?.welcomed === true) this.#up({ case: "read", value: { upTo: disk.read } });
		});
		this.#flush();
	}

	type(): void {
		if (!this.#running || this.#session?.welcomed !== true) return;
		this.#up({ case: "typing", value: { started: true } });
		this.#flush();
	}

	/** Leaves the conversation's socket, as a program in the background does. */
	leave(): void {
		const session = this.#session;
		if (session === undefined || !session.caughtUp || session.leaving || this.#disk.outbox.length > 0) return;
		// Until the object has confirmed it, an entry may be on its way that nobody else will tell of.
		this.#acknowledge(session);
		this.#flush();
		session.leaving = true;
		this.#around.history.note(`${this.name} leaves`);
		session.link.close("up", NORMAL_CLOSURE);
	}

	/** The connection breaks. */
	cut(): void {
		this.#session?.link.cut();
	}

	/** The process dies; it comes back later with what is on its disk. */
	crash(downMs: number): void {
		if (!this.#running) return;
		const { schedule, history } = this.#around;
		history.note(`${this.name} crashed`);
		this.#running = false;
		this.#outgoing = [];
		this.#session?.link.abandon("down");
		this.#session = undefined;
		this.#newsUpTo = 0;
		this.#around.crashed?.(downMs);
		schedule.after(downMs, () => {
			if (this.#removed) return;
			history.note(`${this.name} restarted`);
			this.#running = true;
			this.wake();
		});
	}

	/** The device was unlinked and has learned it: its program ends. */
	shutOut(): void {
		if (this.#removed) return;
		this.#around.history.note(`${this.name} learns that it was unlinked`);
		this.#removed = true;
		this.#running = false;
		this.#outgoing = [];
		this.#session?.link.abandon("down");
		this.#session = undefined;
	}

	#closed(session: Session, code: number): void {
		if (this.#session !== session) return;
		// What came after the last acknowledgement is still owed one.
		const clean = session.leaving && code === NORMAL_CLOSURE && session.acknowledged >= this.#disk.cursor;
		if (clean) this.#disk.open = false;
		this.#around.history.note(`${this.name} lost connection ${session.link.id} with ${code}`);
		this.#session = undefined;
		this.#failures++;
		this.wake();
	}

	#frame(session: Session, bytes: Uint8Array): void {
		if (this.#session !== session || !this.#running) return;
		const down = fromBinary(ConversationDownSchema, bytes);
		this.#step((disk) => this.#take(session, down, disk));
		this.#flush();
		this.#acknowledgeSoon(session);
	}

	/** One frame, within a step. */
	#take(session: Session, { frame, delivered }: ConversationDown, disk: Disk): void {
		const { history, fault } = this.#around;
		const device = this.name;
		switch (frame.case) {
			case "welcome": {
				const { head, roster, watermarks } = frame.value;
				history.observe({ type: "welcome", device, head, life: session.link.life });
				for (const watermark of watermarks) this.#watermark(watermark);
				session.welcomed = true;
				if (roster !== undefined) {
					for (const send of disk.outbox) {
						if (send.rosterVersion === 0) this.#encrypt(send, roster.version, roster.devices);
					}
				}
				for (const send of disk.outbox) this.#send(send);
				return;
			}
			case "entry": {
				const { number } = frame.value;
				history.observe({ type: "arrived", device, link: session.link.id, number });
				if (delivered !== undefined) this.#besideEntry(frame.value, delivered);
				if (number <= disk.cursor) return;
				disk.storing.push(frame.value);
				disk.cursor = number;
				if (fault.acknowledgesBeforeStoring === true) {
					session.link.send("up", encodeUp({ case: "acknowledge", value: { cursor: number } }));
				}
				return;
			}
			case "caughtUp":
				history.observe({ type: "caught-up", device, head: frame.value.head });
				session.caughtUp = true;
				this.#failures = 0;
				// What lies between the last entry and the head are the device's own entries.
				disk.cursor = Math.max(disk.cursor, frame.value.head);
				return;
			case "accepted": {
				const { number } = frame.value;
				const id = uuidFromBytes(frame.value.messageId);
				const sent = disk.outbox.find((send) => uuidFromBytes(send.messageId) === id);
				const to = sent?.envelopes.flatMap((envelope) => (envelope.to === undefined ? [] : [addressName(envelope.to)]));
				const timeMs = Number(frame.value.serverTimeMs);
				history.observe({ type: "accepted", device, id, number, timeMs, ...(to === undefined ? {} : { to }) });
				disk.outbox = disk.outbox.filter((send) => uuidFromBytes(send.messageId) !== id);
				if (number === disk.cursor + 1) disk.cursor = number;
				return;
			}
			case "refused":
				this.#refused(frame.value, disk);
				return;
			case "watermark":
				this.#watermark(frame.value);
				return;
			case "missed":
				history.observe({ type: "missed", device, from: frame.value.from, to: frame.value.to });
				return;
			default:
				// Of no weight here: roster, typing, and what only groups have.
				return;
		}
	}

	#refused(refused: Refused, disk: Disk): void {
		const id = refused.messageId.length === 16 ? uuidFromBytes(refused.messageId) : undefined;
		const send = disk.outbox.find((waiting) => uuidFromBytes(waiting.messageId) === id);
		if (refused.code === ErrorCode.STALE_ROSTER && refused.difference !== undefined && send !== undefined) {
			const { version, missing, gone } = refused.difference;
			const leaving = new Set(gone.map(addressName));
			const staying = send.envelopes.flatMap(({ to }) =>
				to === undefined || leaving.has(addressName(to)) ? [] : [to],
			);
			this.#encrypt(send, version, [...staying, ...missing]);
			this.#send(send);
			return;
		}
		// The closing follows, and the next connection is refused.
		if (refused.code === ErrorCode.NOT_ON_ROSTER) return;
		const code = ErrorCode[refused.code] ?? String(refused.code);
		if (refused.code === ErrorCode.MEMBER_GONE) {
			disk.outbox = disk.outbox.filter((waiting) => waiting !== send);
			this.#around.history.observe({ type: "failed", device: this.name, code, id: id ?? "" });
			return;
		}
		this.#around.history.observe({ type: "refused", device: this.name, code, id });
	}

	#watermark(watermark: { account: Uint8Array; device: number; delivered: number; read: number }): void {
		const subject = deviceName(uuidFromBytes(watermark.account), watermark.device);
		const { delivered, read } = watermark;
		this.#reads.set(subject, read);
		this.#around.history.observe({ type: "watermark", device: this.name, subject, delivered, read });
	}

	/** Rule DELIVERED-4. It says nothing of reading. */
	#besideEntry({ senderAccount, senderDevice }: Entry, delivered: number): void {
		const subject = deviceName(uuidFromBytes(senderAccount), senderDevice);
		const read = this.#reads.get(subject) ?? 0;
		this.#around.history.observe({ type: "watermark", device: this.name, subject, delivered, read });
	}

	/** "Encrypts": each device's envelope says the message and the device. */
	#encrypt(send: Send, version: number, roster: readonly DeviceAddress[]): void {
		send.rosterVersion = version;
		send.envelopes = roster
			.filter((to) => addressName(to) !== this.name)
			.map((to) =>
				create(EnvelopeSchema, {
					to: create(DeviceAddressSchema, to),
					kind: EnvelopeKind.SESSION,
					ciphertext: bodyFor(uuidFromBytes(send.messageId), addressName(to)),
				}),
			);
	}

	#send(send: Send): void {
		this.#outgoing.push({ bytes: encodeUp({ case: "send", value: send }), carries: true });
	}

	/** Acknowledges now or a little later, several entries at once. */
	#acknowledgeSoon(session: Session): void {
		const { schedule, random } = this.#around;
		if (this.#session !== session || session.acknowledging || session.acknowledged >= this.#disk.cursor) return;
		session.acknowledging = true;
		schedule.after(random.between(0, 3) * random.between(0, 700), () => {
			session.acknowledging = false;
			if (this.#session !== session || !this.#running || session.leaving) return;
			this.#acknowledge(session);
			this.#flush();
		});
	}

	#acknowledge(session: Session): void {
		session.acknowledged = this.#disk.cursor;
		this.#up({ case: "acknowledge", value: { cursor: this.#disk.cursor } });
	}

	/** A step is written whole or not at all; a crash may come just before or just after. */
	#step(work: (disk: Disk) => void): boolean {
		const { random, crashes, history } = this.#around;
		const disk: Disk = { ...this.#disk, outbox: this.#disk.outbox.map((send) => ({ ...send })), storing: [] };
		work(disk);
		const crashing = !this.#around.calm() && random.chance(crashes);
		if (crashing && random.chance(0.5)) {
			this.crash(random.between(100, 20_000));
			return false;
		}
		const moved = disk.cursor !== this.#disk.cursor || disk.read !== this.#disk.read;
		this.#disk = disk;
		const device = this.name;
		for (const entry of disk.storing) {
			history.observe({
				type: "stored",
				device,
				number: entry.number,
				id: uuidFromBytes(entry.messageId),
				sender: deviceName(uuidFromBytes(entry.senderAccount), entry.senderDevice),
				timeMs: Number(entry.serverTimeMs),
				body: new TextDecoder().decode(entry.ciphertext),
			});
		}
		if (moved) history.observe({ type: "cursor", device, cursor: disk.cursor, read: disk.read });
		if (crashing) this.crash(random.between(100, 20_000));
		return true;
	}

	#up(frame: Parameters<typeof encodeUp>[0]): void {
		this.#outgoing.push({ bytes: encodeUp(frame), carries: false });
	}

	#flush(): void {
		const session = this.#session;
		for (const { bytes, carries } of this.#outgoing) {
			if (session?.open !== true || session.leaving) continue;
			session.link.send("up", carries ? this.#withAcknowledgement(session, bytes) : bytes);
		}
		this.#outgoing = [];
	}

	/** After the step: only what is on disk is acknowledged. Every other time, so that both ways are gone. */
	#withAcknowledgement(session: Session, bytes: Uint8Array): Uint8Array {
		const { cursor } = this.#disk;
		if (!session.welcomed || session.acknowledged >= cursor || cursor % 2 === 0) return bytes;
		session.acknowledged = cursor;
		return Buffer.concat([
			bytes,
			toBinary(ConversationUpSchema, create(ConversationUpSchema, { acknowledged: cursor })),
		]);
	}
}
