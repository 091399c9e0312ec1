/**
 * What goes with a message: its hold at the server, and the copy here when no other message needs it (rule ATTACH-8).
 */
import { MEDIA_HEADERS, MEDIA_PATHS } from "../../protocol/media.ts";
import { endedUses, findBlob, findHold, isUsed, removeBlob, removeHold, removeUse } from "../store/blobs.ts";
import { ServerRefusal } from "../transport/errors.ts";
import { dropCopy } from "./downloads.ts";
import type { MediaHttp } from "./http.ts";
import type { TransferTools } from "./transfers.ts";

/** Ends this device's hold on a message's file, if it has one. The blob goes when nobody holds it any more. */
export async function endHold({ store, http }: TransferTools, message: string, signal: AbortSignal): Promise<void> {
	const hold = findHold(store, message);
	if (hold === undefined) return;
	await releaseBlob(http, hold.blob, hold.delete_key, signal);
	removeHold(store, message);
}

/** Ends the hold that a delete key stands for; one that has ended already is no error. */
export async function releaseBlob(
	http: MediaHttp,
	blob: string,
	deleteKey: string,
	signal: AbortSignal,
): Promise<void> {
	const headers = { [MEDIA_HEADERS.deleteKey]: deleteKey };
	await http.done({ method: "DELETE", path: MEDIA_PATHS.blob(blob), headers, signal }).catch((error: unknown) => {
		if (!(error instanceof ServerRefusal && error.code === "not_found")) throw error;
	});
}

/**
 * Looks for messages that were deleted, or have disappeared, and removes their files. What the server does not answer
 * stays to be done: throws then.
 */
export async function sweepFiles(tools: TransferTools, signal: AbortSignal): Promise<void> {
	const { store } = tools;
	for (const { sender, message, blob } of endedUses(store)) {
		// First what is here: that needs no server.
		const row = findBlob(store, blob);
		if (row !== undefined && !isUsed(store, blob)) {
			await dropCopy(tools, row);
			removeBlob(store, blob);
		}
		await endHold(tools, message, signal);
		removeUse(store, sender, message);
	}
}
