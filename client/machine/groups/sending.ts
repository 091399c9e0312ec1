/** From the outbox to a group: one ciphertext for all, and envelopes for single devices (rule GROUP-12). */
import { create, toBinary } from "@bufbuild/protobuf";
import type { Envelope } from "../../../protocol/gen/common_pb.js";
import { ConversationUpSchema, SendSchema } from "../../../protocol/gen/conversation_up_pb.js";
import { uuidToBytes } from "../../../protocol/ids.ts";
import { isMember } from "../../groups/roles.ts";
import type { GroupState } from "../../groups/state.ts";
import { conversation } from "../../store/conversations.ts";
import { findRosterDevice, noteLeftOut } from "../../store/group_roster.ts";
import { countSent, findGroup, setWanted } from "../../store/groups.ts";
import { hasOlderKeys, type OutboxRow, removeOutbox, setFrame, waitingOutbox } from "../../store/outbox.ts";
import { plaintextOf } from "../content.ts";
import type { Context } from "../context.ts";
import { isBlocked } from "../identity.ts";
import { ATTEMPTS, claim, contentOf, failMessage, noteAddressees, storeTexts } from "../sending.ts";
import { currentDistribution, distribute, SENDER_KEY_MESSAGES, sealFor, WINDOW } from "./keys.ts";
import { groupState, maySend } from "./view.ts";

/** Encrypts and sends as much of a group's outbox as may go now. */
export async function pumpGroup(context: Context, peer: string): Promise<void> {
	const { store } = context;
	const connection = context.connection(peer);
	storeTexts(context, peer);
	const row = findGroup(store, peer);
	const state = groupState(context, peer);
	if (!connection.welcomed || row === undefined || state === undefined || row.member === 0) return;
	if (connection.stale && connection.inFlight.size > 0) return;
	connection.stale = false;
	const room = WINDOW - connection.inFlight.size;
	if (room <= 0) return;
	const waiting = waitingOutbox(store, peer, room);
	for (const one of waiting) if (one.target !== null) await sendToOne(context, one, one.target, state);
	const shared = waiting.filter(({ target }) => target === null);
	if (shared.length === 0 && row.wanted === 0) return;
	// They will be refused: what is sent meanwhile would be read by nobody who waits for them.
	if (hasOlderKeys(store, peer, conversation(store, peer).roster_version)) return;
	const distribution = await currentDistribution(context, row);
	if (!(await distribute(context, row, state, distribution, WINDOW - connection.inFlight.size))) return;
	setWanted(store, peer, false);
	for (const one of shared) {
		// What is left goes with the answers to these, under a new key where this one is used up.
		const used = findGroup(store, peer)?.sent ?? 0;
		if (connection.inFlight.size >= WINDOW || used >= SENDER_KEY_MESSAGES) break;
		if (one.attempts >= ATTEMPTS) failMessage(context, one, "STALE_ROSTER");
		else if (!maySend(context, peer, state, context.account.accountId)) failMessage(context, one, "NOT_PERMITTED");
		else await sendShared(context, one, distribution);
	}
}

async function sendShared(context: Context, row: OutboxRow, distribution: string): Promise<void> {
	const { store } = context;
	const { peer } = row;
	const version = conversation(store, peer).roster_version;
	const plaintext = plaintextOf(contentOf(context, row), context.conversationId(peer));
	const shared = await context.groupCipher.seal(peer, distribution, plaintext);
	countSent(store, peer);
	// Who may ask for it again is who was on this roster (rule GROUP-16).
	noteAddressees(context, row.id, `roster ${version}`);
	send(context, row, version, [], shared);
	tellLeftOut(context, row);
}

/** The sender learns for whom it was not (rule GROUP-17). */
function tellLeftOut(context: Context, row: OutboxRow): void {
	const leftOut = context.groups.leftOutOf(row.peer);
	if (leftOut.size === 0) return;
	const accounts = new Set<string>();
	for (const name of leftOut) {
		const [account = "", device = "0"] = name.split(".");
		accounts.add(account);
		noteLeftOut(context.store, row.id, account, Number(device));
	}
	context.notify({ type: "left-out", peer: row.peer, messageId: row.id, accounts: [...accounts] });
}

/** An entry for one device. Where that can't have one any more, it is dropped. */
async function sendToOne(context: Context, row: OutboxRow, target: string, state: GroupState): Promise<void> {
	const { store } = context;
	const [account = "", number = "0"] = target.split(".");
	const device = findRosterDevice(store, row.peer, account, Number(number));
	if (device === undefined || !isMember(state, account) || isBlocked(context, account) || row.attempts >= ATTEMPTS) {
		removeOutbox(store, row.position);
		return;
	}
	const session = context.cipher.currentSession(account, device.device, context.now());
	if (session?.remoteRegistrationId() !== device.registration_id) {
		if (context.connection(row.peer).claimed.has(account)) removeOutbox(store, row.position);
		else claim(context, account);
		return;
	}
	const envelope = await sealFor(context, device, plaintextOf(row.content, context.conversationId(row.peer)));
	if (envelope === undefined) removeOutbox(store, row.position);
	else send(context, row, conversation(store, row.peer).roster_version, [envelope], new Uint8Array(0));
}

function send(
	context: Context,
	row: OutboxRow,
	rosterVersion: number,
	envelopes: Envelope[],
	shared: Uint8Array,
): void {
	const value = create(SendSchema, { messageId: uuidToBytes(row.id), rosterVersion, envelopes, shared });
	const frame = create(ConversationUpSchema, { frame: { case: "send", value } });
	const bytes = toBinary(ConversationUpSchema, frame);
	setFrame(context.store, row.position, bytes, rosterVersion);
	context.connection(row.peer).inFlight.add(row.id);
	context.request({ type: "send-frame", peer: row.peer, frame, bytes });
}
