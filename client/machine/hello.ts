/** The first frame of a conversation's connection. */
import { PROTOCOL_VERSION } from "../../protocol/version.ts";
import { isGroup } from "../groups/state.ts";
import { isRequest } from "../messages/requests.ts";
import { readReceipts } from "../store/account.ts";
import { conversation } from "../store/conversations.ts";
import type { Context } from "./context.ts";

/** The first frame on a conversation's connection: where this device stands (rules DELIVERED-1, WATERMARK-2). */
export function sayHello(context: Context, peer: string): void {
	const { cursor, read, roster_version } = conversation(context.store, peer);
	const quiet = isRequest(context, peer);
	context.send(peer, {
		case: "hello",
		value: {
			$typeName: "parley.v1.Hello",
			protocolVersion: PROTOCOL_VERSION,
			cursor,
			read: readReceipts(context.store) && !quiet ? read : 0,
			rosterVersion: isGroup(peer) ? roster_version : 0,
			quiet,
		},
	});
}
