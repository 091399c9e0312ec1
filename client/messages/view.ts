/** A message as a person sees it, with all that belongs to it. Nothing here writes. */
import { LIMITS } from "../../protocol/limits.ts";
import type { Store } from "../store/database.ts";
import { contentOfDetails } from "../store/details.ts";
import { nameOf } from "./accepted.ts";
import type { Version } from "./fold.ts";
import { type Link, linksOf } from "./ranges.ts";
import { messageState } from "./state.ts";
import type { MessageName, TextRange } from "./wishes.ts";

/** A poll with its votes. */
export interface PollView {
	options: readonly { text: string; voters: readonly string[] }[];
	multiple: boolean;
	closed: boolean;
}

/** What a message has beside what `StoredMessage` says. */
export interface MessageView {
	replyTo: MessageName | undefined;
	forwards: number;
	ranges: readonly TextRange[];
	links: readonly Link[];
	reactions: readonly { account: string; emoji: string }[];
	/** The texts before the present one, the first first (rule EDIT-3). */
	earlier: readonly Version[];
	/** Deleted for everyone, by this account. */
	deleted: boolean;
	poll: PollView | undefined;
	expireAfterSeconds: number;
	/** When it disappears, where its time runs. */
	expiresAtMs: number | undefined;
}

/** Undefined for a message that isn't here, or can't be read. */
export function messageView(store: Store, sender: string, id: string): MessageView | undefined {
	const state = messageState(store, sender, id);
	if (state === undefined) return undefined;
	const { details, original, folded } = state;
	const parts = details === undefined ? undefined : contentOfDetails(details);
	const deleted = details?.deleted === 1;
	const now = folded.versions.at(-1);
	const poll = deleted ? undefined : original.poll;
	return {
		replyTo: nameOf(parts?.replyTo),
		forwards: Math.min(parts?.forwards ?? 0, LIMITS.forwards),
		ranges: now?.ranges ?? [],
		links: linksOf(now?.body ?? ""),
		reactions: folded.reactions,
		earlier: folded.versions.slice(0, -1),
		deleted,
		poll: poll && {
			options: poll.options.map((text, index) => ({ text, voters: votersOf(folded.votes, index) })),
			multiple: poll.multiple,
			closed: folded.closed,
		},
		expireAfterSeconds: details?.expire_after_seconds ?? 0,
		expiresAtMs: details?.expires_at_ms ?? undefined,
	};
}

function votersOf(votes: readonly { account: string; options: readonly number[] }[], index: number): string[] {
	return votes.flatMap(({ account, options }) => (options.includes(index) ? [account] : []));
}
