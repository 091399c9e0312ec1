/** The machine: events in, requests and notices out, one transaction a step; no network, no clock of its own. */
import { UUID_PATTERN, uuidFromBytes, uuidToBytes } from "../../protocol/ids.ts";
import { LIMITS } from "../../protocol/limits.ts";
import { GROUP_PATTERN, isGroup } from "../groups/state.ts";
import { doWish, isWithinLimits, sendMessage } from "../messages/doing.ts";
import { removeExpired } from "../messages/expiry.ts";
import { setOnline } from "../messages/presence.ts";
import { deleteRequest } from "../messages/requests.ts";
import { sendWithdrawals } from "../messages/withdrawing.ts";
import { offerProfile, setProfile } from "../profile/sharing.ts";
import { Cipher } from "../signal/cipher.ts";
import { readMeta, requireAccount, writeMeta } from "../store/account.ts";
import { conversation, flushConversations } from "../store/conversations.ts";
import type { Store } from "../store/database.ts";
import { conversationsWithOutbox } from "../store/queries.ts";
import { setDraft } from "../store/standings.ts";
import { learnConversations, onAccountClosed, onAccountFrame, onAccountOpened } from "./account.ts";
import { onClaimFailed, onWake } from "./again.ts";
import { onlyAnswers } from "./answers.ts";
import { Context } from "./context.ts";
import {
	acknowledge,
	askWatermarks,
	markRead,
	onClosed,
	onFrame,
	onLeft,
	onOpened,
	sendNewsSeen,
	typing,
} from "./conversation.ts";
import { failFile, queueFile, sendFile } from "./files.ts";
import {
	changeGroup,
	createGroup,
	joinGroup,
	onFetched,
	onGroupAnswered,
	onGroupFailed,
	onGroupRefused,
	resumeAllChanges,
} from "./groups/changes.ts";
import { deleteGroup, onGroupGone } from "./groups/gone.ts";
import { finishGroup } from "./groups/group.ts";
import { forgetHeard, openOrHold } from "./held.ts";
import { acceptIdentity, noteIdentity, setVerified } from "./identity.ts";
import type { Machine, MachineEnvironment, MachineEvent, MachineRequest } from "./interface.ts";
import { onClaimed, onUploaded, rotateIfDue } from "./prekeys.ts";
import { pump, sendText } from "./sending.ts";
import {
	changePrivacy,
	changeReadReceipts,
	deleteHere,
	sendShared,
	setFlag,
	shareAccepted,
	shareBlock,
	shareContact,
} from "./sync.ts";

/**
 * The state machine over one device's file. A step is one transaction: what it returns is sent after the commit, and
 * an error undoes it all (rule CLIENT-1).
 */
export class ClientMachine implements Machine {
	readonly #context: Context;
	#last: Promise<unknown> = Promise.resolve();

	/** Throws `NotRegisteredError`. */
	constructor(store: Store, environment: MachineEnvironment) {
		const cipher = new Cipher(store, (account, key) => noteIdentity(this.#context, account, key));
		this.#context = new Context(store, environment, requireAccount(store), cipher);
		const lastId = readMeta<string>(store, "last_message_id");
		if (lastId !== undefined) this.#context.lastId = uuidToBytes(lastId);
	}

	/** Grows with each call, also over restarts and when the clock goes back (rule ONCE-2). */
	newMessageId(): string {
		return this.#context.newMessageId();
	}

	/**
	 * Handles events in one transaction. Throws a RangeError, before anything has changed, for a text over
	 * `LIMITS.text_bytes` or an id that is none. After any other error the runner has to close its sockets: the machine
	 * takes all connections for closed.
	 */
	step(events: readonly MachineEvent[]): Promise<MachineRequest[]> {
		const result = this.#last.then(() => this.#step(events));
		this.#last = result.catch(() => undefined);
		return result;
	}

	async #step(events: readonly MachineEvent[]): Promise<MachineRequest[]> {
		for (const event of events) validate(event);
		const context = this.#context;
		const { store } = context;
		context.begin();
		context.texts.clear();
		const answers = onlyAnswers(context, events);
		store.begin(answers ? "later" : "full");
		try {
			const before = context.lastId;
			for (const event of events) await handle(context, event);
			if (!answers) await finish(context);
			noteIds(context, before, events);
			context.cipher.sessions.flush();
			flushConversations(store);
			store.commit();
			return context.requests;
		} catch (error) {
			store.rollback();
			context.touched.clear();
			context.cipher.sessions.forget();
			context.connections.clear();
			context.claims.clear();
			context.failedClaims.clear();
			context.failing.clear();
			context.claimedNames.clear();
			context.shared.length = 0;
			context.groups.forget();
			context.accountOpen = false;
			forgetHeard(context);
			context.withdrawals = undefined;
			context.accepted.clear();
			context.profiles.forget();
			throw error;
		} finally {
			context.requests = [];
		}
	}
}

/** Keeps the greatest id that the file knows of; ids that were never stored need no memory. */
function noteIds(context: Context, before: Uint8Array | undefined, events: readonly MachineEvent[]): void {
	let last = readMeta<string>(context.store, "last_message_id") ?? "";
	const known = last;
	if (context.lastId !== undefined && context.lastId !== before) last = maximum(last, uuidFromBytes(context.lastId));
	for (const event of events) if (namesMessage(event)) last = maximum(last, event.id);
	if (last === known) return;
	writeMeta(context.store, "last_message_id", last);
	if (context.lastId === undefined || uuidFromBytes(context.lastId) < last) context.lastId = uuidToBytes(last);
}

/** Whether an event brings an id that the caller has made. */
function namesMessage(event: MachineEvent): event is Extract<MachineEvent, { id: string }> {
	switch (event.type) {
		case "send-text":
		case "send-message":
		case "do":
		case "queue-file":
		case "send-file":
		case "create-group":
		case "change-group":
		case "join-group":
			return true;
		default:
			return false;
	}
}

function maximum(one: string, other: string): string {
	return one > other ? one : other;
}

function validate(event: MachineEvent): void {
	if ("peer" in event && !UUID_PATTERN.test(event.peer) && !GROUP_PATTERN.test(event.peer)) {
		throw new RangeError("a peer is a UUID in lower case, or a group's id");
	}
	if (!namesMessage(event)) return;
	if (!UUID_PATTERN.test(event.id)) throw new RangeError("a message's id is a UUID in lower case");
	const text = event.type === "send-text" ? event.body : event.type === "send-message" ? event.draft.body : "";
	if (Buffer.byteLength(text) > LIMITS.text_bytes) {
		throw new RangeError(`a text has at most ${LIMITS.text_bytes} bytes`);
	}
	if (event.type === "do" && !isWithinLimits(event.wish)) throw new RangeError("an edit or a timer beyond the limits");
}

async function handle(context: Context, event: MachineEvent): Promise<void> {
	switch (event.type) {
		case "send-text":
			return sendText(context, event);
		case "send-message":
			return sendMessage(context, event);
		case "do":
			return doWish(context, event);
		case "accept-request":
			shareAccepted(context, event.peer);
			return offerProfile(context, event.peer);
		case "set-profile":
			return setProfile(context, event.change);
		case "delete-request":
			return deleteHere(context, event.peer, deleteRequest(context, event.peer));
		case "set-blocked":
			return shareBlock(context, event.peer, event.on);
		case "set-online":
			return setOnline(context, event.online);
		case "set-privacy":
			return changePrivacy(context, event.what, event.on);
		case "keep-draft":
			return setDraft(context.store, event.peer, event.text);
		case "delete-here":
			return deleteHere(context, event.peer, [event.message]);
		case "queue-file":
			return queueFile(context, event);
		case "send-file":
			return sendFile(context, event);
		case "fail-file":
			return failFile(context, event.id, event.peer, event.code);
		case "conversation-opened":
			return onOpened(context, event.peer);
		case "conversation-frame":
			return onFrame(context, event.peer, event.frame);
		case "conversation-closed":
			return onClosed(context, event.peer);
		case "conversation-left":
			return onLeft(context, event.peer);
		case "account-opened":
			return onAccountOpened(context);
		case "account-frame":
			return onAccountFrame(context, event.frame);
		case "account-closed":
			return onAccountClosed(context);
		case "prekeys-claimed":
			return onClaimed(context, event.account, event.bundles);
		case "prekeys-failed":
			return onClaimFailed(context, event.account);
		case "prekeys-uploaded":
			return onUploaded(context);
		case "mark-read":
			return markRead(context, event.peer, event.upTo);
		case "typing":
			return typing(context, event.peer, event.started);
		case "set-verified":
			return setVerified(context, event.peer, event.verified);
		case "accept-identity":
			return acceptIdentity(context, event.peer);
		case "learn-conversations":
			return learnConversations(context, event.peers);
		case "set-flag":
			return setFlag(context, event.peer, event.flag, event.value);
		case "set-read-receipts":
			return changeReadReceipts(context, event.on);
		case "share-contact":
			return shareContact(context, event.username, event.account);
		case "wake":
			return onWake(context, event.account);
		case "tick":
			return onTick(context);
		case "create-group":
			return createGroup(context, event);
		case "change-group":
			return changeGroup(context, event);
		case "join-group":
			return joinGroup(context, event);
		case "delete-group":
			return deleteGroup(context, event.peer);
		case "group-answered":
			return onGroupAnswered(context, event.peer, event.id, event.answer);
		case "group-refused":
			return onGroupRefused(context, event.peer, event.id, event.code, event.limit);
		case "group-failed":
			return onGroupFailed(context, event.peer, event.id);
		case "group-fetched":
			return onFetched(context, event.peer, event.group);
		case "group-gone":
			return onGroupGone(context, event.peer);
		case "ask-watermarks":
			return askWatermarks(context, event.peer);
	}
}

function onTick(context: Context): void {
	rotateIfDue(context);
	removeExpired(context);
	for (const peer of conversationsWithOutbox(context.store)) {
		openOrHold(context, peer);
		context.touched.add(peer);
	}
	resumeAllChanges(context);
}

/** What a step owes to the conversations that it touched, after all its events. */
async function finish(context: Context): Promise<void> {
	sendShared(context);
	for (const peer of context.touched) {
		if (isGroup(peer)) await finishGroup(context, peer);
		else await pump(context, peer);
		sendWithdrawals(context, peer);
		acknowledge(context, peer);
		sendNewsSeen(context, peer, conversation(context.store, peer).cursor);
	}
	context.touched.clear();
}
