/** The list of conversations, as people want it: the pinned ones first, then the newest. Nothing here writes. */
import { ConversationFlag } from "../../protocol/gen/content_pb.js";
import type { StoredMessage } from "../machine/interface.ts";
import { privacySwitch } from "../store/account.ts";
import type { Store } from "../store/database.ts";
import { conversationPeers, newestMessage, unreadCount } from "../store/queries.ts";
import { blockOf, draftOf, strangers } from "../store/standings.ts";
import { conversationFlag } from "../store/synced.ts";

export interface Chat {
	/** An account, or a group's id. */
	peer: string;
	/** The newest message that is still here. */
	last: StoredMessage | undefined;
	/** Messages of others that the user has not read on any device. */
	unread: number;
	pinned: boolean;
	archived: boolean;
	/** Milliseconds since 1970; 0 where it is not muted. */
	mutedUntilMs: number;
	blocked: boolean;
	draft: string | undefined;
}

/** Of people and groups; without strangers whose messages are requests (rule REQUEST-1). */
export function chats(store: Store, nowMs: number): Chat[] {
	const requests = new Set(privacySwitch(store, "message_requests") ? strangers(store) : []);
	const all = conversationPeers(store).filter((peer) => !requests.has(peer));
	const list = all.map((peer): Chat => {
		const mutedUntilMs = conversationFlag(store, peer, ConversationFlag.MUTED);
		return {
			peer,
			last: newestMessage(store, peer, nowMs),
			unread: unreadCount(store, peer, nowMs),
			pinned: conversationFlag(store, peer, ConversationFlag.PINNED) !== 0,
			archived: conversationFlag(store, peer, ConversationFlag.ARCHIVED) !== 0,
			mutedUntilMs: mutedUntilMs > nowMs ? mutedUntilMs : 0,
			blocked: blockOf(store, peer).blocked,
			draft: draftOf(store, peer),
		};
	});
	return list.sort((one, other) => Number(other.pinned) - Number(one.pinned) || timeOf(other) - timeOf(one));
}

function timeOf({ last }: Chat): number {
	return last?.serverTimeMs ?? last?.sentAtMs ?? 0;
}
