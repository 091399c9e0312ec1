/** What one device of the account does appears on the others (rules SYNC-1 to SYNC-3). */
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import {
	type ConversationFlag,
	Setting,
	type Sync,
	type SyncItem,
	SyncItemSchema,
	SyncSchema,
} from "../../protocol/gen/content_pb.js";
import { UUID_PATTERN } from "../../protocol/ids.ts";
import { LIMITS } from "../../protocol/limits.ts";
import { onRead } from "../messages/expiry.ts";
import { ownBytes } from "../signal/bytes.ts";
import { usernameOrNothing } from "../signal/username.ts";
import { forgetMeta, readMeta, setReadReceipts } from "../store/account.ts";
import { contactAccount, rememberContact } from "../store/contacts.ts";
import { conversation, knowsOwnDevices, readPositions, setRead } from "../store/conversations.ts";
import { enqueue } from "../store/outbox.ts";
import { allItems, flagSubject, keepItem, lastChangeMs, type Thing } from "../store/synced.ts";
import { syncContent } from "./content.ts";
import type { Context } from "./context.ts";
import { syncIdentity } from "./identity.ts";
import { keepResendable } from "./retry.ts";

type ItemKind = NonNullable<MessageInitShape<typeof SyncItemSchema>["kind"]>;

/** Notes a change that was made here, for the others. It leaves with the step. */
export function share(context: Context, kind: ItemKind): void {
	const thing = thingOf(create(SyncItemSchema, { kind }).kind);
	if (thing === undefined) return;
	// People read all the time: a position is told, and kept where the conversation is.
	if (kind.case === "read") {
		if (!knowsOwnDevices(context.store, context.account)) return;
		context.shared.push(create(SyncItemSchema, { changedMs: BigInt(context.environment.nowMs()), kind }));
		return;
	}
	// Later than what it replaces, also where another device's clock is ahead.
	const changedMs = Math.max(context.environment.nowMs(), lastChangeMs(context.store, thing) + 1);
	const item = create(SyncItemSchema, { changedMs: BigInt(changedMs), kind });
	keepItem(context.store, thing, item, context.account.deviceId);
	context.shared.push(item);
}

/** Puts what the step has changed into the outbox, where there is another device to hear of it. */
export function sendShared(context: Context): void {
	const items = context.shared.splice(0);
	if (items.length === 0 || !knowsOwnDevices(context.store, context.account)) return;
	enqueueSync(context, { items }, null);
}

/** A new device asks the others for what they know, once. */
export function requestSync(context: Context): void {
	if (readMeta(context.store, "sync_wanted") === undefined) return;
	forgetMeta(context.store, "sync_wanted");
	enqueueSync(context, { request: true }, null);
}

/** Another own device says something, or asks. Nobody else may. */
export function onSync(context: Context, device: number, sync: Sync): void {
	for (const item of sync.items.slice(0, LIMITS.sync_items)) apply(context, item, device);
	if (!sync.request) return;
	const items = [...allItems(context.store), ...reads(context)];
	const target = `${context.account.accountId}.${device}`;
	for (let from = 0; from < items.length; from += LIMITS.sync_items) {
		enqueueSync(context, { items: items.slice(from, from + LIMITS.sync_items) }, target);
	}
}

/** How far the user has read, for a device that is new. */
function reads(context: Context): SyncItem[] {
	const changedMs = BigInt(context.environment.nowMs());
	return readPositions(context.store).map(({ peer, read }) =>
		create(SyncItemSchema, { changedMs, kind: { case: "read", value: { conversation: peer, upTo: read } } }),
	);
}

/** A person sets up a conversation. */
export function setFlag(context: Context, peer: string, flag: ConversationFlag, value: number): void {
	share(context, { case: "flag", value: { conversation: peer, flag, value: BigInt(value) } });
	context.notify({ type: "synced", peer });
}

/** Whether others learn what the user has read. */
export function changeReadReceipts(context: Context, on: boolean): void {
	setReadReceipts(context.store, on);
	share(context, { case: "setting", value: { setting: Setting.READ_RECEIPTS, on } });
}

/** Which account a name leads to, once a person has been there. */
export function shareContact(context: Context, username: string, account: string): void {
	share(context, { case: "contact", value: { username, account } });
}

function apply(context: Context, item: SyncItem, device: number): void {
	const { store } = context;
	const thing = thingOf(item.kind);
	if (thing === undefined) return;
	const newer = item.kind.case !== "read" && keepItem(store, thing, item, device);
	switch (item.kind.case) {
		case "read": {
			const { conversation: peer, upTo } = item.kind.value;
			onRead(context, peer, upTo, Math.min(Number(item.changedMs), context.environment.nowMs()));
			// A position, not a choice: the furthest counts, whenever it was read.
			if (upTo <= conversation(store, peer).read) return;
			setRead(store, peer, upTo);
			context.notify({ type: "synced", peer });
			return;
		}
		case "identity":
			if (newer)
				syncIdentity(context, item.kind.value.account, ownBytes(item.kind.value.key), item.kind.value.verified);
			return;
		case "contact": {
			const { username, account } = item.kind.value;
			// A name that led elsewhere here stays there until a person accepts the change.
			if (newer && contactAccount(store, username) === undefined) rememberContact(store, username, account);
			return;
		}
		case "flag":
			if (newer) context.notify({ type: "synced", peer: item.kind.value.conversation });
			return;
		case "setting":
			if (newer && item.kind.value.setting === Setting.READ_RECEIPTS) setReadReceipts(store, item.kind.value.on);
			return;
	}
}

/** What an item is about; undefined for one of a later version, or one that is out of form. */
function thingOf(kind: SyncItem["kind"]): Thing | undefined {
	switch (kind.case) {
		case "read":
			return about(kind.case, kind.value.conversation);
		case "identity":
			return about(kind.case, kind.value.account);
		case "contact": {
			const known =
				usernameOrNothing(kind.value.username) === kind.value.username && UUID_PATTERN.test(kind.value.account);
			return known ? { kind: kind.case, subject: kind.value.username } : undefined;
		}
		case "flag": {
			const subject = flagSubject(kind.value.conversation, kind.value.flag);
			return about(kind.case, kind.value.conversation) === undefined ? undefined : { kind: kind.case, subject };
		}
		case "setting":
			return { kind: kind.case, subject: Setting[kind.value.setting] ?? String(kind.value.setting) };
		case undefined:
			return undefined;
	}
}

function about(kind: string, account: string): Thing | undefined {
	return UUID_PATTERN.test(account) ? { kind, subject: account } : undefined;
}

function enqueueSync(context: Context, sync: MessageInitShape<typeof SyncSchema>, target: string | null): void {
	const { accountId } = context.account;
	const id = context.newMessageId();
	const content = syncContent(id, context.environment.nowMs(), create(SyncSchema, sync));
	keepResendable(context, id, accountId, target ?? "", content);
	conversation(context.store, accountId);
	enqueue(context.store, id, accountId, content, target);
	if (!context.connection(accountId).open) context.request({ type: "open-conversation", peer: accountId });
	context.touched.add(accountId);
}
