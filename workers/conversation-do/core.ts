/** The conversation as a pure state machine: handed the time, its store and events, it returns effects. */

import type { MessageInitShape } from "@bufbuild/protobuf";
import { ErrorCode, type RefusedSchema } from "../../protocol/gen/common_pb.js";
import type { Acknowledge, Hello, Send } from "../../protocol/gen/conversation_up_pb.js";
import { toHex } from "../../protocol/ids.ts";
import { PROTOCOL_VERSION } from "../../protocol/version.ts";
import { deliver, pump } from "./delivery.ts";
import type { ConversationEvent, Effect, Waking } from "./events.ts";
import { encode } from "./frames.ts";
import { Log } from "./log.ts";
import { Nudges } from "./nudges.ts";
import { checksumOf } from "./once.ts";
import { RATE, type Rate, RETRY_AFTER_MS } from "./pace.ts";
import type { Device } from "./roster.ts";
import { Session, Sessions, type SocketState } from "./sessions.ts";
import { loadState, type Persisted } from "./state.ts";
import type { Store } from "./store.ts";
import { isRefusal, readFrame, type UpFrame } from "./validate.ts";
import { accepted } from "./wire.ts";

export type { ConversationEvent, Effect } from "./events.ts";
export type { SocketState } from "./sessions.ts";

type RefusedFields = Omit<Exclude<MessageInitShape<typeof RefusedSchema>, { $typeName: string }>, "code">;

/** One conversation. All its state beyond the store can be lost at any moment. */
export class ConversationCore {
	readonly #state: Persisted;
	readonly #log: Log;
	readonly #nudges: Nudges;
	readonly #rate: Rate;
	readonly #sessions: Sessions = new Sessions();
	#effects: Effect[] = [];
	#woken = false;

	constructor(store: Store, waking: Waking) {
		this.#state = loadState(store);
		this.#log = new Log(store, this.#state);
		this.#nudges = new Nudges(this.#state, waking.alarm_ms, ({ key }) => this.#sessions.isConnected(key));
		this.#rate = waking.rate ?? RATE;
		for (const socket of waking.sockets) {
			if (socket.closed) continue;
			const session = new Session(socket, this.#rate, this.#log.head, waking.now_ms);
			this.#sessions.add(session);
			const device = this.#deviceOf(session);
			if (device === undefined || !socket.greeted) continue;
			this.#log.acknowledged(device, socket.cursor);
			this.#state.raiseRead(device.account, socket.read);
		}
	}

	/** Whether the conversation has been founded. */
	get founded(): boolean {
		return this.#state.roster !== undefined;
	}

	/** The number of the newest entry. */
	get head(): number {
		return this.#log.head;
	}

	/** Tells when the alarm is set, which the object learns only after it woke. */
	alarmIs(alarm_ms: number): void {
		this.#nudges.alarmIs(alarm_ms);
	}

	/** What a new socket of the device begins with; undefined for a device that is not on the roster. */
	admit(id: number, account: string, device: number): SocketState | undefined {
		const known = this.#state.roster?.find(account, device);
		if (known === undefined) return undefined;
		const { registrationId } = known;
		return { id, account, device, registrationId, greeted: false, closed: false, cursor: 0, read: 0, caughtUp: false };
	}

	/** One event; returns what is to be done, in order, in the same turn. */
	handle(event: ConversationEvent, now_ms: number): Effect[] {
		this.#effects = [];
		switch (event.type) {
			case "frame":
				this.#frame(event.socket, event.data, now_ms);
				break;
			case "connected":
				this.#connected(event.socket, now_ms);
				break;
			case "disconnected":
				this.#disconnected(event.socket, now_ms);
				break;
			case "alarm":
				this.#log.expire(now_ms);
				this.#state.save();
				this.#nudges.alarm(this.#log, now_ms, this.#effects);
				break;
			case "recovered":
				this.#recovered();
				break;
			case "found":
				this.#state.found(event.members);
				break;
			case "setDevices":
				if (this.#state.setDevices(event.member)) this.#rosterChanged();
				break;
			case "removeMember":
				if (this.#state.roster?.removeMember(event.account) === true) this.#rosterChanged();
				break;
			case "nudged":
				this.#nudges.called(event, this.#log, now_ms, this.#effects);
				break;
			default:
				event satisfies never;
		}
		if (!this.#woken) this.#nudges.woken(this.#log.head, now_ms, this.#effects);
		this.#woken = true;
		return this.#effects;
	}

	// Sockets.

	#connected(socket: SocketState, now_ms: number): void {
		for (const older of this.#sessions) {
			if (older.state.account !== socket.account || older.state.device !== socket.device) continue;
			// The newer wins (rule SOCKET-1): the older is most often a connection that died unnoticed.
			this.#refuse(older, ErrorCode.SUPERSEDED);
			this.#close(older, 4001);
		}
		this.#sessions.add(new Session(socket, this.#rate, this.#log.head, now_ms));
		this.#effects.push({ type: "attach", socket });
	}

	#recovered(): void {
		for (const session of this.#sessions) {
			const device = this.#deviceOf(session);
			if (device === undefined || !session.state.greeted) continue;
			session.restart(session.state.cursor);
			pump(this.#log, device, session, this.#effects);
		}
	}

	#disconnected(id: number, now_ms: number): void {
		const session = this.#sessions.get(id);
		if (session === undefined) return;
		this.#sessions.delete(session);
		this.#state.save();
		const device = this.#deviceOf(session);
		if (device !== undefined) this.#nudges.check(device, this.#log.head, now_ms, this.#effects);
	}

	#frame(id: number, data: Uint8Array | string, now_ms: number): void {
		// Authenticated: the api has named the device of this socket.
		const session = this.#sessions.get(id);
		if (session === undefined) return;
		// Authorised: it is still on the roster.
		const device = this.#deviceOf(session);
		if (device === undefined) {
			this.#remove(session);
			return;
		}
		// Within its limits: before the bytes are looked at, since looking is what costs.
		if (!this.#withinRate(session, now_ms)) return;
		// Valid.
		const frame = readFrame(data);
		if (isRefusal(frame)) {
			const { code, ...fields } = frame;
			this.#refuse(session, code, fields);
			if (code !== ErrorCode.MESSAGE_TOO_LARGE) this.#countMalformed(session, now_ms);
		} else if (session.state.greeted) this.#answer(session, device, frame, data, now_ms);
		else if (frame.case === "hello") this.#hello(session, device, frame.value, now_ms);
		else
			this.#refuse(
				session,
				ErrorCode.HELLO_EXPECTED,
				frame.case === "send" ? { messageId: frame.value.messageId } : {},
			);
	}

	#answer(session: Session, device: Device, frame: UpFrame, data: Uint8Array | string, now_ms: number): void {
		switch (frame.case) {
			case "send":
				if (typeof data !== "string") this.#send(session, device, frame.value, data, now_ms);
				break;
			case "acknowledge":
				this.#acknowledge(session, device, frame.value);
				break;
			case "read":
				this.#read(session, device, frame.value.upTo);
				break;
			case "typing":
				this.#typing(session, device, frame.value.started);
				break;
			case "hello":
				// A second one would empty the window without an acknowledgement.
				this.#refuse(session, ErrorCode.MALFORMED);
				this.#countMalformed(session, now_ms);
				break;
			default:
				frame satisfies never;
		}
	}

	#withinRate(session: Session, now_ms: number): boolean {
		const verdict = session.pace.frame(now_ms);
		if (verdict === "pass") return true;
		if (verdict !== "drop") this.#refuse(session, ErrorCode.RATE_LIMITED, { retryAfterMs: RETRY_AFTER_MS });
		if (verdict === "close") this.#hostile(session, 4429, now_ms);
		return false;
	}

	#countMalformed(session: Session, now_ms: number): void {
		if (session.pace.malformed()) this.#hostile(session, 4400, now_ms);
	}

	/** Rule REFUSED-2. The device may have entries that wait: it gets its nudge like any that left. */
	#hostile(session: Session, code: number, now_ms: number): void {
		this.#effects.push({ type: "attach", socket: { ...session.state, closed: true } });
		this.#effects.push({ type: "close", socket: session.state.id, code });
		this.#disconnected(session.state.id, now_ms);
	}

	// Frames.

	/** Rules DELIVERED-1 and WATERMARK-2. */
	#hello(session: Session, device: Device, hello: Hello, now_ms: number): void {
		const { head } = this.#log;
		if (hello.protocolVersion !== PROTOCOL_VERSION) {
			this.#refuse(session, ErrorCode.UNSUPPORTED_VERSION, { limit: PROTOCOL_VERSION });
			return;
		}
		if (hello.cursor > head || hello.read > head) {
			this.#refuse(session, ErrorCode.CURSOR_BEYOND_HEAD, { limit: head });
			return;
		}
		// Rule ROSTER-3: nothing before its arrival.
		const cursor = Math.max(hello.cursor, device.arrived);
		session.state = { ...session.state, greeted: true, cursor, read: hello.read, caughtUp: false };
		session.restart(cursor);
		this.#sessions.greeted(session);
		this.#effects.push({ type: "attach", socket: session.state });
		const readRaised = this.#state.raiseRead(device.account, hello.read);
		const raised = cursor > device.cursor;
		this.#log.acknowledged(device, cursor);
		this.#welcome(session, now_ms);
		if (raised || readRaised) this.#pushWatermark(session, device);
		// On disk before the device is treated as present: a flag that stayed would swallow the next nudge.
		if (this.#nudges.present(device)) this.#state.save();
		pump(this.#log, device, session, this.#effects);
	}

	#welcome(session: Session, now_ms: number): void {
		const { roster } = this.#state;
		if (roster === undefined) return;
		const value = {
			head: this.#log.head,
			serverTimeMs: BigInt(now_ms),
			roster: roster.frame(),
			watermarks: roster.devices.map((device) => this.#watermark(device)),
		};
		this.#push(session, encode({ case: "welcome", value }));
	}

	#send(session: Session, device: Device, send: Send, payload: Uint8Array, now_ms: number): void {
		const { roster } = this.#state;
		if (roster === undefined) return;
		const { messageId } = send;
		const hex = toHex(messageId);
		const checksum = checksumOf(send);
		// Before the roster: a repetition is answered whatever the roster is by now (rule ONCE-1).
		const known = this.#log.once.look(messageId, hex, device.key, checksum, this.#log.head);
		switch (known.is) {
			case "repeated":
				this.#push(session, accepted(known.entry));
				return;
			case "conflict":
				this.#refuse(session, ErrorCode.MESSAGE_ID_CONFLICT, { messageId, limit: known.entry.number });
				return;
			case "forgotten":
				this.#refuse(session, ErrorCode.MESSAGE_ID_TOO_OLD, { messageId });
				return;
			case "new":
				break;
			default:
				known satisfies never;
		}
		if (roster.deserted) {
			this.#refuse(session, ErrorCode.MEMBER_GONE, { messageId });
			return;
		}
		if (!roster.fits(send, device)) {
			this.#refuse(session, ErrorCode.STALE_ROSTER, { messageId, difference: roster.difference(send, device) });
			return;
		}
		const entry = this.#log.append(
			device,
			messageId,
			hex,
			checksum,
			send.envelopes.length === 0 ? null : payload,
			now_ms,
		);
		this.#push(session, accepted(entry));
		for (const other of this.#sessions) {
			if (!other.state.greeted) continue;
			deliver(other, entry, send, device, this.#effects);
		}
		this.#nudges.appended(this.#log.head, now_ms, this.#effects);
	}

	#acknowledge(session: Session, device: Device, { cursor }: Acknowledge): void {
		const { head } = this.#log;
		if (cursor > head) {
			this.#refuse(session, ErrorCode.CURSOR_BEYOND_HEAD, { limit: head });
			return;
		}
		if (cursor <= session.state.cursor) return;
		session.state = { ...session.state, cursor };
		session.arrived(cursor);
		if (session.position < cursor) session.position = cursor;
		if (cursor > device.cursor) {
			this.#log.acknowledged(device, cursor);
			this.#pushWatermark(session, device);
		}
		if (!session.state.caughtUp) pump(this.#log, device, session, this.#effects);
		this.#effects.push({ type: "attach", socket: session.state });
	}

	#read(session: Session, device: Device, upTo: number): void {
		const { head } = this.#log;
		if (upTo > head) {
			this.#refuse(session, ErrorCode.CURSOR_BEYOND_HEAD, { limit: head });
			return;
		}
		if (!this.#state.raiseRead(device.account, upTo)) return;
		session.state = { ...session.state, read: upTo };
		this.#effects.push({ type: "attach", socket: session.state });
		this.#pushWatermark(session, device);
	}

	/** Rule EPHEMERAL-1: to whom listens now, and nowhere else. */
	#typing(session: Session, device: Device, started: boolean): void {
		const value = { account: device.accountBytes, device: device.device, started };
		this.#pushToOthers(session, encode({ case: "typing", value }));
	}

	// Roster.

	#rosterChanged(): void {
		const { roster } = this.#state;
		if (roster === undefined) return;
		this.#state.save();
		for (const session of [...this.#sessions]) if (this.#deviceOf(session) === undefined) this.#remove(session);
		// Who left holds up no wipe any more (rule KEPT-1).
		this.#log.wipe();
		const bytes = encode({ case: "roster", value: roster.frame() });
		for (const session of this.#sessions) if (session.state.greeted) this.#push(session, bytes);
	}

	/** Rule ROSTER-3. */
	#remove(session: Session): void {
		this.#refuse(session, ErrorCode.NOT_ON_ROSTER);
		this.#close(session, 4403);
	}

	// Pieces.

	#deviceOf(session: Session): Device | undefined {
		const { account, device, registrationId } = session.state;
		const known = this.#state.roster?.find(account, device);
		return known?.registrationId === registrationId ? known : undefined;
	}

	#watermark(device: Device) {
		const { accountBytes: account, cursor: delivered, arrived: after } = device;
		return { account, device: device.device, delivered, read: this.#state.readOf(device.account), after };
	}

	/** Rule WATERMARK-1. */
	#pushWatermark(session: Session, device: Device): void {
		this.#pushToOthers(session, encode({ case: "watermark", value: this.#watermark(device) }));
	}

	#pushToOthers(session: Session, bytes: Uint8Array): void {
		for (const other of this.#sessions) {
			if (other !== session && other.state.greeted) this.#push(other, bytes);
		}
	}

	#push(session: Session, bytes: Uint8Array): void {
		this.#effects.push({ type: "send", socket: session.state.id, bytes });
	}

	#refuse(session: Session, code: ErrorCode, fields: RefusedFields = {}): void {
		this.#push(session, encode({ case: "refused", value: { ...fields, code } }));
	}

	#close(session: Session, code: number): void {
		this.#sessions.delete(session);
		// The runtime lists the socket until its end agrees: it must not come back with the next waking.
		this.#effects.push({ type: "attach", socket: { ...session.state, closed: true } });
		this.#effects.push({ type: "close", socket: session.state.id, code });
	}
}
