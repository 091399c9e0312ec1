/** How far a group's members are: a message is delivered, or read, when it is at all of them (rule WATERMARK-1). */
import type { Watermark } from "../../../protocol/gen/common_pb.js";
import { uuidFromBytes } from "../../../protocol/ids.ts";
import type { ConversationRow } from "../../store/conversations.ts";
import { memberMarks, putGroupWatermark } from "../../store/group_watermarks.ts";
import type { Context } from "../context.ts";
import { groupState } from "./view.ts";

/** Notes members' watermarks. Returns how far the whole group is. */
export function noteGroupWatermarks(
	context: Context,
	peer: string,
	before: ConversationRow,
	marks: readonly Watermark[],
): { delivered: number; read: number } {
	for (const { account, device, delivered, read, after } of marks) {
		if (account.length !== 16) continue;
		putGroupWatermark(context.store, peer, { account: uuidFromBytes(account), device, delivered, read, after });
	}
	const listed = new Set(groupState(context, peer)?.members.map(({ account }) => account));
	const others = memberMarks(context.store, peer).filter(
		({ account }) => account !== context.account.accountId && listed.has(account),
	);
	const least = (values: number[]): number => (values.length === 0 ? 0 : Math.min(...values));
	return {
		delivered: Math.max(before.peer_delivered, least(others.map(({ delivered }) => delivered))),
		read: Math.max(before.peer_read, least(others.map(({ read }) => read))),
	};
}
