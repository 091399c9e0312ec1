/** What one device of the account does appears on the others (rules SYNC-1 to SYNC-3). */
import { create, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import {
	type ConversationFlag,
	Setting,
	Standing,
	type Sync,
	type SyncItem,
	SyncItemSchema,
	SyncSchema,
	type SyncSetting,
	type SyncStanding,
} from "../../protocol/gen/content_pb.js";
import { UUID_PATTERN, uuidToBytes } from "../../protocol/ids.ts";
import { LIMITS } from "../../protocol/limits.ts";
import { GROUP_PATTERN } from "../groups/state.ts";
import { nameOf } from "../messages/accepted.ts";
import { onRead, takeAway } from "../messages/expiry.ts";
import { changeBlock, whilePresent } from "../messages/presence.ts";
import { acceptPeer, isRequest } from "../messages/requests.ts";
import { applyTimer, knownTimers } from "../messages/timer.ts";
import type { MessageName } from "../messages/wishes.ts";
import { ownBytes } from "../signal/bytes.ts";
import { usernameOrNothing } from "../signal/username.ts";
import {
	forgetMeta,
	PRIVACY_SWITCHES,
	type PrivacySwitch,
	readMeta,
	setPrivacySwitch,
	setReadReceipts,
} from "../store/account.ts";
import { contactAccount, rememberContact } from "../store/contacts.ts";
import { conversation, knowsOwnDevices, readPositions, setRead } from "../store/conversations.ts";
import { messagesOf } from "../store/messages.ts";
import { enqueue } from "../store/outbox.ts";
import { forgetProfile } from "../store/profiles.ts";
import { addReadTime } from "../store/read_times.ts";
import { setBlock } from "../store/standings.ts";
import { allItems, flagSubject, keepItem, lastChangeMs, standingThing, type Thing } from "../store/synced.ts";
import { syncContent } from "./content.ts";
import type { Context } from "./context.ts";
import { syncIdentity } from "./identity.ts";
import { keepResendable } from "./retry.ts";

type ItemKind = NonNullable<MessageInitShape<typeof SyncItemSchema>["kind"]>;

/** Notes a change that was made here, for the others. It leaves with the step. */
export function share(context: Context, kind: ItemKind): void {
	const thing = thingOf(create(SyncItemSchema, { kind }).kind);
	if (thing === undefined) return;
	// People read all the time: a position is told, and kept where the conversation is. A new device has nothing to
	// delete.
	if (kind.case === "read" || kind.case === "deleted") {
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
	enqueueItems(context, items, null);
}

function enqueueItems(context: Context, items: readonly SyncItem[], target: string | null): void {
	for (const part of parts(items)) enqueueSync(context, { items: part }, target);
}

/** As many items together as a message has room for. */
function parts(items: readonly SyncItem[]): SyncItem[][] {
	const all: SyncItem[][] = [];
	let bytes = Number.POSITIVE_INFINITY;
	for (const item of items) {
		const size = toBinary(SyncItemSchema, item).length;
		if (bytes + size > LIMITS.sync_bytes || (all.at(-1)?.length ?? 0) >= LIMITS.sync_items) {
			all.push([]);
			bytes = 0;
		}
		all.at(-1)?.push(item);
		bytes += size;
	}
	return all;
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
	enqueueItems(
		context,
		[...allItems(context.store), ...knownTimers(context.store), ...reads(context)],
		`${context.account.accountId}.${device}`,
	);
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

/** What a person switches on or off for all devices. */
export function changePrivacy(context: Context, what: PrivacySwitch, on: boolean): void {
	whilePresent(context, () => setPrivacySwitch(context.store, what, on));
	share(context, { case: "setting", value: { setting: SETTINGS[what], on } });
}

/** A person accepts a stranger. */
export function shareAccepted(context: Context, peer: string): void {
	acceptPeer(context, peer);
	share(context, { case: "standing", value: { conversation: peer, standing: Standing.ACCEPTED, on: true } });
}

/** A person blocks somebody, or no longer does. */
export function shareBlock(context: Context, peer: string, on: boolean): void {
	changeBlock(context, peer, on);
	share(context, { case: "standing", value: { conversation: peer, standing: Standing.BLOCKED, on } });
}

/** A person deletes messages here: they go from the other devices too (rule DELETE-1). */
export function deleteHere(context: Context, peer: string, names: readonly MessageName[]): void {
	for (const { author, id } of names) {
		takeAway(context, { author, id });
		const message = { author: uuidToBytes(author), messageId: uuidToBytes(id) };
		share(context, { case: "deleted", value: { conversation: peer, message } });
	}
}

/** Which account a name leads to, once a person has been there. */
export function shareContact(context: Context, username: string, account: string): void {
	share(context, { case: "contact", value: { username, account } });
}

function apply(context: Context, item: SyncItem, device: number): void {
	const { store } = context;
	const thing = thingOf(item.kind);
	if (thing === undefined) return;
	const isKept = item.kind.case !== "read" && item.kind.case !== "deleted";
	const newer = isKept && keepItem(store, thing, item, device);
	switch (item.kind.case) {
		case "read": {
			const { conversation: peer, upTo } = item.kind.value;
			const readMs = Math.min(Number(item.changedMs), context.environment.nowMs());
			addReadTime(store, peer, upTo, readMs);
			onRead(context, peer, upTo, readMs);
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
			if (contactAccount(store, username) === undefined) rememberContact(store, username, account);
			return;
		}
		case "flag":
			if (newer) context.notify({ type: "synced", peer: item.kind.value.conversation });
			return;
		case "setting":
			if (newer) applySetting(context, item.kind.value);
			return;
		case "deleted": {
			const name = nameOf(item.kind.value.message);
			if (name !== undefined) takeAway(context, name);
			const peer = item.kind.value.conversation;
			if (messagesOf(store, peer).length === 0 && isRequest(context, peer)) forgetProfile(store, peer);
			return;
		}
		case "profile":
			if (!newer) return;
			context.profiles.forget();
			context.notify({ type: "profile-changed", account: item.kind.value.account });
			return;
		case "standing":
			if (newer) applyStanding(context, item.kind.value);
			return;
		case "timer":
			applyTimer(context, item.kind.value.conversation);
			return;
		case undefined:
			return;
	}
}

const SETTINGS = {
	typing: Setting.TYPING,
	presence: Setting.ONLINE,
	last_seen: Setting.LAST_SEEN,
	message_requests: Setting.MESSAGE_REQUESTS,
	discoverable: Setting.DISCOVERABLE,
} as const satisfies Record<PrivacySwitch, Setting>;

function applySetting(context: Context, { setting, on }: SyncSetting): void {
	const { store } = context;
	if (setting === Setting.READ_RECEIPTS) setReadReceipts(store, on);
	whilePresent(context, () => {
		for (const what of PRIVACY_SWITCHES) if (SETTINGS[what] === setting) setPrivacySwitch(store, what, on);
	});
}

function applyStanding(context: Context, { conversation: peer, standing, on }: SyncStanding): void {
	switch (standing) {
		case Standing.ACCEPTED:
			if (on) acceptPeer(context, peer);
			return;
		case Standing.BLOCKED:
			// What this device still has to say to the server, the other has said later.
			setBlock(context.store, peer, { blocked: on, due: false });
			context.notify({ type: "synced", peer });
			return;
		case Standing.UNSPECIFIED:
			return;
	}
}

/** What an item is about; undefined for one of a later version, or one that is out of form. */
function thingOf(kind: SyncItem["kind"]): Thing | undefined {
	switch (kind.case) {
		case "read":
			return about(kind.case, kind.value.conversation);
		case "identity":
		case "profile":
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
		case "deleted":
		case "timer":
			return about(kind.case, kind.value.conversation);
		case "standing": {
			const { conversation: peer, standing } = kind.value;
			return UUID_PATTERN.test(peer) ? standingThing(peer, standing) : undefined;
		}
		case undefined:
			return undefined;
	}
}

function about(kind: string, peer: string): Thing | undefined {
	return UUID_PATTERN.test(peer) || GROUP_PATTERN.test(peer) ? { kind, subject: peer } : undefined;
}

function enqueueSync(context: Context, sync: MessageInitShape<typeof SyncSchema>, target: string | null): void {
	const { accountId } = context.account;
	const id = context.newMessageId();
	const content = syncContent(id, context.environment.nowMs(), create(SyncSchema, sync));
	keepResendable(context, id, accountId, target ?? "", content);
	enqueue(context.store, id, accountId, content, target);
	if (!context.connection(accountId).open) context.request({ type: "open-conversation", peer: accountId });
	context.touched.add(accountId);
}
