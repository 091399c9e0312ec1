/** A group's entries: changes and messages in the log's order, and what waits for a key (rules GROUP-11, GROUP-12). */
import { fromBinary, toBinary } from "@bufbuild/protobuf";
import { EnvelopeKind } from "../../../protocol/gen/common_pb.js";
import type { SenderKey } from "../../../protocol/gen/content_pb.js";
import { type Entry, EntrySchema } from "../../../protocol/gen/conversation_down_pb.js";
import { isUuidV7, uuidFromBytes } from "../../../protocol/ids.ts";
import { LIMITS } from "../../../protocol/limits.ts";
import { isMember } from "../../groups/roles.ts";
import { learnTimer } from "../../messages/timer.ts";
import { onProfile } from "../../profile/sharing.ts";
import { ownBytes } from "../../signal/bytes.ts";
import { conversation } from "../../store/conversations.ts";
import {
	changeWaits,
	markAsked,
	parkEntry,
	parkedEntries,
	unaskedEntries,
	unparkEntry,
} from "../../store/group_entries.ts";
import { addGroup, findGroup, setGroupKey } from "../../store/groups.ts";
import { findIdentity } from "../../store/identities.ts";
import { keepLateRetry } from "../../store/late_retries.ts";
import { parseContent } from "../content.ts";
import type { Context } from "../context.ts";
import { unacceptedKey } from "../identity.ts";
import { addPlaceholder, isAwaited, isKnown, moveCursor, noteName, onContent } from "../receiving.ts";
import { answerRetries, noteReadable, requestRetry } from "../retry.ts";
import { isPlausible } from "../rewind.ts";
import { learnAuthor } from "./authors.ts";
import { openChange } from "./opening.ts";
import { groupState, maySend } from "./view.ts";

/** Stores an entry of a group and moves the cursor. */
export async function onGroupEntry(context: Context, peer: string, entry: Entry): Promise<void> {
	const { cursor } = conversation(context.store, peer);
	context.connection(peer).arrived_bytes += entry.ciphertext.length;
	if (entry.number <= cursor || !isPlausible(context, peer, entry.number)) return;
	// A fetched state stands before what the log brings.
	await drain(context, peer, entry.number - 1);
	if (
		entry.senderAccount.length === 16 &&
		entry.senderDevice >= 1 &&
		entry.senderDevice <= 127 &&
		isUuidV7(entry.messageId)
	) {
		await take(context, peer, entry);
	}
	moveCursor(context, peer, entry.number);
}

/** Opens what waits and stands up to a number of the log, as far as the keys are here. */
export async function drain(context: Context, peer: string, upTo: number): Promise<void> {
	if (context.groups.settled.has(peer)) return;
	for (const row of parkedEntries(context.store, peer, upTo)) {
		const entry = fromBinary(EntrySchema, row.entry);
		const allowed = row.allowed === null ? undefined : row.allowed === 1;
		const done = row.change === 1 ? openChange(context, peer, entry) : await openMessage(context, peer, entry, allowed);
		if (done) unparkEntry(context.store, peer, row.number);
		else if (row.change === 1) return;
	}
	if (upTo >= conversation(context.store, peer).cursor) context.groups.settled.add(peer);
}

async function take(context: Context, peer: string, entry: Entry): Promise<void> {
	switch (entry.kind) {
		case EnvelopeKind.SESSION:
		case EnvelopeKind.PREKEY:
			return openPairwise(context, peer, entry);
		case EnvelopeKind.CHANGE:
			if (changeWaits(context.store, peer, entry.number) || !openChange(context, peer, entry))
				park(context, peer, entry);
			return;
		case EnvelopeKind.SENDER_KEY:
			if (changeWaits(context.store, peer, entry.number) || !(await openMessage(context, peer, entry, undefined))) {
				park(context, peer, entry);
			}
			return;
		case EnvelopeKind.UNSPECIFIED:
			return;
	}
}

function park(context: Context, peer: string, entry: Entry): void {
	const state = groupState(context, peer);
	const sender = uuidFromBytes(entry.senderAccount);
	const known = state !== undefined && !changeWaits(context.store, peer, entry.number);
	const allowed = known ? (maySend(context, peer, state, sender) ? 1 : 0) : null;
	const change = entry.kind === EnvelopeKind.CHANGE ? 1 : 0;
	addGroup(context.store, peer);
	parkEntry(context.store, { peer, number: entry.number, entry: toBinary(EntrySchema, entry), change, allowed });
	context.touched.add(peer);
}

/** A message under a sender key; false while the group's state or the key is not here. */
async function openMessage(
	context: Context,
	peer: string,
	entry: Entry,
	allowed: boolean | undefined,
): Promise<boolean> {
	const state = groupState(context, peer);
	if (state === undefined) return false;
	const account = uuidFromBytes(entry.senderAccount);
	const device = entry.senderDevice;
	if (!(allowed ?? maySend(context, peer, state, account))) {
		context.notify({ type: "group-warning", peer, code: "MESSAGE_NOT_PERMITTED", account });
		return true;
	}
	const opened = await context.groupCipher.open(peer, account, device, entry.ciphertext);
	switch (opened.type) {
		case "no-key":
			return false;
		case "repeated":
			// The key may have come only with a place of its chain that lies behind a message which is new here (rule
			// RETRY-2).
			if (isKnown(context, account, uuidFromBytes(entry.messageId))) return true;
			addPlaceholder(context, peer, account, entry);
			requestRetry(context, peer, `${account}.${device}`, entry.messageId);
			return true;
		case "undecryptable":
			addPlaceholder(context, peer, account, entry);
			requestRetry(context, peer, `${account}.${device}`, entry.messageId);
			return true;
		case "plaintext": {
			const content = parseContent(opened.plaintext, context.conversationId(peer));
			if (content === "misplaced") {
				context.notify({ type: "refused", peer, code: "WRONG_CONVERSATION", messageId: undefined });
			}
			if (content === undefined || content === "misplaced") addPlaceholder(context, peer, account, entry);
			else onContent(context, peer, account, entry, content, findIdentity(context.store, account)?.pending_key ?? null);
			return true;
		}
	}
}

/** What only this device gets: keys, requests to send again, and what was sent again. */
async function openPairwise(context: Context, peer: string, entry: Entry): Promise<void> {
	const account = uuidFromBytes(entry.senderAccount);
	const sender = `${account}.${entry.senderDevice}`;
	const opened = await context.cipher.open(account, entry.senderDevice, entry.kind, entry.ciphertext);
	switch (opened.type) {
		case "repeated":
		case "undecryptable":
			// Under keys that were used before: of a device whose file went back (rule RETRY-2). Without a placeholder: messages
			// that can't be read for want of what was in it have their own.
			context.cipher.sessions.archive(account, entry.senderDevice);
			context.connection(peer).claimed.delete(account);
			context.failing.add(sender);
			requestRetry(context, peer, sender, entry.messageId);
			return;
		case "plaintext": {
			if (context.failing.delete(sender)) noteReadable(context, sender);
			const content = parseContent(opened.plaintext, context.conversationId(peer));
			if (content === "misplaced") {
				context.notify({ type: "refused", peer, code: "WRONG_CONVERSATION", messageId: undefined });
			}
			if (content === undefined || content === "misplaced") return;
			if (content.kind.case === "senderKey") {
				await onSenderKey(context, peer, account, entry.senderDevice, content.kind.value);
				// Whose change it is, people are told by name before the author has written anything.
				if (account !== context.account.accountId) noteName(context, account, content.senderName);
				const { profile } = content.kind.value;
				const known = unacceptedKey(context, account, opened.identityKey) === null;
				const id = uuidFromBytes(content.messageId);
				if (profile !== undefined && known) onProfile(context, peer, account, id, profile);
				return;
			}
			const state = groupState(context, peer);
			const known = state !== undefined && isMember(state, account);
			if (content.kind.case === "retryRequest") {
				const { messageIds } = content.kind.value;
				if (known) answerRetries(context, peer, account, entry.senderDevice, messageIds);
				else waitForMember(context, peer, account, entry.senderDevice, messageIds);
			} else if (known) {
				// What was sent before and can't be read has its placeholder; anything else is a message like any other.
				const says = content.kind.case !== undefined && content.kind.case !== "profile";
				if (says && !maySend(context, peer, state, account) && !isAwaited(context, peer, account, content)) {
					context.notify({ type: "group-warning", peer, code: "MESSAGE_NOT_PERMITTED", account });
					return;
				}
				const underKey = unacceptedKey(context, account, opened.identityKey);
				onContent(context, peer, account, entry, content, underKey);
			}
			return;
		}
	}
}

/** The change that brings the member may wait for its author's key: what the member asks for is answered after it. */
function waitForMember(context: Context, peer: string, account: string, device: number, wanted: Uint8Array[]): void {
	for (const message of wanted.slice(0, LIMITS.named_entries)) {
		if (message.length === 16) keepLateRetry(context.store, peer, { account, device, message: ownBytes(message) });
	}
}

/** Before the first state any member's word on the group's key is taken: it has to open a state that proves itself. */
async function onSenderKey(
	context: Context,
	peer: string,
	account: string,
	device: number,
	value: SenderKey,
): Promise<void> {
	addGroup(context.store, peer);
	if (value.groupKey.length === 32 && findGroup(context.store, peer)?.key === null) {
		setGroupKey(context.store, peer, ownBytes(value.groupKey));
	}
	if (account === context.account.accountId) learnAuthor(context, peer, value);
	learnTimer(context, peer, account, value.timerSeconds);
	if (value.distribution.length > 0) await context.groupCipher.receive(peer, account, device, value.distribution);
	context.groups.unsettle(peer);
	context.touched.add(peer);
}

/**
 * Messages that still can't be read though the log is here: placeholders, and their senders are asked (rule RETRY-1).
 */
export function askForMessages(context: Context, peer: string): void {
	if (!context.groups.caughtUp.has(peer) || groupState(context, peer) === undefined) return;
	for (const row of unaskedEntries(context.store, peer)) {
		// Whether its sender might send is not known before the change.
		if (changeWaits(context.store, peer, row.number)) return;
		const entry = fromBinary(EntrySchema, row.entry);
		const account = uuidFromBytes(entry.senderAccount);
		markAsked(context.store, peer, row.number);
		addPlaceholder(context, peer, account, entry);
		requestRetry(context, peer, `${account}.${entry.senderDevice}`, entry.messageId);
	}
}
