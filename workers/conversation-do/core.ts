/** The conversation as a pure state machine: handed the time, its store and events, it returns effects. */

import { ErrorCode } from "../../protocol/gen/common_pb.js";
import type { Hello } from "../../protocol/gen/conversation_up_pb.js";
import { LIMITS } from "../../protocol/limits.ts";
import { PROTOCOL_VERSION } from "../../protocol/version.ts";
import { acknowledge, pushHeld, ridden, ride, settle, settled } from "./acknowledging.ts";
import { pump } from "./delivery.ts";
import { send } from "./entries.ts";
import type { ConversationEvent, Effect, Waking } from "./events.ts";
import { encode } from "./frames.ts";
import { changeGroup, requestToJoin } from "./group-changes.ts";
import type { GroupView } from "./interface.ts";
import { Log } from "./log.ts";
import { Nudges } from "./nudges.ts";
import { Output } from "./output.ts";
import { RATE, type Rate, RETRY_AFTER_MS } from "./pace.ts";
import { block, leave, othersOnline, presence, pushEphemeral, tell } from "./privacy.ts";
import { beforeOf, deviceOf, type Room, remove, rosterChanged } from "./room.ts";
import type { Device } from "./roster.ts";
import { Session, Sessions, type SocketState } from "./sessions.ts";
import { Shares } from "./shares.ts";
import { loadState, type Persisted } from "./state.ts";
import type { Store } from "./store.ts";
import { type FrameRead, isRefusal, readFrame } from "./validate.ts";
import { pushesWatermarks, pushWatermark, watermarksOf } from "./watermarks.ts";
import { withdraw } from "./withdraw.ts";

export type { ConversationEvent, Effect } from "./events.ts";
export type { SocketState } from "./sessions.ts";

/** What asking for all watermarks counts as: two a second, on average. */
const WATERMARKS_FRAMES = LIMITS.frames_per_second / 2;

/** One conversation. All its state beyond the store can be lost at any moment. */
export class ConversationCore {
	readonly #state: Persisted;
	readonly #log: Log;
	readonly #nudges: Nudges;
	readonly #rate: Rate;
	readonly #room: Room;
	readonly #sessions: Sessions = new Sessions();
	readonly #out: Output = new Output(this.#sessions);
	#woken = false;
	#unsettled = false;

	constructor(store: Store, waking: Waking) {
		this.#state = loadState(store);
		this.#log = new Log(store, this.#state);
		this.#nudges = new Nudges(this.#state, waking.alarm_ms, ({ key }) => this.#sessions.isConnected(key));
		this.#rate = waking.rate ?? RATE;
		const [state, log, nudges, sessions, out] = [this.#state, this.#log, this.#nudges, this.#sessions, this.#out];
		this.#room = { state, log, shares: new Shares(store, state, log), nudges, sessions, out };
		for (const socket of waking.sockets) {
			if (socket.closed) continue;
			const session = new Session(socket, this.#rate, this.#log.head, waking.now_ms);
			this.#sessions.add(session);
			const device = deviceOf(this.#room, session);
			if (device === undefined || !socket.greeted) continue;
			this.#log.acknowledged(device, socket.cursor);
			tell(this.#state, device, socket.cursor, socket.quiet === true);
			this.#state.raiseRead(device.account, socket.read);
		}
		this.#log.settle();
	}

	/** Whether the conversation has been founded. */
	get founded(): boolean {
		return this.#state.roster !== undefined;
	}

	/** The number of the newest entry. */
	get head(): number {
		return this.#log.head;
	}

	/** Of a group: for its members, and for who has shown the invite link's secret (rule GROUP-4). */
	view(account: string, linkSecretHash: string | undefined): GroupView | undefined {
		const { group } = this.#state;
		if (group === undefined) return undefined;
		const member = group.roleOf(account) !== undefined;
		if (!member && !group.opens(linkSecretHash)) return undefined;
		const { version, state, requests } = group.json;
		return { version, state, requests: member ? requests : requests.filter((one) => one === account) };
	}

	/** Which of the accounts are members. */
	membersAmong(accounts: readonly string[]): string[] {
		const members = new Set(this.#state.roster?.members);
		return accounts.filter((account) => members.has(account));
	}

	/** Something that was acknowledged is not completed: a `settle` is to come in a second. */
	get unsettled(): boolean {
		return this.#unsettled;
	}

	/** Sockets whose attachments are older than what their devices have acknowledged. */
	get unattached(): SocketState[] {
		return [...this.#sessions].filter(({ attached }) => !attached).map(({ state }) => state);
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
		this.#out.effects = [];
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
				this.#nudges.alarm(this.#log, now_ms, this.#out.effects);
				break;
			case "settle":
				settled(this.#room);
				this.#unsettled = false;
				break;
			case "recovered":
				this.#recovered();
				break;
			case "found":
				this.#state.found(event.members);
				break;
			case "setDevices":
			case "removeMember":
				this.#changeMember(event);
				break;
			case "changeGroup":
				this.#out.effects.push({ type: "answer", answer: changeGroup(this.#room, event.request, now_ms) });
				break;
			case "requestToJoin":
				this.#out.effects.push({ type: "answer", answer: requestToJoin(this.#room, event.request, now_ms) });
				break;
			case "nudged":
				this.#nudges.called(event, this.#log, now_ms, this.#out.effects);
				break;
			default:
				event satisfies never;
		}
		if (!this.#woken) this.#nudges.woken(this.#log.head, now_ms, this.#out.effects);
		this.#woken = true;
		// Rule KEPT-4, by what is on disk: a removal that a crash has cut off is completed by the next event.
		if (this.#state.roster?.members.length === 0) this.#out.effects.push({ type: "erase" });
		return this.#out.effects;
	}

	#changeMember(event: Extract<ConversationEvent, { type: "setDevices" | "removeMember" }>): void {
		const before = beforeOf(this.#state);
		const changed =
			event.type === "setDevices" ? this.#state.setDevices(event.member) : this.#state.removeMember(event.account);
		if (changed) rosterChanged(this.#room, before);
	}

	// Sockets.

	#connected(socket: SocketState, now_ms: number): void {
		for (const older of this.#sessions) {
			if (older.state.account !== socket.account || older.state.device !== socket.device) continue;
			// The newer wins (rule SOCKET-1): the older is most often a connection that died unnoticed.
			this.#out.refuse(older, ErrorCode.SUPERSEDED);
			this.#out.close(older, 4001);
		}
		this.#sessions.add(new Session(socket, this.#rate, this.#log.head, now_ms));
		this.#out.effects.push({ type: "attach", socket });
	}

	#recovered(): void {
		for (const session of this.#sessions) {
			const device = deviceOf(this.#room, session);
			if (device === undefined || !session.state.greeted) continue;
			session.restart(session.state.cursor);
			pump(this.#log, device, session, this.#out.effects);
		}
	}

	#disconnected(id: number, now_ms: number): void {
		const session = this.#sessions.get(id);
		if (session === undefined) return;
		pushHeld(this.#room, session);
		this.#sessions.delete(session);
		settle(this.#room);
		leave(this.#room, session);
		if (this.#sessions.empty) this.#state.save();
		else this.#state.saveSoon();
		const device = deviceOf(this.#room, session);
		if (device !== undefined) this.#nudges.check(device, this.#log.head, now_ms, this.#out.effects);
	}

	#frame(id: number, data: Uint8Array | string, now_ms: number): void {
		// Authenticated: the api has named the device of this socket.
		const session = this.#sessions.get(id);
		if (session === undefined) return;
		// Authorised: it is still on the roster.
		const device = deviceOf(this.#room, session);
		if (device === undefined) {
			remove(this.#room, session);
			return;
		}
		// Within its limits: before the bytes are looked at, since looking is what costs.
		if (!this.#withinRate(session, now_ms)) return;
		// Valid.
		const read = readFrame(data);
		if (isRefusal(read)) {
			const { code, ...fields } = read;
			this.#out.refuse(session, code, fields);
			if (code !== ErrorCode.MESSAGE_TOO_LARGE) this.#countMalformed(session, now_ms);
		} else if (session.state.greeted) this.#answer(session, device, read, now_ms);
		else if (read.frame.case === "hello") this.#hello(session, device, read.frame.value, now_ms);
		else
			this.#out.refuse(
				session,
				ErrorCode.HELLO_EXPECTED,
				read.frame.case === "send" ? { messageId: read.frame.value.messageId } : {},
			);
	}

	#answer(session: Session, device: Device, { frame, payload, acknowledged }: FrameRead, now_ms: number): void {
		switch (frame.case) {
			case "send": {
				const before = this.#log.head;
				const beside = ride(this.#room, session, device, acknowledged);
				send(this.#room, session, device, frame.value, payload, beside, now_ms);
				if (beside === undefined) break;
				ridden(this.#room, session, device, beside, before);
				this.#unsettled = true;
				break;
			}
			case "acknowledge":
				if (acknowledge(this.#room, session, device, frame.value)) this.#unsettled = true;
				break;
			case "read":
				this.#read(session, device, frame.value.upTo);
				break;
			case "typing":
				this.#typing(session, device, frame.value.started);
				break;
			case "presence":
				presence(this.#room, session, frame.value);
				break;
			case "withdraw":
				withdraw(this.#room, session, device, frame.value.messageId);
				break;
			case "block":
				block(this.#room, session, device, frame.value.on);
				break;
			case "watermarks":
				this.#tellWatermarks(session);
				break;
			case "hello":
				// A second one would empty the window without an acknowledgement.
				this.#out.refuse(session, ErrorCode.MALFORMED);
				this.#countMalformed(session, now_ms);
				break;
			default:
				frame satisfies never;
		}
	}

	#withinRate(session: Session, now_ms: number): boolean {
		const verdict = session.pace.frame(now_ms);
		if (verdict === "pass") return true;
		if (verdict !== "drop") this.#out.refuse(session, ErrorCode.RATE_LIMITED, { retryAfterMs: RETRY_AFTER_MS });
		if (verdict === "close") this.#hostile(session, 4429, now_ms);
		return false;
	}

	#countMalformed(session: Session, now_ms: number): void {
		if (session.pace.malformed()) this.#hostile(session, 4400, now_ms);
	}

	/** Rule REFUSED-2. The device may have entries that wait: it gets its nudge like any that left. */
	#hostile(session: Session, code: number, now_ms: number): void {
		this.#out.effects.push({ type: "attach", socket: { ...session.state, closed: true } });
		this.#out.effects.push({ type: "close", socket: session.state.id, code });
		this.#disconnected(session.state.id, now_ms);
	}

	// Frames.

	/** Rules DELIVERED-1 and WATERMARK-2. */
	#hello(session: Session, device: Device, hello: Hello, now_ms: number): void {
		const { head } = this.#log;
		if (hello.protocolVersion !== PROTOCOL_VERSION) {
			this.#out.refuse(session, ErrorCode.UNSUPPORTED_VERSION, { limit: PROTOCOL_VERSION });
			return;
		}
		if (hello.cursor > head || hello.read > head) {
			this.#out.refuse(session, ErrorCode.CURSOR_BEYOND_HEAD, { limit: head });
			return;
		}
		// Rule ROSTER-3: nothing before its arrival.
		const cursor = Math.max(hello.cursor, device.arrived);
		const { quiet } = hello;
		const read = this.#state.blocks.has(device.account) ? 0 : hello.read;
		session.state = { ...session.state, greeted: true, cursor, read, quiet, caughtUp: false };
		session.restart(cursor);
		this.#sessions.greeted(session);
		this.#out.effects.push({ type: "attach", socket: session.state });
		const readRaised = this.#state.raiseRead(device.account, read);
		const raised = tell(this.#state, device, cursor, quiet);
		this.#log.acknowledged(device, cursor);
		settle(this.#room);
		this.#welcome(session, hello, now_ms);
		if (raised || readRaised) pushWatermark(this.#room, session, device);
		// On disk before the device is treated as present: a flag that stayed would swallow the next nudge.
		if (this.#nudges.present(device)) this.#state.save();
		pump(this.#log, device, session, this.#out.effects);
	}

	#welcome(session: Session, hello: Hello, now_ms: number): void {
		const { roster } = this.#state;
		if (roster === undefined) return;
		const value = {
			head: this.#log.head,
			serverTimeMs: BigInt(now_ms),
			...(this.#state.group !== undefined && roster.version === hello.rosterVersion ? {} : { roster: roster.frame() }),
			watermarks: pushesWatermarks(this.#state) ? watermarksOf(this.#state) : [],
			blocking: this.#state.blocks.has(session.state.account),
			online: othersOnline(this.#room, session.state.account),
		};
		this.#out.push(session, encode({ case: "welcome", value }));
	}

	#read(session: Session, device: Device, upTo: number): void {
		const { head } = this.#log;
		if (upTo > head) {
			this.#out.refuse(session, ErrorCode.CURSOR_BEYOND_HEAD, { limit: head });
			return;
		}
		// Who blocks somebody tells them nothing (rule BLOCK-2).
		if (this.#state.blocks.has(device.account) || !this.#state.raiseRead(device.account, upTo)) return;
		session.state = { ...session.state, read: upTo };
		this.#out.effects.push({ type: "attach", socket: session.state });
		pushWatermark(this.#room, session, device);
	}

	/** A short question with a long answer. */
	#tellWatermarks(session: Session): void {
		if (session.pace.charge(WATERMARKS_FRAMES)) {
			this.#out.push(session, encode({ case: "watermarks", value: { watermarks: watermarksOf(this.#state) } }));
		} else this.#out.refuse(session, ErrorCode.RATE_LIMITED, { retryAfterMs: RETRY_AFTER_MS });
	}

	/** Rule EPHEMERAL-1: to whom listens now, and nowhere else. */
	#typing(session: Session, device: Device, started: boolean): void {
		const value = { account: device.accountBytes, device: device.device, started };
		pushEphemeral(this.#room, session, encode({ case: "typing", value }));
	}
}
