/** A group's part of the machine's frames, and what a step owes to it. */
import type { Refused } from "../../../protocol/gen/common_pb.js";
import { ErrorCode } from "../../../protocol/gen/common_pb.js";
import { conversation } from "../../store/conversations.ts";
import { changeWaits } from "../../store/group_entries.ts";
import { findGroup } from "../../store/groups.ts";
import type { OutboxRow } from "../../store/outbox.ts";
import type { Context } from "../context.ts";
import { fetchGroup, resumeChanges } from "./changes.ts";
import { onGroupGone } from "./gone.ts";
import { dropDistribution, KEYS_TARGET } from "./keys.ts";
import { askForMessages, drain } from "./receiving.ts";
import { pumpGroup } from "./sending.ts";

/** Opens what can be opened, asks for what is missing, goes on with changes, and sends. */
export async function finishGroup(context: Context, peer: string): Promise<void> {
	await drain(context, peer, conversation(context.store, peer).cursor);
	resumeChanges(context, peer);
	askForMessages(context, peer);
	const row = findGroup(context.store, peer);
	const caughtUp = context.groups.caughtUp.has(peer);
	// A device that came later than the last change has a key and no state.
	if (
		caughtUp &&
		row?.version === 0 &&
		row.key !== null &&
		!changeWaits(context.store, peer, Number.MAX_SAFE_INTEGER) &&
		!context.groups.fetched.has(peer)
	) {
		context.groups.fetched.add(peer);
		fetchGroup(context, peer, undefined);
	}
	if (caughtUp && row?.refetch === 1) fetchGroup(context, peer, undefined);
	await pumpGroup(context, peer);
}

/** What a refusal means in a group. Returns whether nothing is left to do. */
export function onGroupRefusedFrame(
	context: Context,
	peer: string,
	refused: Refused,
	row: OutboxRow | undefined,
): boolean {
	if (refused.code === ErrorCode.NOT_ON_ROSTER) onGroupGone(context, peer);
	if (row?.target !== KEYS_TARGET || refused.code === ErrorCode.RATE_LIMITED) return false;
	// The devices lack the key still, and are given it once more by the roster that came before this answer. What the
	// server refuses for another reason it would refuse again.
	const stale = refused.code === ErrorCode.STALE_ROSTER;
	dropDistribution(context, row, stale);
	if (stale) context.connection(peer).stale = true;
	context.connection(peer).inFlight.delete(row.id);
	context.touched.add(peer);
	return true;
}
