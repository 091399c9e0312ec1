/** The always-on socket: news of conversations, and how many prekeys are left. */

import type { AccountDown, News } from "../../protocol/gen/account_pb.js";
import { ErrorCode } from "../../protocol/gen/common_pb.js";
import { toHex, uuidFromBytes } from "../../protocol/ids.ts";
import { PROTOCOL_VERSION } from "../../protocol/version.ts";
import { isGroup } from "../groups/state.ts";
import { removeExpired } from "../messages/expiry.ts";
import { forgetMeta } from "../store/account.ts";
import { conversation, hotConversations } from "../store/conversations.ts";
import { allGroups } from "../store/groups.ts";
import { conversationsWithOutbox } from "../store/queries.ts";
import type { Context } from "./context.ts";
import { sendNewsSeen } from "./conversation.ts";
import { resumeAllChanges } from "./groups/changes.ts";
import { beginHolding, endOfNews, onLineGone, openOrHold } from "./held.ts";
import { onCounts } from "./prekeys.ts";
import { forgetOldRetries } from "./retry.ts";
import { requestSync } from "./sync.ts";

export function onAccountOpened(context: Context): void {
	context.accountOpen = true;
	const value = { $typeName: "parley.v1.AccountHello" as const, protocolVersion: PROTOCOL_VERSION };
	context.sendAccount({ case: "hello", value });
	beginHolding(context);
	// A process that ends before the first tick removes what is over, too.
	removeExpired(context);
	forgetOldRetries(context);
	requestSync(context);
	// A crash of the conversation can have taken an entry and its nudge with the dead connection (rule NUDGE-3).
	const wanted = allGroups(context.store).filter((row) => row.wanted === 1 && row.member === 1);
	const waiting = conversationsWithOutbox(context.store);
	for (const peer of new Set([...waiting, ...hotConversations(context.store), ...wanted.map((row) => row.peer)])) {
		openOrHold(context, peer);
	}
	resumeAllChanges(context);
}

/** A new device knows them by name, and what is said in them from its arrival on (rule SYNC-4). */
export function learnConversations(context: Context, peers: readonly string[]): void {
	for (const peer of peers) {
		conversation(context.store, peer);
		// A group's title and members come from its log and from the account's other devices.
		if (isGroup(peer)) context.request({ type: "open-conversation", peer });
	}
	forgetMeta(context.store, "conversations_wanted");
}

export function onAccountClosed(context: Context): void {
	context.accountOpen = false;
	onLineGone(context);
	// The account says them again.
	for (const connection of context.connections.values()) connection.news = undefined;
}

export function onAccountFrame(context: Context, { frame }: AccountDown): void {
	switch (frame.case) {
		case "news":
			onNews(context, frame.value);
			return;
		case "newsEnd":
			endOfNews(context);
			context.notify({ type: "account-caught-up" });
			return;
		case "prekeyCounts":
			onCounts(context, frame.value.oneTimeEc, frame.value.oneTimeKyber);
			return;
		case "refused":
			context.notify({
				type: "refused",
				peer: undefined,
				code: ErrorCode[frame.value.code] ?? String(frame.value.code),
				messageId: undefined,
			});
			return;
		case undefined:
			return;
	}
}

/** The other account of a conversation of two, or a group. */
function conversationOf(news: News): string | undefined {
	if (news.peer.length === 16) return uuidFromBytes(news.peer);
	return news.peer.length === 0 && news.conversation.length === 32 ? toHex(news.conversation) : undefined;
}

function onNews(context: Context, news: News): void {
	const peer = conversationOf(news);
	if (peer === undefined) return;
	const { cursor } = conversation(context.store, peer);
	const connection = context.connection(peer);
	connection.news = { conversation: news.conversation, upTo: news.upTo };
	// Though everything may be here already: a kill before the acknowledgement left the conversation believing that this
	// device lags, and only a Hello tells it otherwise, so that it nudges again (rule NUDGE-1).
	if (!connection.open) openOrHold(context, peer);
	else if (cursor >= news.upTo) sendNewsSeen(context, peer, cursor);
}
