/**
 * A light device's view of a group: the states that it has verified, with the real client's rules, and what it wants
 * changed. A signature is an author's name here, and the group's key a mark that says whether it is known.
 */
import { createHash } from "node:crypto";
import { fromBinary } from "@bufbuild/protobuf";
import { z } from "zod";
import { differenceOf } from "../client/groups/difference.ts";
import { type Intention, intend } from "../client/groups/intention.ts";
import { isMember, permits } from "../client/groups/roles.ts";
import { FIRST_RULES, type GroupState, parseState, serializeState } from "../client/groups/state.ts";
import { objectionTo } from "../client/groups/verify.ts";
import type { Entry } from "../protocol/gen/conversation_down_pb.js";
import { GroupChangeSchema } from "../protocol/gen/group_pb.js";
import { toHex, uuidFromBytes, uuidToBytes } from "../protocol/ids.ts";
import type { GroupRole, GroupRules } from "../workers/conversation-do/interface.ts";
import type { GroupClientFault } from "./faults.ts";
import { decodeJson, encodeJson } from "./group-keys.ts";

/** Stands in the place of the state's ciphertext. */
const Signed = z.object({ author: z.string(), intent: z.string(), version: z.number(), state: z.base64() });

/** What goes to the server for a change. */
export interface GroupAsk {
	do: "change" | "request";
	/** UUID of the entry. */
	wire: string;
	version: number;
	added: { account: string; role: GroupRole }[];
	removed: string[];
	roles: { account: string; role: GroupRole }[];
	rules: GroupRules | undefined;
	linkHash: string | undefined;
	declined: string | undefined;
	/** Base64. */
	state: string;
	linkSecretHash: string | undefined;
}

/** Something that a person wants of the group. */
export interface Wanted {
	/** Names it, whatever becomes of its attempts. */
	intent: string;
	intention: Intention | { do: "create"; members: readonly string[] };
	ask: GroupAsk | undefined;
	/** The version that has to be known before the next attempt. */
	needs: number;
	attempts: number;
}

/** A state that has just been believed. */
export interface Believed {
	first: boolean;
	state: GroupState;
	author: string;
	intent: string;
	removed: boolean;
}

/** The half of a device's disk that knows of the group. */
export class GroupHalf {
	readonly group: string;
	readonly account: string;
	readonly #fault: GroupClientFault | undefined;
	hasKey = false;
	state: GroupState | undefined;
	/** The newest version that was looked at, believed or not. */
	seen = 0;
	/** Undefined before anything is known. */
	member: boolean | undefined;
	/** The accounts on the roster. */
	present: Set<string> | undefined;
	readonly requests = new Set<string>();
	wanted: Wanted[] = [];
	/** The state came by a link to a device of a member: before the device was on the roster it may have changed. */
	#older = false;

	constructor(group: string, account: string, fault: GroupClientFault | undefined) {
		this.group = group;
		this.account = account;
		this.#fault = fault;
	}

	/** Whether it has to be asked for once the log is here. */
	get lacksState(): boolean {
		return this.state === undefined || this.#older;
	}

	get maySend(): boolean {
		const { state, account, present } = this;
		return state !== undefined && isMember(state, account) && permits(state, account, state.rules.send, present);
	}

	/** Opens a change. False while the group's key is not here; `number` 0 for a fetched state. */
	open(entry: Entry): Believed | boolean {
		const change = fromBinary(GroupChangeSchema, entry.ciphertext);
		const wire = uuidFromBytes(entry.messageId);
		if (change.state.length === 0) {
			if (change.requested.length === 16) this.requests.add(uuidFromBytes(change.requested));
			return true;
		}
		if (entry.number === 0) this.#older = false;
		if (change.version <= this.seen) {
			this.#end(wire);
			return true;
		}
		if (!this.hasKey) return false;
		const signed = decodeJson(Signed, change.state);
		const after = signed === undefined ? undefined : parseState(Buffer.from(signed.state, "base64"));
		this.seen = change.version;
		// The version is part of what is sealed.
		if (signed === undefined || after === undefined || signed.version !== change.version) {
			this.#end(wire);
			return true;
		}
		// Who is added though it is a member was removed while it was away.
		const back = change.added.some(({ account }) => uuidFromBytes(account) === this.account);
		const known = this.member === true ? this.state : undefined;
		const before = back ? undefined : known;
		const guest = this.wanted.some(({ intention }) => intention.do === "join");
		const objection = objectionTo({
			group: this.group,
			before,
			after,
			author: signed.author,
			sender: entry.number === 0 ? undefined : uuidFromBytes(entry.senderAccount),
			change,
			present: this.present,
			self: this.account,
		});
		this.#end(wire);
		const overlooked = this.#fault === "believes-anybody" || (guest && objection === "not_for_us");
		if (objection !== undefined && !overlooked) return true;
		this.state = after;
		this.member = isMember(after, this.account);
		for (const { account } of after.members) this.requests.delete(account);
		const { author, intent } = signed;
		const removed = back || (before !== undefined && differenceOf(before, after).removed.length > 0);
		return { first: before === undefined, state: after, author, intent, removed };
	}

	/** Writes down what a person wants. */
	want(intent: string, intention: Wanted["intention"]): void {
		// Its founder makes the key.
		if (intention.do === "create") this.hasKey = true;
		this.wanted.push({ intent, intention, ask: undefined, needs: 0, attempts: 0 });
	}

	/** What to ask the server for now; undefined where it has to wait, or makes no sense any more. */
	ask(one: Wanted, newId: () => string): GroupAsk | undefined {
		if (one.ask !== undefined) return one.ask;
		if (this.seen < one.needs) return undefined;
		const wire = one.attempts === 0 ? one.intent : newId();
		const ask = this.#build(one, wire);
		// Who joins waits for the state.
		if (ask === undefined && (one.intention.do !== "join" || this.state !== undefined)) this.#drop(one);
		if (ask === undefined && one.intention.do === "join") this.#older = this.member === true;
		one.ask = ask;
		return ask;
	}

	/** The server's answer to a call. */
	answered(wire: string, version: number): "left" | "requested" | "logged" | undefined {
		const one = this.wanted.find(({ ask }) => ask?.wire === wire);
		if (one === undefined) return undefined;
		const left = one.intention.do === "leave";
		const requested = one.ask?.do === "request";
		// Of a change from before an absence the entry never comes.
		if (left || requested || version <= this.seen) this.#drop(one);
		return left ? "left" : requested ? "requested" : "logged";
	}

	/** Others were faster: it is made anew, up to 8 times (rule GROUP-15). */
	refused(wire: string, code: string, version: number): Wanted | undefined {
		const one = this.wanted.find(({ ask }) => ask?.wire === wire);
		if (one === undefined) return undefined;
		if (code === "group_conflict" && one.attempts < 8) {
			one.attempts += 1;
			one.ask = undefined;
			one.needs = version;
			return one;
		}
		this.#drop(one);
		return undefined;
	}

	/** The account is no member any more. */
	gone(): void {
		this.member = false;
	}

	#build({ intent, intention }: Wanted, wire: string): GroupAsk | undefined {
		const { account, state: before } = this;
		const change = { do: "change" as const, wire, linkHash: undefined, declined: undefined, linkSecretHash: undefined };
		if (intention.do === "create") {
			const others = intention.members.map((one) => ({ account: one, role: "member" as const }));
			const members = [{ account, role: "admin" as const }, ...others];
			const bare = {
				group: this.group,
				version: 1,
				rank: 1,
				title: intent,
				description: "",
				picture: new Uint8Array(),
			};
			const state = this.#sign({ ...bare, members, rules: FIRST_RULES, linkSecret: new Uint8Array() }, intent);
			return { ...change, version: 1, added: members, removed: [], roles: [], rules: FIRST_RULES, state };
		}
		if (before === undefined) return undefined;
		const join = intention.do === "join";
		const linkSecretHash = join ? hashOf(Buffer.from(intention.secret, "base64url")) : undefined;
		if (join && before.rules.link && before.rules.approval) {
			const nothing = { version: 0, added: [], removed: [], roles: [], rules: undefined, state: "" };
			return { ...change, ...nothing, do: "request", linkSecretHash };
		}
		const after =
			this.#fault === "believes-anybody" && intention.do === "rename"
				? usurped(before, account)
				: intend(before, account, intention, join ? undefined : this.present);
		if (typeof after === "string") return undefined;
		const next = { ...after, version: this.seen + 1, rank: before.rank + 1 };
		const { added, removed, roles, rules, link } = differenceOf(before, next);
		return {
			...change,
			version: next.version,
			added,
			removed,
			roles,
			rules: rules ? next.rules : undefined,
			linkHash: link && next.linkSecret.length > 0 ? hashOf(next.linkSecret) : undefined,
			declined: intention.do === "decline" ? intention.account : undefined,
			linkSecretHash,
			state: this.#sign(next, intent),
		};
	}

	#sign(state: GroupState, intent: string): string {
		const bytes = Buffer.from(serializeState(state)).toString("base64");
		const signed = { author: this.account, intent, version: state.version, state: bytes };
		return Buffer.from(encodeJson(signed)).toString("base64");
	}

	#end(wire: string): void {
		const one = this.wanted.find(({ ask }) => ask?.wire === wire);
		if (one !== undefined) this.#drop(one);
	}

	#drop(one: Wanted): void {
		this.wanted = this.wanted.filter((other) => other !== one);
	}
}

/** Somebody makes itself an admin. */
function usurped(state: GroupState, account: string): GroupState {
	const members = state.members.map((one) => (one.account === account ? { account, role: "admin" as const } : one));
	return { ...state, members };
}

/** As the server keeps it. */
export function hashOf(secret: Uint8Array): string {
	return createHash("sha256").update(secret).digest("hex");
}

/** A message id as calls carry it. */
export function hexOf(id: string): string {
	return toHex(uuidToBytes(id));
}
