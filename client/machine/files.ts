/** Messages with files: they take their place in the outbox when their file is at the server (rule ATTACH-5). */
import { toBinary } from "@bufbuild/protobuf";
import { type Attachment, AttachmentSchema } from "../../protocol/gen/content_pb.js";
import { completed } from "../messages/doing.ts";
import { acceptPeer } from "../messages/requests.ts";
import { offerProfile } from "../profile/sharing.ts";
import { addHold, findBlob, noteUse, putBlob } from "../store/blobs.ts";
import { conversation } from "../store/conversations.ts";
import { isGone } from "../store/details.ts";
import {
	addMessage,
	findMessage,
	type NewMessage,
	setAttachment,
	setFailed,
	toStoredMessage,
} from "../store/messages.ts";
import { enqueue, outboxEntry } from "../store/outbox.ts";
import { addUpload, findUpload, type NewUpload, removeUpload } from "../store/uploads.ts";
import { fileContent } from "./content.ts";
import type { Context } from "./context.ts";
import { storeTexts } from "./sending.ts";

/** Writes the message and what its upload needs, so that a kill at any moment resumes it. */
export function queueFile(
	context: Context,
	event: { id: string; peer: string; pointer: Attachment; upload: NewUpload },
): void {
	const { id, peer, pointer, upload } = event;
	acceptPeer(context, peer);
	conversation(context.store, peer);
	if (addMessage(context.store, newMessage(context, id, peer, pointer))) addUpload(context.store, id, peer, upload);
}

/** The file is at the server: the message goes out, once, whatever was repeated. */
export function sendFile(
	context: Context,
	event: { id: string; peer: string; pointer: Attachment; deleteKey: string; forwards?: number },
): void {
	const { store, account } = context;
	const { id, peer, pointer, deleteKey, forwards = 0 } = event;
	// Deleted while its file was on the way.
	if (isGone(store, account.accountId, id)) return;
	acceptPeer(context, peer);
	offerProfile(context, peer);
	conversation(store, peer);
	addMessage(store, newMessage(context, id, peer, pointer));
	const message = findMessage(store, account.accountId, id);
	if (message?.status !== "queued" || message.attachment === null || outboxEntry(store, id) !== undefined) return;
	const bytes = toBinary(AttachmentSchema, pointer);
	setAttachment(store, message.row, bytes);
	const upload = findUpload(store, id);
	if (upload !== undefined && findBlob(store, pointer.blob) === undefined) {
		const { name, iv } = upload;
		putBlob(store, { blob: pointer.blob, name, size: Number(pointer.size), pointer: bytes, iv, whole: 1 });
	}
	removeUpload(store, id);
	addHold(store, id, pointer.blob, deleteKey);
	noteUse(store, id, pointer.blob);
	storeTexts(context, peer);
	const content = fileContent(id, message.sent_at_ms, pointer, account.username);
	enqueue(store, id, peer, completed(context, id, peer, content, forwards), null);
	if (!context.connection(peer).open) context.request({ type: "open-conversation", peer });
	context.touched.add(peer);
}

export function failFile(context: Context, id: string, peer: string, code: string): void {
	removeUpload(context.store, id);
	const message = findMessage(context.store, context.account.accountId, id);
	if (message?.status !== "queued") return;
	setFailed(context.store, message);
	context.notify({ type: "message-changed", message: toStoredMessage({ ...message, status: "failed" }) });
	context.notify({ type: "refused", peer, code, messageId: id });
}

function newMessage(context: Context, id: string, peer: string, pointer: Attachment): NewMessage {
	return {
		peer,
		sender: context.account.accountId,
		sender_device: context.account.deviceId,
		id,
		outgoing: 1,
		number: null,
		body: pointer.caption,
		attachment: toBinary(AttachmentSchema, pointer),
		sent_at_ms: context.environment.nowMs(),
		server_time_ms: null,
		status: "queued",
	};
}
