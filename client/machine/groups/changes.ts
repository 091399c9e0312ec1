/** From what a person wants of a group to a change in its log, also when others are faster (rule GROUP-15). */
import { create, toBinary } from "@bufbuild/protobuf";
import { EnvelopeKind } from "../../../protocol/gen/common_pb.js";
import { EntrySchema } from "../../../protocol/gen/conversation_down_pb.js";
import type { ChangedGroup, Group } from "../../../protocol/http_groups.ts";
import type { Intention } from "../../groups/intention.ts";
import { fromBase64url, ownBytes } from "../../signal/bytes.ts";
import {
	addGroupChange,
	allGroupChanges,
	findChangeByWire,
	findGroupChange,
	type GroupChangeRow,
	groupChanges,
	removeGroupChange,
	setChangeNeeds,
	setUnreachable,
} from "../../store/group_changes.ts";
import { parkEntry, unparkEntry } from "../../store/group_entries.ts";
import {
	addGroup,
	addRequest,
	findGroup,
	lowerSeenVersion,
	setGroupKey,
	setRefetch,
	setSeenVersion,
} from "../../store/groups.ts";
import type { Context } from "../context.ts";
import {
	buildCall,
	type CreateIntention,
	changeOf,
	type GroupCall,
	isCreation,
	parseCall,
	parseIntention,
} from "./building.ts";
import { onGroupGone } from "./gone.ts";

/** How often a change is tried again after others were faster. */
const ATTEMPTS = 8;
/** In the place of a wire id: the group's state is asked for. */
const FETCH = "fetch";

/** Founds a group. The same id twice is one group. */
export function createGroup(context: Context, event: { id: string; peer: string } & Omit<CreateIntention, "do">): void {
	const { id, peer, title, description, members, seed } = event;
	if (findGroup(context.store, peer) !== undefined) return;
	setGroupKey(context.store, peer, ownBytes(context.environment.randomBytes(32)));
	addGroupChange(context.store, id, peer, JSON.stringify({ do: "create", title, description, members, seed }));
	resumeChanges(context, peer);
}

/** Writes down what a person wants, and asks the server for it. */
export function changeGroup(context: Context, event: { id: string; peer: string; intention: Intention }): void {
	addGroupChange(context.store, event.id, event.peer, JSON.stringify(event.intention));
	resumeChanges(context, event.peer);
}

/** Joins, or asks to join, with an invite link, whose state was fetched. */
export function joinGroup(
	context: Context,
	event: { id: string; peer: string; key: string; secret: string; group: Group },
): void {
	const { id, peer, key, secret, group } = event;
	if (findGroup(context.store, peer)?.member !== 1) setGroupKey(context.store, peer, fromBase64url(key));
	addGroupChange(context.store, id, peer, JSON.stringify({ do: "join", secret } satisfies Intention));
	setChangeNeeds(context.store, id, group.version);
	onFetched(context, peer, group);
}

/** Whether this account is about to join by a link: it may then read a state that doesn't list it. */
export function isJoining(context: Context, peer: string): boolean {
	return groupChanges(context.store, peer).some((row) => parseIntention(row.intention).do === "join");
}

/** Asks the server for what is written down and not under way. */
export function resumeChanges(context: Context, peer: string): void {
	const seen = findGroup(context.store, peer)?.seen_version ?? 0;
	for (const row of groupChanges(context.store, peer)) {
		if (context.groups.calls.has(row.wire)) continue;
		if (row.request !== null) call(context, peer, row.wire, parseCall(row.request));
		else if (seen >= row.needs) build(context, row);
	}
	context.touched.add(peer);
}

/** After a start, and now and then: what was under way may be lost. */
export function resumeAllChanges(context: Context): void {
	for (const peer of new Set(allGroupChanges(context.store).map((row) => row.peer))) resumeChanges(context, peer);
}

function build(context: Context, row: GroupChangeRow): void {
	const built = row.attempts > ATTEMPTS ? "group_conflict" : buildCall(context, row);
	if (built === undefined || (typeof built === "string" && mayPass(context, row.peer, built))) return;
	// A new device of a member has opened the link before the roster has it: the log begins after what changes until then.
	if (built === "joined_already") setRefetch(context.store, row.peer, true);
	if (typeof built === "string") fail(context, row, built);
	else call(context, row.peer, built.wire, built.call);
}

/** What the state here forbids the state in the log may allow: it is caught up with before a person is refused. */
function mayPass(context: Context, peer: string, code: string): boolean {
	if (code === "bad_title" || code === "joined_already" || code === "group_conflict") return false;
	if (findGroup(context.store, peer)?.member !== 1 || context.groups.caughtUp.has(peer)) return false;
	if (!context.connection(peer).open) context.request({ type: "open-conversation", peer });
	return true;
}

function call(context: Context, peer: string, id: string, what: GroupCall): void {
	if (context.groups.calls.has(id)) return;
	context.groups.calls.add(id);
	context.request({ type: "call-group", peer, id, call: what });
}

/** The server has the change in its log, where it comes from; to who has left it doesn't come. */
export function onGroupAnswered(context: Context, peer: string, wire: string, answer: ChangedGroup): void {
	context.groups.calls.delete(wire);
	const row = findChangeByWire(context.store, wire);
	if (row === undefined || row.peer !== peer) return;
	setUnreachable(context.store, row.id, answer.unreachable);
	const what = parseIntention(row.intention).do;
	if (what === "leave") onGroupGone(context, peer);
	const requested = row.request !== null && parseCall(row.request).do === "request";
	// Of a change from before an absence the entry never comes.
	const past = answer.version > 0 && answer.version <= (findGroup(context.store, peer)?.seen_version ?? 0);
	if (requested) addRequest(context.store, peer, context.account.accountId);
	if (what === "leave" || requested || past) changeDone(context, wire);
	else if (!context.connection(peer).open) context.request({ type: "open-conversation", peer });
}

export function onGroupRefused(
	context: Context,
	peer: string,
	wire: string,
	code: string,
	limit: number | undefined,
): void {
	context.groups.calls.delete(wire === FETCH ? fetchName(peer) : wire);
	const row = findChangeByWire(context.store, wire);
	if (row === undefined || row.peer !== peer) return;
	if (code === "not_found" && parseIntention(row.intention).do === "leave") {
		// The account has left already: the first answer was lost, or somebody has removed it.
		onGroupGone(context, peer);
		changeDone(context, wire);
		return;
	}
	if (code === "malformed" && row.request !== null && parseCall(row.request).do === "request") {
		// A member has nothing to ask for.
		fail(context, row, "joined_already");
		return;
	}
	if (code !== "group_conflict" || row.attempts > ATTEMPTS || isCreation(row)) {
		fail(context, row, code);
		return;
	}
	// The server was put back to an earlier state, and counts on from there (rule GROUP-19): no entry has to come first.
	if (limit !== undefined && limit <= (findGroup(context.store, peer)?.version ?? 0)) {
		lowerSeenVersion(context.store, peer, 0);
		setSeenVersion(context.store, peer, limit);
	}
	// Others were faster. The change is made anew on what they made of the group.
	setChangeNeeds(context.store, row.id, limit ?? 0);
	const intention = parseIntention(row.intention);
	if (intention.do === "join") fetchGroup(context, peer, intention.secret);
	else if (!context.connection(peer).open) context.request({ type: "open-conversation", peer });
	resumeChanges(context, peer);
}

/** The call failed for the moment: it is made again with the next connection, or a minute later. */
export function onGroupFailed(context: Context, peer: string, wire: string): void {
	context.groups.calls.delete(wire === FETCH ? fetchName(peer) : wire);
	if (wire === FETCH) context.groups.fetched.delete(peer);
}

/** Asks for the state as it is now; `secret` is an invite link's, for those who are no members. */
export function fetchGroup(context: Context, peer: string, secret: string | undefined): void {
	if (context.groups.calls.has(fetchName(peer))) return;
	context.groups.calls.add(fetchName(peer));
	context.request({ type: "call-group", peer, id: FETCH, call: { do: "fetch", secret } });
}

/** A state from outside the log is believed like one in it; undefined where the server has none for this device. */
export function onFetched(context: Context, peer: string, group: Group | undefined): void {
	context.groups.calls.delete(fetchName(peer));
	if (group === undefined) {
		for (const row of groupChanges(context.store, peer)) fail(context, row, "not_found");
		return;
	}
	addGroup(context.store, peer);
	setRefetch(context.store, peer, false);
	unparkEntry(context.store, peer, 0);
	const { version, state } = group;
	const ciphertext = changeOf({ do: "state", version, state });
	const nobody = new Uint8Array(16);
	const entry = create(EntrySchema, {
		kind: EnvelopeKind.CHANGE,
		messageId: nobody,
		senderAccount: nobody,
		ciphertext,
	});
	parkEntry(context.store, { peer, number: 0, entry: toBinary(EntrySchema, entry), change: 1, allowed: null });
	for (const account of group.requests) addRequest(context.store, peer, account);
	context.groups.unsettle(peer);
	context.touched.add(peer);
}

function fetchName(peer: string): string {
	return `${FETCH} ${peer}`;
}

/** The change is in the group's verified history. */
export function changeDone(context: Context, wire: string): void {
	const row = findChangeByWire(context.store, wire);
	if (row === undefined) return;
	removeGroupChange(context.store, row.id);
	const unreachable: unknown = JSON.parse(row.unreachable);
	const accounts = Array.isArray(unreachable) ? unreachable.map(String) : [];
	const requested = row.request !== null && parseCall(row.request).do === "request";
	context.notify({ type: "group-change-done", peer: row.peer, id: row.id, unreachable: accounts, requested });
}

export function changeFailed(context: Context, wire: string, code: string): void {
	const row = findChangeByWire(context.store, wire);
	if (row !== undefined) fail(context, row, code);
}

function fail(context: Context, row: GroupChangeRow, code: string): void {
	if (findGroupChange(context.store, row.id) === undefined) return;
	removeGroupChange(context.store, row.id);
	context.notify({ type: "group-change-failed", peer: row.peer, id: row.id, code });
}
