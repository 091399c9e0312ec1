/** The identity key of who made a group's newest state and is gone, between the devices of one account (rule GROUP-12). */
import { PublicKey } from "@signalapp/libsignal-client";
import type { SenderKey } from "../../../protocol/gen/content_pb.js";
import { uuidFromBytes, uuidToBytes } from "../../../protocol/ids.ts";
import { ownBytes } from "../../signal/bytes.ts";
import { authorOf } from "../../store/group_history.ts";
import { findGroup, type GroupRow, setRefetch } from "../../store/groups.ts";
import { findIdentity, putIdentity } from "../../store/identities.ts";
import type { Context } from "../context.ts";
import { presentAccounts } from "./view.ts";

/** Of a deleted account the server hands out no key, and a new device could not verify the state that it has signed. */
export function goneAuthor(
	context: Context,
	{ peer, version }: GroupRow,
): { author: Uint8Array; authorKey: Uint8Array } | undefined {
	const author = authorOf(context.store, peer, version);
	if (author === undefined || presentAccounts(context, peer)?.has(author) !== false) return undefined;
	const authorKey = findIdentity(context.store, author)?.key;
	return authorKey === undefined ? undefined : { author: uuidToBytes(author), authorKey };
}

/** What another device of this account says. A key that is known stays; a state that was refused for want of it is asked for again. */
export function learnAuthor(context: Context, peer: string, { author, authorKey }: SenderKey): void {
	const { store } = context;
	if (author.length !== 16 || !isKey(authorKey)) return;
	const account = uuidFromBytes(author);
	if (findIdentity(store, account) !== undefined) return;
	putIdentity(store, { account, key: ownBytes(authorKey), verified: 0, pending_key: null });
	const row = findGroup(store, peer);
	if (row !== undefined && row.seen_version > row.version) setRefetch(store, peer, true);
}

function isKey(bytes: Uint8Array): boolean {
	try {
		PublicKey.deserialize(ownBytes(bytes));
		return true;
	} catch {
		return false;
	}
}
