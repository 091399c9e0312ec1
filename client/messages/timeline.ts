/**
 * A conversation as people look back on it: its messages, and between them what else has changed. Nothing here writes.
 */
import { fromBinary } from "@bufbuild/protobuf";
import { ContentSchema } from "../../protocol/gen/content_pb.js";
import type { StoredMessage } from "../machine/interface.ts";
import { actionsOf } from "../store/actions.ts";
import type { Store } from "../store/database.ts";
import { type GroupChanged, groupHistory } from "../store/group_history.ts";
import { history } from "../store/queries.ts";
import { acceptedAction } from "./accepted.ts";
import { timerPlace } from "./timer.ts";

/** Somebody has set the conversation's timer. */
export interface TimerChanged {
	/** Place in the log; undefined while it is queued. */
	number: number | undefined;
	/** By the server's clock, milliseconds since 1970; by this device's until the server has it. */
	timeMs: number;
	by: string;
	seconds: number;
}

/** The place of what the server does not have yet. */
const QUEUED = Number.MAX_SAFE_INTEGER;

/** What a conversation shows, in the order in which it happened. */
export type TimelineItem =
	| { type: "message"; message: StoredMessage }
	| ({ type: "group-changed"; peer: string } & GroupChanged)
	| ({ type: "timer-changed"; peer: string } & TimerChanged);

/** The newest `limit` messages, oldest first, and as many changes at most since the first of them. */
export function timeline(store: Store, peer: string, limit: number, nowMs: number): TimelineItem[] {
	const messages = history(store, peer, limit, nowMs);
	// What is before the first message that is shown belongs to those that are not.
	const first = messages.find(({ number }) => number !== undefined);
	const after = messages.length < limit ? -1 : (first?.number ?? Number.POSITIVE_INFINITY);
	const places = placesOf(messages);
	const placeOf = (item: TimelineItem): number =>
		item.type === "message" ? (places.get(item.message) ?? QUEUED) : (item.number ?? QUEUED);
	const items: TimelineItem[] = [
		...messages.map((message) => ({ type: "message" as const, message })),
		...groupHistory(store, peer, after, limit).map((each) => ({ type: "group-changed" as const, peer, ...each })),
		...timerChanges(store, peer)
			.filter(({ number }) => number === undefined || number > after)
			.slice(-limit)
			.map((each) => ({ type: "timer-changed" as const, peer, ...each })),
	];
	// Stable: messages that were queued stay in the order in which they were written.
	return items.sort((one, other) => placeOf(one) - placeOf(other));
}

/** Of each message; what failed stands where it is in the list, whatever is queued at the end. */
function placesOf(messages: readonly StoredMessage[]): Map<StoredMessage, number> {
	let place = 0;
	return new Map(
		messages.map((message) => {
			place = message.number ?? (message.status === "failed" ? place : QUEUED);
			return [message, place];
		}),
	);
}

function timerChanges(store: Store, peer: string): TimerChanged[] {
	const { author, id } = timerPlace(peer);
	const changes = actionsOf(store, peer, author, id).flatMap((row) => {
		const action = acceptedAction(fromBinary(ContentSchema, row.content), row.actor);
		if (action?.kind !== "timer") return [];
		return [{ number: row.number ?? undefined, timeMs: row.time_ms, by: row.actor, seconds: action.seconds }];
	});
	return changes.sort((one, other) => (one.number ?? QUEUED) - (other.number ?? QUEUED));
}
