/** Asking again for what can't be decrypted, and answering those who ask (rule RETRY-1). */
import { fromBinary } from "@bufbuild/protobuf";
import { ContentSchema } from "../../protocol/gen/content_pb.js";
import { uuidFromBytes } from "../../protocol/ids.ts";
import { LIMITS } from "../../protocol/limits.ts";
import { isGroup } from "../groups/state.ts";
import { sentBefore } from "../messages/again.ts";
import type { MessageName } from "../messages/wishes.ts";
import { profileAgain } from "../profile/sharing.ts";
import { ownBytes } from "../signal/bytes.ts";
import { findAction } from "../store/actions.ts";
import { isGone } from "../store/details.ts";
import { findMessage } from "../store/messages.ts";
import { forgetMissing } from "../store/missing.ts";
import { enqueue } from "../store/outbox.ts";
import { emptyContent, retryContent } from "./content.ts";
import type { Context } from "./context.ts";
import { giveKeyAgain, wasOnRoster } from "./groups/retry.ts";

/** What was last told to own devices and can be asked for again. */
const RESENDABLE_SYNCS = 200;
/** In the place of a message's id: the count of unreadable entries since the last readable one. */
const FAILING = "failing";
/** After so many the device is not asked until an entry of it can be read. */
const FAILURES_IN_A_ROW = 32;
const DAY_MS = 24 * 60 * 60 * 1_000;

/** Asks a device for its message once more; false when it was asked often enough. */
export function requestRetry(context: Context, peer: string, device: string, wanted: Uint8Array): boolean {
	// A line that breaks everything, requests too, must not keep two devices asking each other for ever.
	if (countRetry(context, FAILING, device, "asked") > FAILURES_IN_A_ROW) return false;
	const asked = countRetry(context, uuidFromBytes(wanted), device, "asked");
	if (asked > LIMITS.retry_requests_per_message) return false;
	requestRetries(context, peer, device, [wanted]);
	return true;
}

/** Asks a device for messages, with as many to a request as one may name. */
export function requestRetries(context: Context, peer: string, device: string, wanted: readonly Uint8Array[]): void {
	for (let from = 0; from < wanted.length; from += LIMITS.named_entries) {
		const id = context.newMessageId();
		const named = wanted.slice(from, from + LIMITS.named_entries);
		enqueueResendable(context, id, peer, device, retryContent(id, context.environment.nowMs(), ...named));
	}
}

/** Answers a request, as far as it names what it may. */
export function answerRetries(
	context: Context,
	peer: string,
	account: string,
	device: number,
	wanted: readonly Uint8Array[],
): void {
	for (const id of wanted.slice(0, LIMITS.named_entries)) answerRetry(context, peer, account, device, id);
}

/**
 * Sends a message again to the one device that asks, under a new id on the wire. Only for a device and installation
 * that the message was encrypted for (rule ROSTER-3): everybody else's request is ignored.
 */
export function answerRetry(context: Context, peer: string, account: string, device: number, wanted: Uint8Array): void {
	if (wanted.length !== 16) return;
	const id = uuidFromBytes(wanted);
	const requester = `${account}.${device}`;
	const content = askedContent(context, peer, account, device, id);
	if (isGroup(peer)) giveKeyAgain(context, peer, account, device);
	if (content === undefined) return;
	// Counted for the content, under whatever ids it was sent.
	const known = fromBinary(ContentSchema, content).messageId;
	const count = countRetry(context, uuidFromBytes(known), requester, "answered");
	if (count > LIMITS.retry_requests_per_message) return;
	enqueueResendable(context, context.newMessageId(), peer, requester, content, uuidFromBytes(known));
	// The resend itself was lost: its placeholder goes away with an empty content in its place.
	if (uuidFromBytes(known) !== id) enqueue(context.store, context.newMessageId(), peer, emptyContent(id), requester);
}

/** Forgets what nobody can ask for any more: entries wait for the retention time, and requests come with them. */
export function forgetOldRetries(context: Context): void {
	const before = context.environment.nowMs() - LIMITS.retention_days * DAY_MS;
	for (const table of ["retries", "resendable"]) context.store.run(`DELETE FROM ${table} WHERE at_ms < ?`, [before]);
	forgetMissing(context.store, before);
}

/** A device's entry could be read: what fails later begins a new row of failures. */
export function noteReadable(context: Context, device: string): void {
	context.store.run("DELETE FROM retries WHERE message = ? AND device = ?", [FAILING, device]);
}

function askedContent(
	context: Context,
	peer: string,
	account: string,
	device: number,
	id: string,
): Uint8Array<ArrayBuffer> | undefined {
	const message = findMessage(context.store, context.account.accountId, id);
	if (message !== undefined) {
		if (message.peer !== peer || message.sender_device !== context.account.deviceId || message.body === null) return;
		return wasAddressed(context, peer, message.addressed, account, device) ? sentBefore(context, message) : undefined;
	}
	// It is not there any more: nothing comes into the place of the placeholder.
	if (isGone(context.store, context.account.accountId, id)) return emptyContent(id);
	const action = findAction(context.store, context.account.accountId, id);
	if (action !== undefined) {
		const addressed = wasAddressed(context, peer, action.addressed, account, device);
		return addressed && action.peer === peer ? ownBytes(action.content) : undefined;
	}
	const profile = profileAgain(context, peer, id);
	if (profile !== undefined) return profile;
	const other = context.store.get<{ content: Uint8Array<ArrayBuffer> }>(
		// Nobody but own devices is in the conversation with oneself.
		"SELECT content FROM resendable WHERE id = ? AND peer = ? AND (target = ? OR (target = '' AND peer = ?))",
		[id, peer, `${account}.${device}`, context.account.accountId],
	);
	return other === undefined ? undefined : ownBytes(other.content);
}

/** What own devices may ask for again; an empty target stands for all of them. Only the last are kept. */
export function keepResendable(
	context: Context,
	id: string,
	peer: string,
	target: string,
	content: Uint8Array<ArrayBuffer>,
): void {
	context.store.run("INSERT INTO resendable (id, peer, target, content) VALUES (?, ?, ?, ?)", [
		...[id, peer, target, content],
	]);
	context.store.run(
		`DELETE FROM resendable WHERE peer = ? AND id <= (SELECT id FROM resendable WHERE peer = ?
		 ORDER BY id DESC LIMIT 1 OFFSET ?)`,
		[peer, peer, RESENDABLE_SYNCS],
	);
}

/**
 * An own message is gone, with what this device did with it: nothing of it is sent again, nor kept to be (rules
 * DELETE-2, TIMER-2). Who waits for it gets an empty content in its place.
 */
export function forgetResends({ store, account }: Context, { author, id }: MessageName): void {
	const own = account.accountId;
	const contents = store
		.all<{ id: string }>("SELECT id FROM actions WHERE author = ? AND message = ? AND actor = ? AND kind <> 'delete'", [
			...[author, id, own],
		])
		.map((action) => action.id);
	if (author === own) contents.push(id);
	for (const message of contents) {
		const empty = emptyContent(message);
		store.run("UPDATE outbox SET content = ? WHERE id IN (SELECT id FROM resendable WHERE message = ?)", [
			...[empty, message],
		]);
		store.run("UPDATE resendable SET content = ? WHERE message = ?", [empty, message]);
	}
}

/** `message`: the own message or action that is sent again, if it is one. */
function enqueueResendable(
	context: Context,
	id: string,
	peer: string,
	target: string,
	content: Uint8Array<ArrayBuffer>,
	message: string | null = null,
): void {
	context.store.run("INSERT INTO resendable (id, peer, target, content, at_ms, message) VALUES (?, ?, ?, ?, ?, ?)", [
		...[id, peer, target, content, context.environment.nowMs(), message],
	]);
	enqueue(context.store, id, peer, content, target);
	context.touched.add(peer);
}

/** Counts one more, and returns the count. */
function countRetry(context: Context, message: string, device: string, direction: "asked" | "answered"): number {
	const count = context.store.value<number>(
		`INSERT INTO retries (message, device, direction, count, at_ms) VALUES (?, ?, ?, 1, ?)
		 ON CONFLICT (message, device, direction) DO UPDATE SET count = count + 1, at_ms = excluded.at_ms
		 RETURNING count AS value`,
		[message, device, direction, context.environment.nowMs()],
	);
	return count ?? 0;
}

/** Whether the installation that a device is now was among those for which something was encrypted. */
function wasAddressed(
	context: Context,
	peer: string,
	addressed: string | null,
	account: string,
	device: number,
): boolean {
	const registration = context.cipher.sessions.find(account, device)?.remoteRegistrationId();
	if (isGroup(peer)) return wasOnRoster(context, peer, addressed, account, device, registration);
	return addressed?.split(" ").includes(`${account}.${device}.${registration}`) ?? false;
}
