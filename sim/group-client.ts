/**
 * A device in a group that speaks the raw protocol, with sender keys that are only names: outbox, cursor, keys for who
 * lacks them, changes that are made anew. It does what the real client does, at a speed that allows thousands of worlds.
 */
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { EnvelopeKind, EnvelopeSchema, ErrorCode, type Refused, type Roster } from "../protocol/gen/common_pb.js";
import {
	type ConversationDown,
	ConversationDownSchema,
	type Entry,
	EntrySchema,
	type RosterChange,
} from "../protocol/gen/conversation_down_pb.js";
import { type Send, SendSchema } from "../protocol/gen/conversation_up_pb.js";
import { GroupChangeSchema } from "../protocol/gen/group_pb.js";
import { uuidFromBytes, uuidToBytes } from "../protocol/ids.ts";
import type { GroupView } from "../workers/conversation-do/interface.ts";
import { addressName, bodyText, encodeUp } from "./bodies.ts";
import { deviceName } from "./device.ts";
import { hashOf, type Wanted } from "./group-half.ts";
import { decodeJson, encodeJson, GivenKey, Sealed, SenderKeys } from "./group-keys.ts";
import { AGAIN_MS, type Connection, GroupLine, holder, isChange, keysFirst } from "./group-line.ts";

/** In the outbox: a message, or the own sender key for who lacks it. */
interface Waiting {
	id: string;
	keys: boolean;
	/** As it was sent last. */
	frame: Send | undefined;
}

export class GroupClient extends GroupLine {
	protected readonly keys = this.around.sharedKeys ?? new SenderKeys();
	protected outbox: Waiting[] = [];
	protected parked: Entry[] = [];
	protected roster = new Map<string, Roster["devices"][number]>();
	/** Of which copies were sent; each gets an answer of its own. */
	protected haunted = new Set<string>();
	/** Somebody new lacks the key, though there is nothing to send. */
	protected wanting = false;

	/** A person writes a message. */
	offer(): void {
		const id = this.newId();
		const done = this.step(() => {
			this.outbox.push({ id, keys: false, frame: undefined });
			// Before the step's requests are carried out.
			this.around.history.observe({ type: "offered", device: this.name, id });
			this.pump();
		});
		if (done) this.connect();
	}

	/** A person wants something of the group. */
	want(intention: Wanted["intention"]): void {
		if (!this.running) return;
		const intent = this.newId();
		this.around.history.note(`${this.name} wants ${JSON.stringify(intention)} ${intent}`);
		this.step(() => {
			this.half.want(intent, intention);
			this.resume();
		});
	}

	/** A person has an invite link; the group's state is looked at first. */
	follow(secret: string): void {
		if (!this.running || this.half.member === true) return;
		this.around.history.note(`${this.name} follows a link`);
		this.around.api().fetch(this, hashOf(Buffer.from(secret, "base64url")), (view) => {
			if (view === undefined || view === null) return;
			this.step(() => {
				this.half.hasKey = true;
				this.half.want(this.newId(), { do: "join", secret });
				this.fetched(view);
			});
		});
	}

	/** Somebody who was removed tries what is left to try. */
	haunt(): void {
		if (!this.running || this.half.member !== false) return;
		const { link } = this.connection ?? {};
		for (const { id, frame } of this.outbox) {
			this.haunted.add(id);
			if (frame !== undefined) link?.send("up", encodeUp({ case: "send", value: frame }));
		}
		this.half.want(this.newId(), { do: "rename", title: "mine" });
		this.step(() => this.resume());
		this.connect();
	}

	/** What is still to be sent. */
	report(): void {
		const messages = this.outbox.length;
		const changes = this.half.wanted.length;
		this.around.history.observe({ type: "left-over", device: this.name, messages, changes });
	}

	protected frame(connection: Connection, bytes: Uint8Array): void {
		if (this.connection !== connection || !this.running) return;
		const { frame } = fromBinary(ConversationDownSchema, bytes);
		this.step(() => {
			this.take(connection, frame);
			this.resume();
			this.pump();
		});
		this.acknowledgeSoon(connection);
	}

	protected take(connection: Connection, frame: ConversationDown["frame"]): void {
		const { history } = this.around;
		switch (frame.case) {
			case "welcome":
				connection.welcomed = true;
				if (frame.value.roster !== undefined) this.onRoster(frame.value.roster);
				for (const { id, frame } of keysFirst(this.outbox)) if (frame !== undefined) this.send(id, frame);
				return;
			case "entry": {
				const { number } = frame.value;
				history.observe({ type: "arrived", device: this.name, link: connection.link.id, number });
				if (number <= this.position) return;
				this.onEntry(frame.value);
				this.position = number;
				return;
			}
			case "caughtUp":
				connection.caughtUp = true;
				this.failures = 0;
				this.position = Math.max(this.position, frame.value.head);
				// A device that came later than the last change has a key and no state.
				if (this.half.lacksState && !this.parked.some(isChange)) this.fetch(undefined);
				return;
			case "accepted": {
				const { number } = frame.value;
				const id = uuidFromBytes(frame.value.messageId);
				const sent = this.outbox.find((one) => one.id === id);
				const timeMs = Number(frame.value.serverTimeMs);
				if (sent?.keys === false) history.observe({ type: "accepted", device: this.name, id, number, timeMs });
				this.outbox = this.outbox.filter((one) => one !== sent);
				connection.inFlight.delete(id);
				if (number === this.position + 1) this.position = number;
				return;
			}
			case "refused":
				this.refused(connection, frame.value);
				return;
			case "roster":
				this.onRoster(frame.value);
				return;
			case "rosterChange":
				this.onRosterChange(frame.value);
				return;
			case "missed":
				history.observe({ type: "missed", device: this.name, from: frame.value.from, to: frame.value.to });
				return;
			default:
				return;
		}
	}

	protected refused(connection: Connection, refused: Refused): void {
		const { history } = this.around;
		if (refused.code === ErrorCode.NOT_ON_ROSTER) {
			this.gone();
			return;
		}
		if (refused.code === ErrorCode.SUPERSEDED) return;
		const id = refused.messageId.length === 16 ? uuidFromBytes(refused.messageId) : "";
		const sent = this.outbox.find((one) => one.id === id);
		connection.inFlight.delete(id);
		if (sent === undefined && this.haunted.has(id)) return;
		if (refused.code === ErrorCode.STALE_ROSTER && sent !== undefined) {
			connection.stale = true;
			sent.frame = undefined;
			if (!sent.keys) return;
			this.outbox = this.outbox.filter((one) => one !== sent);
			this.keys.forget(id);
			this.wanting = true;
			return;
		}
		const code = ErrorCode[refused.code] ?? String(refused.code);
		if (refused.code !== ErrorCode.NOT_PERMITTED) history.observe({ type: "refused", device: this.name, code, id });
		if (sent !== undefined) this.fail(sent, code);
	}

	protected onRoster(roster: Roster): void {
		if (roster.version < this.rosterVersion) return;
		const now = new Set(roster.devices.map(addressName));
		const gone = [...this.roster.keys()].filter((name) => !now.has(name));
		this.half.present = new Set(roster.members.map(uuidFromBytes));
		this.changeDevices(roster.version, roster.devices, gone);
	}

	protected onRosterChange(change: RosterChange): void {
		if (change.version !== this.rosterVersion + 1) return;
		const present = this.half.present ?? new Set();
		for (const account of change.membersRemoved) present.delete(uuidFromBytes(account));
		for (const account of change.membersAdded) present.add(uuidFromBytes(account));
		this.half.present = present;
		if (change.membersAdded.length > 0 && this.connection !== undefined) this.connection.awaiting = true;
		this.changeDevices(change.version, change.added, change.removed.map(addressName));
	}

	protected changeDevices(
		version: number,
		present: readonly Roster["devices"][number][],
		gone: readonly string[],
	): void {
		for (const name of gone) this.roster.delete(name);
		let sister = false;
		for (const address of present) {
			const name = addressName(address);
			if (!this.roster.has(name) && uuidFromBytes(address.account) === this.account) sister = true;
			this.roster.set(name, address);
		}
		this.rosterVersion = version;
		if (gone.length > 0) this.renew();
		if (sister) this.wanting = true;
	}

	protected renew(): void {
		if (this.around.fault.client !== "keeps-sender-key") this.keys.renew();
	}

	protected onEntry(entry: Entry): void {
		if (entry.kind === EnvelopeKind.SESSION) {
			const given = decodeJson(GivenKey, entry.ciphertext);
			if (given === undefined) return;
			this.keys.receive(given);
			this.half.hasKey = true;
			this.drain();
		} else if (this.parked.length > 0 || !this.open(entry)) {
			this.parked.push(entry);
			// It may bring the first state, for which messages wait.
			if (isChange(entry) && this.half.state === undefined) this.drain();
		}
	}

	protected drain(): void {
		const parked = this.parked;
		this.parked = [];
		// Messages from before the first state that is known wait for it.
		if (this.half.state === undefined) parked.filter(isChange).some((entry) => this.open(entry) && this.half.state);
		for (const entry of parked) if (this.parked.length > 0 || !this.open(entry)) this.parked.push(entry);
	}

	protected open(entry: Entry): boolean {
		if (!isChange(entry)) return this.openMessage(entry);
		if (this.connection !== undefined) this.connection.awaiting = false;
		const opened = this.half.open(entry);
		if (typeof opened === "boolean") return opened;
		const { state, author, intent, first, removed } = opened;
		const { number } = entry;
		this.around.history.observe({ type: "state", device: this.name, number, author, intent, first, state });
		if (removed) this.renew();
		const ownDevice = author === this.account && entry.senderDevice === this.device;
		if (ownDevice) this.wanting = true;
		return true;
	}

	protected openMessage(entry: Entry): boolean {
		if (this.half.state === undefined) return false;
		const sealed = decodeJson(Sealed, entry.ciphertext);
		const id = uuidFromBytes(entry.messageId);
		const body = sealed !== undefined && this.keys.opens(sealed) ? bodyText(sealed.id, this.name) : "unreadable";
		const sender = deviceName(uuidFromBytes(entry.senderAccount), entry.senderDevice);
		const timeMs = Number(entry.serverTimeMs);
		const { number } = entry;
		this.around.history.observe({ type: "stored", device: this.name, number, id, sender, timeMs, body });
		return true;
	}

	protected pump(): void {
		const connection = this.connection;
		if (connection?.welcomed !== true || this.half.state === undefined || this.half.member !== true) return;
		// Who has come is given the key only when the log has told of it.
		if (!connection.caughtUp || connection.awaiting) return;
		if (connection.stale && connection.inFlight.size > 0) return;
		connection.stale = false;
		// Keys for an older roster will be refused: what is sent now couldn't be read.
		const older = ({ keys, frame }: Waiting): boolean => keys && frame?.rosterVersion !== this.rosterVersion;
		if (this.outbox.some(older)) return;
		const waiting = this.outbox.filter(({ frame }) => frame === undefined);
		if (waiting.length === 0 && !this.wanting) return;
		this.wanting = false;
		this.distribute();
		for (const one of waiting) {
			if (!this.half.maySend) this.fail(one, "NOT_PERMITTED");
			else {
				const own = this.keys.own(() => this.newKey());
				const shared = encodeJson({ key: own.key, place: own.place++, id: one.id } satisfies Sealed);
				const value = { messageId: uuidToBytes(one.id), rosterVersion: this.rosterVersion, envelopes: [], shared };
				one.frame = create(SendSchema, value);
				this.send(one.id, one.frame);
			}
		}
	}

	/** The own key for who lacks it, in one message before those that need it. */
	protected distribute(): void {
		const own = this.keys.own(() => this.newKey());
		const { fault } = this.around;
		const members = new Set(this.half.state?.members.map(({ account }) => account));
		const lacking = [...this.roster.values()].filter(
			(to) => !own.holders.has(holder(to)) && members.has(uuidFromBytes(to.account)) && addressName(to) !== this.name,
		);
		if (lacking.length === 0) return;
		const id = this.newId();
		const place = fault.client === "gives-old-keys" ? 0 : own.place;
		const ciphertext = encodeJson({ key: own.key, place } satisfies GivenKey);
		for (const to of lacking) own.holders.set(holder(to), id);
		// Who is forgotten is taken for one that has it.
		const given = fault.client === "forgets-holders" ? lacking.slice(1) : lacking;
		if (given.length === 0) return;
		const envelopes = given.map((to) => create(EnvelopeSchema, { to, kind: EnvelopeKind.SESSION, ciphertext }));
		const frame = create(SendSchema, { messageId: uuidToBytes(id), rosterVersion: this.rosterVersion, envelopes });
		this.around.history.observe({ type: "beside", device: this.name, id });
		this.outbox.push({ id, keys: true, frame });
		this.send(id, frame);
	}

	protected send(id: string, frame: Send): void {
		this.connection?.inFlight.add(id);
		this.up({ case: "send", value: frame }, true);
	}

	protected fail(one: Waiting, code: string): void {
		this.outbox = this.outbox.filter((other) => other !== one);
		this.around.history.observe({ type: "failed", device: this.name, code, id: one.id });
	}

	protected resume(): void {
		for (const one of this.half.wanted) {
			const ask = this.half.ask(one, () => this.newId());
			if (ask === undefined || this.calls.has(ask.wire)) continue;
			const { wire } = ask;
			this.calls.add(wire);
			this.around.history.observe({ type: "beside", device: this.name, id: wire });
			const life = this.life;
			this.around.api().ask(this, ask, (answer) => {
				if (life !== this.life) return;
				this.calls.delete(wire);
				if (answer === undefined) this.resumeLater();
				else if (!("refused" in answer)) this.step(() => this.answered(wire, answer.version));
				else if (answer.refused === "too_late") this.resumeLater();
				else {
					const { refused, limit } = answer;
					this.around.history.note(`${this.name} is refused ${wire}: ${refused}`);
					this.step(() => {
						const again = this.half.refused(wire, refused, limit ?? 0);
						if (again?.intention.do === "join") this.fetch(hashOf(Buffer.from(again.intention.secret, "base64url")));
						else if (again !== undefined) this.connect();
						this.resume();
					});
				}
			});
		}
	}

	protected answered(wire: string, version: number): void {
		const what = this.half.answered(wire, version);
		if (what === "left") this.gone();
		if (what === "logged") this.connect();
	}

	protected fetch(secretHash: string | undefined): void {
		if (this.calls.has("fetch")) return;
		this.calls.add("fetch");
		const life = this.life;
		this.around.api().fetch(this, secretHash, (view) => {
			if (life !== this.life) return;
			this.calls.delete("fetch");
			if (view === undefined) this.around.schedule.after(AGAIN_MS, () => this.fetch(secretHash));
			else if (view !== null) this.step(() => this.fetched(view));
		});
	}

	/** A state from outside the log stands before what waits. */
	protected fetched({ version, state, requests }: GroupView): void {
		const change = create(GroupChangeSchema, { version, state: Buffer.from(state, "base64") });
		const nobody = new Uint8Array(16);
		const entry = {
			kind: EnvelopeKind.CHANGE,
			messageId: nobody,
			senderAccount: nobody,
			ciphertext: toBinary(GroupChangeSchema, change),
		};
		this.parked.unshift(create(EntrySchema, entry));
		this.drain();
		for (const account of requests) this.half.requests.add(account);
		this.resume();
		this.pump();
	}

	protected gone(): void {
		this.half.gone();
		this.keys.renew();
		this.hot = false;
	}
}
