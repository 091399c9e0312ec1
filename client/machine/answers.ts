/** Steps that need not wait for the disk. */
import { isGroup } from "../groups/state.ts";
import { waitingOutbox } from "../store/outbox.ts";
import type { Context } from "./context.ts";
import type { MachineEvent } from "./interface.ts";

/**
 * Whether a step holds nothing but answers to what was sent: `Accepted` and watermarks. Their commit need not be on disk
 * when the step ends. They change no ratchet, and after a power failure without them the frames are still in the outbox:
 * they go again with the same bytes and are accepted with the same numbers (rule ONCE-1), and `Welcome` brings the
 * watermarks. So that nothing leaves that relies on such a commit (rule CLIENT-1), what the step owes to its
 * conversations waits for the next one that is on disk: above all the acknowledgement of own entries, after which the
 * server may forget their ids. Where something waits to be sent already, the step is an ordinary one.
 */
export function onlyAnswers(context: Context, events: readonly MachineEvent[]): boolean {
	const peers = new Set<string>();
	for (const event of events) {
		if (event.type !== "conversation-frame") return false;
		const { case: kind } = event.frame.frame;
		if (kind !== "accepted" && kind !== "watermark") return false;
		peers.add(event.peer);
	}
	return [...peers].every((peer) => isQuiet(context, peer));
}

/**
 * Nothing waits for room in the conversation, for its cursor, or for an entry to withdraw. Groups owe more than this.
 */
function isQuiet(context: Context, peer: string): boolean {
	const { held, news, stale } = context.connection(peer);
	if (isGroup(peer) || held || stale || news !== undefined || context.withdrawals !== false) return false;
	return waitingOutbox(context.store, peer, 1).length === 0;
}
