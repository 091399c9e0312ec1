/** Changes of a group: opened, verified, and only then believed (rules GROUP-10, GROUP-11). */
import { fromBinary } from "@bufbuild/protobuf";
import type { Entry } from "../../../protocol/gen/conversation_down_pb.js";
import { type GroupChange, GroupChangeSchema, type SignedGroupState } from "../../../protocol/gen/group_pb.js";
import { uuidFromBytes } from "../../../protocol/ids.ts";
import { differenceOf, type StateDifference } from "../../groups/difference.ts";
import { isAdmin, isMember } from "../../groups/roles.ts";
import { type GroupState, parseState } from "../../groups/state.ts";
import { type Objection, objectionTo } from "../../groups/verify.ts";
import { ownBytes } from "../../signal/bytes.ts";
import { openState, signatureFits } from "../../signal/group_state.ts";
import { identityKeyPair } from "../../signal/keys.ts";
import { conversation } from "../../store/conversations.ts";
import { addGroupChanged } from "../../store/group_history.ts";
import {
	addGroup,
	addRequest,
	findGroup,
	type GroupRow,
	removeRequest,
	setGroupKey,
	setGroupState,
	setSeenVersion,
	setWanted,
} from "../../store/groups.ts";
import { findIdentity } from "../../store/identities.ts";
import { keepLateRetry, takeLateRetries } from "../../store/late_retries.ts";
import { timeMs } from "../content.ts";
import type { Context } from "../context.ts";
import { answerRetry } from "../retry.ts";
import { claim } from "../sending.ts";
import { changeDone, changeFailed, isJoining } from "./changes.ts";
import { renewSenderKey } from "./roster.ts";
import { groupState, presentAccounts } from "./view.ts";

type Refusal = Objection | "unreadable" | "malformed" | "bad_signature" | "author_unknown";

/** The number of an entry that stands for a state from outside the log. */
export const FETCHED = 0;

/** False while the group's key or the author's identity key is not here. */
export function openChange(context: Context, peer: string, entry: Entry): boolean {
	const change = parseChange(entry.ciphertext);
	addGroup(context.store, peer);
	const row = findGroup(context.store, peer);
	if (change === undefined || row === undefined) return true;
	if (change.state.length === 0) return noteRequest(context, peer, change);
	const sender = entry.number === FETCHED ? undefined : uuidFromBytes(entry.senderAccount);
	const wire = uuidFromBytes(entry.messageId);
	if (change.version <= (entry.number === FETCHED ? row.version : row.seen_version)) {
		// A fetched state was newer, or this one is no news.
		changeDone(context, wire);
		return true;
	}
	if (row.key === null) return false;
	const signed = openState(row.key, { group: peer, version: change.version }, change.state);
	if (signed === undefined) {
		if (row.version > 0) return refuse(context, peer, change, "unreadable", sender, wire);
		// It was another group's key, or none: the right one may still come.
		setGroupKey(context.store, peer, null);
		return false;
	}
	const author = uuidFromBytes(signed.author);
	const trust = signatureOf(context, peer, signed, author, change.version);
	if (trust === "wait") return false;
	if (trust !== "good") return refuse(context, peer, change, trust, author, wire);
	const state = parseState(signed.state);
	if (state === undefined) return refuse(context, peer, change, "malformed", author, wire);
	const guest = isJoining(context, peer);
	const known = row.member === 0 ? undefined : groupState(context, peer);
	if (known !== undefined && change.version <= known.version && state.rank <= known.rank) {
		// It comes again after the log went back: never back to an older state (rule GROUP-19).
		setSeenVersion(context.store, peer, change.version);
		changeDone(context, wire);
		return true;
	}
	// Who comes by the link, or comes back, takes the state as it is, like at the first time. Who was removed and added
	// while it was away has not seen by whom it could be: two changes at least, of which it saw none.
	const away = known !== undefined && change.version > row.seen_version + 1 && state.rank > known.rank + 1;
	const back = away && adds(change, context.account.accountId);
	const before = back ? undefined : known;
	const objection = objectionTo({
		group: peer,
		before,
		after: state,
		author,
		sender,
		change,
		present: presentAccounts(context, peer),
		self: context.account.accountId,
	});
	if (objection !== undefined && !(guest && objection === "not_for_us")) {
		return refuse(context, peer, change, objection, author, wire);
	}
	if (back) renewSenderKey(context, peer);
	accept(context, row, before, state, signed, entry, change);
	return true;
}

/** Whether the server was told to put the account on the roster. */
function adds(change: GroupChange, self: string): boolean {
	return change.added.some(({ account }) => account.length === 16 && uuidFromBytes(account) === self);
}

function parseChange(bytes: Uint8Array): GroupChange | undefined {
	try {
		return fromBinary(GroupChangeSchema, bytes);
	} catch {
		return undefined;
	}
}

/** Whether the author has signed the state, as far as this device can know. */
function signatureOf(
	context: Context,
	peer: string,
	signed: SignedGroupState,
	author: string,
	version: number,
): "good" | "wait" | "bad_signature" | "author_unknown" {
	const { account, store, groups } = context;
	const own = author === account.accountId;
	const key = own ? identityKeyPair(store).publicKey.serialize() : findIdentity(store, author)?.key;
	if (key !== undefined && signatureFits(signed, key)) return "good";
	if (own) return "bad_signature";
	if (groups.gone.has(author)) return key === undefined ? "author_unknown" : "bad_signature";
	const doubt = `${peer} ${version} ${author}`;
	// A key that has changed shows with the claim, like in a conversation of two (rule CLIENT-3).
	if (key !== undefined && groups.doubted.has(doubt)) return "bad_signature";
	if (context.failedClaims.get(author)?.waiting !== true) {
		groups.doubted.add(doubt);
		claim(context, author);
	}
	return "wait";
}

function refuse(
	context: Context,
	peer: string,
	change: GroupChange,
	code: Refusal,
	account: string | undefined,
	wire: string,
): boolean {
	setSeenVersion(context.store, peer, change.version);
	context.notify({ type: "group-warning", peer, code, account });
	changeFailed(context, wire, code);
	context.touched.add(peer);
	return true;
}

function accept(
	context: Context,
	row: GroupRow,
	before: GroupState | undefined,
	state: GroupState,
	signed: SignedGroupState,
	entry: Entry,
	change: GroupChange,
): void {
	const { store, account, groups } = context;
	const { peer } = row;
	const { version, title } = state;
	const member = isMember(state, account.accountId);
	setGroupState(store, peer, { version, state: ownBytes(signed.state), title, member });
	groups.states.delete(peer);
	groups.rosterChanged(peer);
	for (const one of state.members) removeRequest(store, peer, one.account);
	if (change.declined.length === 16) removeRequest(store, peer, uuidFromBytes(change.declined));
	const author = uuidFromBytes(signed.author);
	const difference = before === undefined ? undefined : differenceOf(before, state);
	if (difference !== undefined && difference.removed.length > 0) renewSenderKey(context, peer);
	const ownDevice = author === account.accountId && entry.senderDevice === account.deviceId;
	// After a restore of the server a change brings back who is in the state already (rule GROUP-19).
	const back = change.added.some((one) => one.account.length === 16 && uuidFromBytes(one.account) !== author);
	const others =
		difference === undefined ? state.version === 1 : back || difference.added.some((one) => one.account !== author);
	if (ownDevice && others) setWanted(store, peer, true);
	if (entry.number !== FETCHED || before !== undefined) {
		const change = summary(before, state, difference);
		const fetched = entry.number === FETCHED;
		const number = fetched ? conversation(store, peer).cursor : entry.number;
		const atMs = fetched ? context.environment.nowMs() : timeMs(entry.serverTimeMs);
		addGroupChanged(store, peer, { number, timeMs: atMs, version, title, author, change });
		context.notify({ type: "group-changed", peer, version, title, author, change });
	}
	changeDone(context, uuidFromBytes(entry.messageId));
	answerLateRetries(context, peer, state);
	context.touched.add(peer);
}

/** Who has come with the state may have asked for messages before it was verified. */
function answerLateRetries(context: Context, peer: string, state: GroupState): void {
	for (const late of takeLateRetries(context.store, peer)) {
		if (isMember(state, late.account)) answerRetry(context, peer, late.account, late.device, late.message);
		else keepLateRetry(context.store, peer, late);
	}
}

/** What people are told of a change. */
function summary(before: GroupState | undefined, after: GroupState, difference: StateDifference | undefined) {
	return {
		first: before === undefined,
		added: difference?.added.map(({ account }) => account) ?? [],
		removed: difference?.removed ?? [],
		roles: difference?.roles.map(({ account, role }) => ({ account, role })) ?? [],
		renamed: before !== undefined && before.title !== after.title,
		described: before !== undefined && before.description !== after.description,
		pictured: before !== undefined && Buffer.compare(before.picture, after.picture) !== 0,
		rules: difference?.rules === true || difference?.link === true,
	};
}

/** Somebody asks to join; admins are told. */
function noteRequest(context: Context, peer: string, change: GroupChange): boolean {
	if (change.requested.length !== 16) return true;
	const account = uuidFromBytes(change.requested);
	const state = groupState(context, peer);
	if (state === undefined || isMember(state, account)) return true;
	addRequest(context.store, peer, account);
	if (isAdmin(state, context.account.accountId, presentAccounts(context, peer))) {
		context.notify({ type: "group-request", peer, account });
	}
	return true;
}
