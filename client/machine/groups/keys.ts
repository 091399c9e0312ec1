/** This device's sender key: who lacks it, and how it gets to them (rules GROUP-12, GROUP-13). */
import { create, toBinary } from "@bufbuild/protobuf";
import { type Envelope, EnvelopeSchema } from "../../../protocol/gen/common_pb.js";
import { ConversationUpSchema, SendSchema } from "../../../protocol/gen/conversation_up_pb.js";
import { uuidFromBytes, uuidToBytes } from "../../../protocol/ids.ts";
import { LIMITS } from "../../../protocol/limits.ts";
import { isMember } from "../../groups/roles.ts";
import type { GroupState } from "../../groups/state.ts";
import { noteKeyBegun, withKey } from "../../profile/sharing.ts";
import { conversation, type RosterDevice } from "../../store/conversations.ts";
import { addHolder, holderCount, holdersOf, lackingDevices, removeHoldersOf } from "../../store/group_roster.ts";
import { beginSenderKey, endSenderKey, type GroupRow, setWanted } from "../../store/groups.ts";
import { enqueue, type OutboxRow, outboxEntry, removeOutbox, setFrame } from "../../store/outbox.ts";
import { timerOf } from "../../store/standings.ts";
import { emptyContent, plaintextOf, senderKeyContent } from "../content.ts";
import type { Context } from "../context.ts";
import { isBlocked } from "../identity.ts";
import { claim } from "../sending.ts";
import { goneAuthor } from "./authors.ts";

/** In the outbox, in the place of the one device that gets an entry: the entry brings many devices this device's key. */
export const KEYS_TARGET = "keys";
/** Frames of a group that are sent and not answered. */
export const WINDOW = 32;
/** A sender key is renewed after so many messages, or so long. */
export const SENDER_KEY_MESSAGES = 1_000;
export const SENDER_KEY_MS = 7 * 86_400_000;
/** Of the ciphertext that a message may have; what else is in a frame needs room too. */
const FRAME_CIPHERTEXT_BYTES = LIMITS.message_ciphertext_bytes - 8 * 1024;
/** Devices for one frame, about: with fewer it waits while others' prekeys are on the way. */
const FRAME_DEVICES = 32;
/** After so many claims that failed the others wait for the account no longer. */
const PATIENCE = 3;
/** Frames with keys of one step. */
const FRAMES_PER_STEP = 4;

/** The sender key's id, a new one where the old one is over. */
export async function currentDistribution(context: Context, row: GroupRow): Promise<string> {
	const { store, environment } = context;
	const age = environment.nowMs() - row.distribution_ms;
	const over = row.sent >= SENDER_KEY_MESSAGES || age >= SENDER_KEY_MS || age <= -SENDER_KEY_MS;
	if (row.distribution !== null && !over) return row.distribution;
	endSenderKey(store, row.peer);
	context.groups.complete.delete(row.peer);
	const distribution = randomUuid(context.environment.randomBytes(16));
	beginSenderKey(store, row.peer, distribution, environment.nowMs());
	noteKeyBegun(context, row.peer, distribution);
	return distribution;
}

/**
 * Brings the key on the way to who lacks it. Returns true when all who can have it have it: nothing that is sent now
 * can't be read for want of the key. Nobody whom the verified state doesn't list is given it (rule GROUP-11).
 */
export async function distribute(
	context: Context,
	row: GroupRow,
	state: GroupState,
	distribution: string,
	room: number,
): Promise<boolean> {
	const { peer } = row;
	const version = conversation(context.store, peer).roster_version;
	if (context.groups.complete.get(peer) === version) return true;
	const { ready, waiting } = candidates(context, peer, state);
	if (waiting && ready.length < FRAME_DEVICES) return false;
	let sent = 0;
	for (let frames = Math.min(room, FRAMES_PER_STEP); frames > 0 && sent < ready.length; frames--) {
		sent += await sendKeys(context, row, distribution, ready.slice(sent), version);
	}
	if (sent > 0) tellProgress(context, peer, state);
	const complete = !waiting && sent === ready.length;
	if (complete) context.groups.complete.set(peer, version);
	// What is left goes with the answers to these.
	return complete;
}

/** The devices that can be given the key now. `waiting`: there are others whose prekeys are on the way. */
function candidates(context: Context, peer: string, state: GroupState): { ready: RosterDevice[]; waiting: boolean } {
	const { account: own, groups } = context;
	const { claimed } = context.connection(peer);
	const leftOut = groups.leftOutOf(peer);
	const ready: RosterDevice[] = [];
	let waiting = false;
	const now = context.now();
	for (const device of lackingDevices(context.store, peer, { account: own.accountId, device: own.deviceId })) {
		if (ready.length >= FRAMES_PER_STEP * FRAME_DEVICES) return { ready, waiting: true };
		if (!isMember(state, device.account) || leftOut.has(nameOf(device))) continue;
		const failed = context.failedClaims.get(device.account);
		if (failed?.waiting === true && (failed.unusable || failed.failures >= PATIENCE)) {
			leftOut.add(nameOf(device));
			continue;
		}
		if (context.claims.has(device.account) || failed?.waiting === true) {
			waiting = true;
			continue;
		}
		const session = isBlocked(context, device.account)
			? undefined
			: context.cipher.currentSession(device.account, device.device, now);
		if (session?.remoteRegistrationId() === device.registration_id) ready.push(device);
		else if (claimed.has(device.account) || isBlocked(context, device.account)) leftOut.add(nameOf(device));
		else {
			waiting = true;
			claim(context, device.account);
		}
	}
	return { ready, waiting };
}

/** One frame with the key for as many devices as fit. Returns how many it was, left-out ones included. */
async function sendKeys(
	context: Context,
	row: GroupRow,
	distribution: string,
	devices: readonly RosterDevice[],
	version: number,
): Promise<number> {
	const { store, environment } = context;
	const { peer, key } = row;
	if (key === null) return devices.length;
	const id = context.newMessageId();
	const message = await context.groupCipher.distribution(peer, distribution);
	const timer = timerOf(store, peer);
	const made = goneAuthor(context, row);
	const from = { senderName: context.account.username, profile: withKey(context) };
	const content = senderKeyContent(id, environment.nowMs(), key, message, timer, from, made);
	const plaintext = plaintextOf(content, context.conversationId(peer));
	const envelopes: Envelope[] = [];
	let size = 0;
	let count = 0;
	for (const device of devices) {
		if (size >= FRAME_CIPHERTEXT_BYTES || count >= FRAME_DEVICES) break;
		count++;
		const envelope = await sealFor(context, device, plaintext);
		if (envelope === undefined) {
			context.groups.leftOutOf(peer).add(nameOf(device));
			continue;
		}
		size += envelope.ciphertext.length;
		envelopes.push(envelope);
		addHolder(store, peer, device, id);
	}
	if (envelopes.length === 0) return count;
	const value = create(SendSchema, { messageId: uuidToBytes(id), rosterVersion: version, envelopes });
	const frame = create(ConversationUpSchema, { frame: { case: "send", value } });
	enqueue(store, id, peer, emptyContent(id), KEYS_TARGET);
	const position = outboxEntry(store, id)?.position;
	if (position === undefined) throw new Error("a frame with keys was not written");
	const bytes = toBinary(ConversationUpSchema, frame);
	setFrame(store, position, bytes, version);
	context.connection(peer).inFlight.add(id);
	context.request({ type: "send-frame", peer, frame, bytes });
	return count;
}

/** Undefined where libsignal can't: the device has broken keys, and the others must not wait for it (rule GROUP-17). */
export async function sealFor(
	context: Context,
	device: RosterDevice,
	plaintext: Uint8Array<ArrayBuffer>,
): Promise<Envelope | undefined> {
	const sealed = await context.cipher.seal(device.account, device.device, plaintext, context.now());
	if (sealed === undefined) return undefined;
	const to = {
		account: uuidToBytes(device.account),
		device: device.device,
		registrationId: device.registration_id,
	};
	return create(EnvelopeSchema, { to, kind: sealed.kind, ciphertext: sealed.ciphertext });
}

/** The entry with keys never came into the log: its devices lack the key. Without `again` they are left out. */
export function dropDistribution(context: Context, row: OutboxRow, again: boolean): void {
	removeOutbox(context.store, row.position);
	if (!again) {
		const leftOut = context.groups.leftOutOf(row.peer);
		for (const device of holdersOf(context.store, row.id)) leftOut.add(nameOf(device));
	} else setWanted(context.store, row.peer, true);
	removeHoldersOf(context.store, row.id);
	context.groups.complete.delete(row.peer);
}

function tellProgress(context: Context, peer: string, state: GroupState): void {
	const { account: own, store } = context;
	const lacking = lackingDevices(store, peer, { account: own.accountId, device: own.deviceId });
	const done = holderCount(store, peer);
	const total = done + lacking.filter(({ account }) => isMember(state, account)).length;
	context.notify({ type: "group-progress", peer, done, total });
}

function nameOf({ account, device }: RosterDevice): string {
	return `${account}.${device}`;
}

/** A UUIDv4 of 16 random bytes: libsignal names sender keys so. */
function randomUuid(random: Uint8Array): string {
	const bytes = new Uint8Array(random);
	bytes[6] = ((bytes[6] ?? 0) & 0x0f) | 0x40;
	bytes[8] = ((bytes[8] ?? 0) & 0x3f) | 0x80;
	return uuidFromBytes(bytes);
}
