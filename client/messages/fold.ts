/**
 * What a message looks like after all that was done with it. A pure function of what is known, so that the order in
 * which it came makes no difference (rule MESSAGE-4).
 */
import { LIMITS } from "../../protocol/limits.ts";
import type { Action } from "./accepted.ts";
import type { PollDraft, TextRange } from "./wishes.ts";

/** An action with its place. */
export interface Done {
	id: string;
	actor: string;
	/** Place in the log; undefined until the server has it: then it counts as the last. */
	number: number | undefined;
	timeMs: number;
	action: Action;
}

/** The message as its author sent it. */
export interface Original {
	author: string;
	/** By the server's clock, as far as it is known. */
	timeMs: number;
	body: string;
	ranges: readonly TextRange[];
	poll: PollDraft | undefined;
}

/** One of a message's texts. */
export interface Version {
	body: string;
	ranges: readonly TextRange[];
	timeMs: number;
}

export interface Folded {
	/** Who has deleted it for everyone; the rest is empty then. */
	deletedBy: string | undefined;
	/** The newest text last. */
	versions: readonly Version[];
	/** One for each person, in the order of the log. */
	reactions: readonly { account: string; emoji: string }[];
	/** Who has chosen what, in the order of the log. */
	votes: readonly { account: string; options: readonly number[] }[];
	/** The poll takes no more votes. */
	closed: boolean;
}

/** Whether somebody may delete a message that isn't theirs: admins of a group. */
export type MayDelete = (actor: string, author: string) => boolean;

const HOUR_MS = 60 * 60 * 1000;

export function fold(original: Original, done: readonly Done[], mayDelete: MayDelete): Folded {
	const ordered = [...done].sort(byPlace);
	const deletion = ordered.find((each) => deletes(each, original, mayDelete));
	if (deletion !== undefined) {
		return { deletedBy: deletion.actor, versions: [], reactions: [], votes: [], closed: true };
	}
	const versions: Version[] = [{ body: original.body, ranges: original.ranges, timeMs: original.timeMs }];
	const edits = ordered.flatMap(({ actor, timeMs, action }) => {
		const inTime = timeMs <= original.timeMs + LIMITS.edit_hours * HOUR_MS;
		if (action.kind !== "edit" || actor !== original.author || !inTime || original.poll !== undefined) return [];
		return [{ body: action.body, ranges: action.ranges, timeMs }];
	});
	versions.push(...edits);
	const closing = ordered.find(({ action, actor }) => action.kind === "close" && actor === original.author);
	return {
		deletedBy: undefined,
		versions,
		reactions: reactions(ordered),
		votes: original.poll === undefined ? [] : votes(ordered, original.poll, closing),
		closed: original.poll !== undefined && closing !== undefined,
	};
}

/** Rules DELETE-2 and DELETE-4. */
function deletes({ actor, number, timeMs, action }: Done, original: Original, mayDelete: MayDelete): boolean {
	if (action.kind !== "delete" || timeMs > original.timeMs + LIMITS.delete_hours * HOUR_MS) return false;
	// An admin's counts from its place in the log: until then they may be none any more.
	return actor === original.author || (number !== undefined && mayDelete(actor, original.author));
}

function reactions(ordered: readonly Done[]): { account: string; emoji: string }[] {
	const newest = new Map<string, string>();
	for (const { actor, action } of ordered) {
		if (action.kind !== "reaction") continue;
		newest.delete(actor);
		newest.set(actor, action.emoji);
	}
	return [...newest].flatMap(([account, emoji]) => (emoji === "" ? [] : [{ account, emoji }]));
}

/** Rules POLL-2 and POLL-3. */
function votes(ordered: readonly Done[], poll: PollDraft, closing: Done | undefined): Folded["votes"] {
	const newest = new Map<string, number[]>();
	for (const each of ordered) {
		const { actor, action } = each;
		if (action.kind !== "vote" || (closing !== undefined && byPlace(each, closing) > 0)) continue;
		const options = action.options.filter((option) => option < poll.options.length);
		// One that chooses what can't be chosen is no vote.
		if (options.length !== action.options.length || (options.length > 1 && !poll.multiple)) continue;
		newest.delete(actor);
		newest.set(actor, options);
	}
	return [...newest].flatMap(([account, options]) => (options.length === 0 ? [] : [{ account, options }]));
}

/** The order of the log; what the server doesn't have yet comes last, in the order of its making. */
function byPlace(one: Done, other: Done): number {
	const [a, b] = [one.number ?? Number.POSITIVE_INFINITY, other.number ?? Number.POSITIVE_INFINITY];
	if (a !== b) return a < b ? -1 : 1;
	return one.id < other.id ? -1 : one.id > other.id ? 1 : 0;
}
