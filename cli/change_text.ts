/** What has changed in a conversation, between its messages. */
import { isGroup } from "../client/groups/state.ts";
import type { TimelineItem } from "../client/messages/timeline.ts";
import type { Parley } from "../client/parley.ts";
import { groupNoticeText } from "./group_text.ts";
import { timeText } from "./message_text.ts";
import { timerText } from "./options.ts";
import { printable, type Terminal } from "./terminal.ts";

type Change = Exclude<TimelineItem, { type: "message" }>;

/** One line for people. */
export function changeLine(parley: Parley, change: Change, colors: Terminal["colors"]): string {
	return `${colors.dim(timeText(change.timeMs))} ${colors.yellow(printable(changeText(parley, change)))}`;
}

function changeText(parley: Parley, change: Change): string {
	switch (change.type) {
		case "group-changed":
			return groupNoticeText(parley, change);
		case "timer-changed":
			return `${parley.nameOf(change.by)}: ${timerText(parley.nameOf(change.peer), change.seconds)}`;
		default:
			return change satisfies never;
	}
}

/** The object for programs, with the place in the log as messages have it. */
export function changeObject(parley: Parley, change: Change): { type: Change["type"] } & Record<string, unknown> {
	const { number, timeMs, peer, ...rest } = change;
	const where = isGroup(peer) ? { group: peer } : { account: peer };
	const at = { number: number ?? null, serverTimeMs: number === undefined ? null : timeMs };
	return { ...rest, with: parley.nameOf(peer), ...where, ...at };
}
