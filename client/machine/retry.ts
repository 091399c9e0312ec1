/** Asking again for what can't be decrypted, and answering those who ask (rule RETRY-1). */
import { uuidFromBytes } from "../../protocol/ids.ts";
import { LIMITS } from "../../protocol/limits.ts";
import { ownBytes } from "../signal/bytes.ts";
import { findMessage } from "../store/messages.ts";
import { enqueue } from "../store/outbox.ts";
import { retryContent, textContent } from "./content.ts";
import type { Context } from "./context.ts";

/** Asks a device for its message once more; false when it was asked often enough. */
export function requestRetry(context: Context, peer: string, device: string, wanted: Uint8Array): boolean {
	if (!countRetry(context, uuidFromBytes(wanted), device, "asked")) return false;
	const id = context.newMessageId();
	const content = retryContent(id, context.environment.nowMs(), wanted);
	enqueueResendable(context, id, peer, device, content);
	return true;
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
	if (content === undefined || !countRetry(context, id, requester, "answered")) return;
	enqueueResendable(context, context.newMessageId(), peer, requester, content);
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
		const registration = context.cipher.sessions.find(account, device)?.remoteRegistrationId();
		const addressed = message.addressed?.split(" ").includes(`${account}.${device}.${registration}`) ?? false;
		return addressed ? textContent(message.id, message.sent_at_ms, message.body) : undefined;
	}
	const other = context.store.get<{ content: Uint8Array<ArrayBuffer> }>(
		"SELECT content FROM resendable WHERE id = ? AND peer = ? AND target = ?",
		[id, peer, `${account}.${device}`],
	);
	return other === undefined ? undefined : ownBytes(other.content);
}

function enqueueResendable(
	context: Context,
	id: string,
	peer: string,
	target: string,
	content: Uint8Array<ArrayBuffer>,
): void {
	context.store.run("INSERT INTO resendable (id, peer, target, content) VALUES (?, ?, ?, ?)", [
		id,
		peer,
		target,
		content,
	]);
	enqueue(context.store, id, peer, content, target);
	context.touched.add(peer);
}

/** Counts one more; false at the limit. */
function countRetry(context: Context, message: string, device: string, direction: "asked" | "answered"): boolean {
	const count = context.store.value<number>(
		`INSERT INTO retries (message, device, direction, count) VALUES (?, ?, ?, 1)
		 ON CONFLICT (message, device, direction) DO UPDATE SET count = count + 1 RETURNING count AS value`,
		[message, device, direction],
	);
	return count !== undefined && count <= LIMITS.retry_requests_per_message;
}
