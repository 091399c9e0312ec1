/** The server's copy of what was deleted for everyone, or has disappeared, goes too (rule DELETE-3). */
import { uuidFromBytes, uuidToBytes } from "../../protocol/ids.ts";
import type { Context } from "../machine/context.ts";
import { actionsOf } from "../store/actions.ts";
import { findMessage } from "../store/messages.ts";
import { outboxEntry, removeOutbox } from "../store/outbox.ts";
import { findUpload } from "../store/uploads.ts";
import { addWithdrawal, anyWithdrawals, dueWithdrawals, removeWithdrawal } from "../store/withdrawals.ts";
import type { MessageName } from "./wishes.ts";

/**
 * Asks for the removal of a message and its edits; whether the account may, its caller has looked. On disk before it
 * leaves, and said until it is answered.
 */
export function withdraw(context: Context, { author, id }: MessageName): void {
	const { store } = context;
	const message = findMessage(store, author, id);
	if (message === undefined) return;
	const { peer } = message;
	const edits = actionsOf(store, peer, author, id).filter(({ kind }) => kind === "edit");
	for (const each of [id, ...edits.map((edit) => edit.id)]) addWithdrawal(store, peer, each);
	context.withdrawals = true;
	context.touched.add(peer);
}

/** Whether a message has never left this device, and now never does: then nobody has to hear of its deletion. */
export function takeBack({ store, account }: Context, author: string, message: string): boolean {
	if (author !== account.accountId) return false;
	const waiting = outboxEntry(store, message);
	// Without its message the upload ends, and nothing is sent after it.
	if (waiting === undefined) return findUpload(store, message) !== undefined;
	if (waiting.frame !== null) return false;
	removeOutbox(store, waiting.position);
	for (const { id } of actionsOf(store, waiting.peer, author, message)) {
		const entry = outboxEntry(store, id);
		if (entry !== undefined) removeOutbox(store, entry.position);
	}
	return true;
}

/** Says what has to be withdrawn, once on each connection. */
export function sendWithdrawals(context: Context, peer: string): void {
	context.withdrawals ??= anyWithdrawals(context.store);
	const { welcomed, withdrawn } = context.connection(peer);
	if (!context.withdrawals || !welcomed) return;
	for (const id of dueWithdrawals(context.store, peer)) {
		if (withdrawn.has(id)) continue;
		withdrawn.add(id);
		context.send(peer, {
			case: "withdraw",
			value: { $typeName: "parley.v1.Withdraw", messageId: uuidToBytes(id) },
		});
	}
}

/** It is done, or will never be. */
export function onWithdrawn(context: Context, peer: string, messageId: Uint8Array): void {
	if (messageId.length !== 16) return;
	removeWithdrawal(context.store, peer, uuidFromBytes(messageId));
	context.withdrawals = anyWithdrawals(context.store);
}
