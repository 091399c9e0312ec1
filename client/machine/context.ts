/** What all steps of the machine share: the store, its clock, connections, and what goes out at a step's end. */
import { createHash } from "node:crypto";
import { create } from "@bufbuild/protobuf";
import { type AccountUp, AccountUpSchema } from "../../protocol/gen/account_pb.js";
import type { SyncItem } from "../../protocol/gen/content_pb.js";
import { type ConversationUp, ConversationUpSchema } from "../../protocol/gen/conversation_up_pb.js";
import { directConversationInput, fromHex, nextUuidV7, uuidFromBytes } from "../../protocol/ids.ts";
import { isGroup } from "../groups/state.ts";
import { ProfileMemory } from "../profile/memory.ts";
import type { Cipher } from "../signal/cipher.ts";
import { GroupCipher } from "../signal/sender_keys.ts";
import type { Store } from "../store/database.ts";
import type { NewMessage } from "../store/messages.ts";
import { GroupMemory } from "./groups/memory.ts";
import type { LocalAccount, MachineEnvironment, MachineRequest, Notice } from "./interface.ts";

/** What is known of a conversation's connection; nothing here has to survive. */
export interface Connection {
	open: boolean;
	/** `Welcome` has come on this socket: the roster is known, sends may go. */
	welcomed: boolean;
	/** Wire ids that were sent on this socket and are not answered. */
	inFlight: Set<string>;
	/** Encrypted for a roster that has changed: nothing is encrypted until all that is in flight was answered. */
	stale: boolean;
	/** Encrypted frames were kept back because the identity was blocked when the socket opened. */
	held: boolean;
	/** Refused for its rate: sent again after the wait that the server asks for. */
	limited: Set<string>;
	/** Accounts whose prekeys were asked for at this roster version already: not again before a change. */
	claimed: Set<string>;
	/** The highest number that the server has told of on this socket. */
	head: number;
	/** It has told of one that can't be. */
	doubted: boolean;
	/** The peer is no member any more. */
	deserted: boolean;
	/** Own entries that this socket was asked to withdraw. */
	withdrawn: Set<string>;
	/** What this socket was told. */
	acknowledged: number;
	/** When that was, and whether a wake was asked for the next time; in groups. */
	acknowledgedAt_ms: number;
	waking: boolean;
	/** Bytes of ciphertext that have come since, in groups. */
	arrived_bytes: number;
	/** Foreign entries have moved the cursor in this step. */
	foreign: boolean;
	/** News that the account waits to hear of (rule NUDGE-2). */
	news: { conversation: Uint8Array; upTo: number } | undefined;
}

/** A claim of prekeys that brought none. `unusable`: the server has some, and libsignal can't use them. */
interface FailedClaim {
	failures: number;
	waiting: boolean;
	unusable: boolean;
}

/** Of so many conversations the ids are kept in memory. */
const KEPT_IDS = 1_000;

/** One machine's parts, handed to the functions that handle its events. */
export class Context {
	readonly store: Store;
	readonly environment: MachineEnvironment;
	readonly account: LocalAccount;
	readonly cipher: Cipher;
	readonly groupCipher: GroupCipher;
	readonly groups = new GroupMemory();
	readonly connections = new Map<string, Connection>();
	/** Accounts with a claim on the way. */
	readonly claims = new Set<string>();
	/** Accounts whose claims failed, how often in a row, and whether the next one still waits. */
	readonly failedClaims = new Map<string, FailedClaim>();
	/** Conversations to look after at the end of the step. */
	readonly touched = new Set<string>();
	/** Texts of this step, by conversation, that are not stored yet: most can be stored with their frames at once. */
	readonly texts = new Map<string, NewMessage[]>();
	/** Devices (`account.device`) whose last entry could not be read. */
	readonly failing = new Set<string>();
	/** What accounts have called themselves since the start: only what changes has to be written. */
	readonly claimedNames = new Map<string, string>();
	readonly #conversationIds = new Map<string, Uint8Array<ArrayBuffer>>();
	/** What this step has changed for the other devices of the account. */
	readonly shared: SyncItem[] = [];
	readonly profiles = new ProfileMemory();
	/** Peers of whom it is known whether the user has accepted them. */
	readonly accepted = new Map<string, boolean>();
	/** Conversations that wait for the one with oneself: to be opened, or to be greeted. */
	readonly held = new Set<string>();
	holding = false;
	/** What the other devices have done was heard, or waited for, since the line was down. */
	heard = false;
	/** The user is there. */
	online = false;
	/** Whether any entries wait to be withdrawn; undefined until somebody has looked. */
	withdrawals: boolean | undefined;
	accountOpen = false;
	requests: MachineRequest[] = [];
	/** Messages that this step tells of, by sender and id. */
	readonly #told = new Map<string, Extract<Notice, { type: "message" | "message-changed" }>>();
	lastId: Uint8Array | undefined;

	constructor(store: Store, environment: MachineEnvironment, account: LocalAccount, cipher: Cipher) {
		this.store = store;
		this.environment = environment;
		this.account = account;
		this.cipher = cipher;
		this.groupCipher = new GroupCipher(store, account);
	}

	/**
	 * The 32 bytes by which the conversation with a peer, or a group, is known, to the server too (rule CONVERSATION-1).
	 */
	conversationId(peer: string): Uint8Array<ArrayBuffer> {
		if (isGroup(peer)) return fromHex(peer);
		const known = this.#conversationIds.get(peer);
		if (known !== undefined) return known;
		const input = directConversationInput(this.account.accountId, peer);
		const id = new Uint8Array(createHash("sha256").update(input).digest());
		if (this.#conversationIds.size >= KEPT_IDS) this.#conversationIds.clear();
		this.#conversationIds.set(peer, id);
		return id;
	}

	now(): Date {
		return new Date(this.environment.nowMs());
	}

	/** Grows, also when the clock goes back (rule ONCE-2). */
	newMessageId(): string {
		this.lastId = nextUuidV7(this.environment.nowMs(), this.environment.randomBytes(10), this.lastId);
		return uuidFromBytes(this.lastId);
	}

	connection(peer: string): Connection {
		const known = this.connections.get(peer);
		if (known !== undefined) return known;
		const connection = newConnection();
		this.connections.set(peer, connection);
		return connection;
	}

	request(request: MachineRequest): void {
		this.requests.push(request);
	}

	/** What a step does with one message is told once, as it is after the step: nobody is shown a state of between. */
	notify(notice: Notice): void {
		if (notice.type !== "message" && notice.type !== "message-changed") {
			this.requests.push({ type: "notify", notice });
			return;
		}
		const name = `${notice.message.sender} ${notice.message.id}`;
		const told = this.#told.get(name);
		if (told === undefined) {
			const copy = { ...notice };
			this.requests.push({ type: "notify", notice: copy });
			this.#told.set(name, copy);
			return;
		}
		told.message = notice.message;
		if (told.type === "message-changed" && notice.type === "message-changed" && notice.acted === true) {
			told.acted = true;
		}
	}

	/** A step begins: nobody was told of anything. */
	begin(): void {
		this.requests = [];
		this.#told.clear();
	}

	send(peer: string, frame: ConversationUp["frame"]): void {
		this.requests.push({ type: "send-frame", peer, frame: create(ConversationUpSchema, { frame }) });
	}

	sendAccount(frame: AccountUp["frame"]): void {
		this.requests.push({ type: "send-account-frame", frame: create(AccountUpSchema, { frame }) });
	}
}

export function newConnection(): Connection {
	return {
		open: false,
		welcomed: false,
		inFlight: new Set(),
		stale: false,
		held: false,
		limited: new Set(),
		claimed: new Set(),
		head: 0,
		doubted: false,
		deserted: false,
		withdrawn: new Set(),
		acknowledged: 0,
		acknowledgedAt_ms: Number.NEGATIVE_INFINITY,
		waking: false,
		arrived_bytes: 0,
		foreign: false,
		news: undefined,
	};
}
