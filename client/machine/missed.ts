/** Entries whose ciphertexts the server has no more (rules KEPT-2, RETRY-3). */
import type { Entry, Missed, MissedEntry } from "../../protocol/gen/conversation_down_pb.js";
import { isUuidV7, uuidFromBytes, uuidToBytes } from "../../protocol/ids.ts";
import { LIMITS } from "../../protocol/limits.ts";
import { isGroup } from "../groups/state.ts";
import { isRequest } from "../messages/requests.ts";
import { conversation } from "../store/conversations.ts";
import { setRefetch } from "../store/groups.ts";
import { isMissing, type MissingEntry, noteMissing, takeMissing, takeUnasked } from "../store/missing.ts";
import { timeMs } from "./content.ts";
import type { Context } from "./context.ts";
import { isKnown, moveCursor } from "./receiving.ts";
import { requestRetries } from "./retry.ts";
import { isPlausible } from "./rewind.ts";

/**
 * Shown, never skipped in silence (rule KEPT-2). What this device had before its file went back to an old copy is asked
 * for again, and comes to its place (rule RETRY-3).
 */
export function onMissed(context: Context, peer: string, missed: Missed): void {
	const { cursor } = conversation(context.store, peer);
	if (missed.to <= cursor || !isPlausible(context, peer, missed.to)) return;
	let asked = 0;
	for (const named of missed.entries.slice(0, LIMITS.named_entries)) {
		if (named.number < missed.from || named.number > missed.to || named.number <= cursor) continue;
		const entry = entryOf(context, peer, named);
		if (entry === undefined || isKnown(context, entry.sender, entry.id)) continue;
		noteMissing(context.store, peer, entry, context.environment.nowMs());
		asked += 1;
	}
	context.notify({ type: "missed", peer, from: missed.from, to: missed.to, asked });
	moveCursor(context, peer, missed.to);
	// Changes may be among them, of which the newest state tells.
	if (isGroup(peer)) setRefetch(context.store, peer, true);
	// Asking would tell a stranger that the messages had come.
	if (!isRequest(context, peer)) askForMissing(context, peer);
}

/** Asks the senders of what is missing, each once. */
export function askForMissing(context: Context, peer: string): void {
	const ids = new Map<string, Uint8Array[]>();
	for (const { sender, device, id } of takeUnasked(context.store, peer)) {
		const name = `${sender}.${device}`;
		ids.set(name, [...(ids.get(name) ?? []), uuidToBytes(id)]);
	}
	for (const [device, wanted] of ids) requestRetries(context, peer, device, wanted);
}

/** An entry as it stands in the log where it was missing; or else as it is. */
export function inItsPlace(context: Context, peer: string, account: string, id: string, entry: Entry): Entry {
	const place = takeMissing(context.store, peer, account, id);
	return place === undefined ? entry : { ...entry, number: place.number, serverTimeMs: BigInt(place.time_ms) };
}

/** Whether something that is missing has this id. */
export function isAskedFor(context: Context, peer: string, account: string, id: string): boolean {
	return isMissing(context.store, peer, account, id);
}

function entryOf(context: Context, peer: string, named: MissedEntry): MissingEntry | undefined {
	const { senderAccount, senderDevice: device, number, messageId } = named;
	if (senderAccount.length !== 16 || device < 1 || device > 127 || !isUuidV7(messageId)) return undefined;
	const sender = uuidFromBytes(senderAccount);
	const own = context.account;
	if (sender === own.accountId && device === own.deviceId) return undefined;
	// The server may not bring a stranger into a conversation of two.
	if (!isGroup(peer) && sender !== peer && sender !== own.accountId) return undefined;
	return { sender, device, id: uuidFromBytes(messageId), number, time_ms: timeMs(named.serverTimeMs) };
}
