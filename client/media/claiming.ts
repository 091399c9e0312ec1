/** Each device of an account can end the hold that any of them began (rule ATTACH-9). */
import { fromBinary } from "@bufbuild/protobuf";
import { AttachmentSchema } from "../../protocol/gen/content_pb.js";
import { deleteKeyFor } from "../signal/delete_keys.ts";
import { addHold, findHold, noteUse } from "../store/blobs.ts";
import type { Store } from "../store/database.ts";
import type { MessageRow } from "../store/messages.ts";

/** An own message's file is to go: this device ends the hold too, though another one may have sent it. */
export function claimHold(store: Store, { id, outgoing, attachment }: MessageRow): void {
	if (outgoing !== 1 || attachment === null) return;
	const { blob } = fromBinary(AttachmentSchema, attachment);
	// One that is not at the server yet has no hold.
	if (blob === "" || findHold(store, id) !== undefined) return;
	addHold(store, id, blob, deleteKeyFor(store, { message: id }));
	noteUse(store, id, blob);
}
