/** Which pictures are shown now, by what is known on this device, and which of them this account keeps alive. */
import { fromBinary } from "@bufbuild/protobuf";
import { type Attachment, AttachmentSchema } from "../../protocol/gen/content_pb.js";
import { LIMITS } from "../../protocol/limits.ts";
import { type GroupState, parseState } from "../groups/state.ts";
import { parseIntention } from "../machine/groups/building.ts";
import { requireAccount } from "../store/account.ts";
import type { Store } from "../store/database.ts";
import { allGroupChanges } from "../store/group_changes.ts";
import { allGroups } from "../store/groups.ts";
import { allProfiles } from "../store/profiles.ts";
import { acceptedPicture } from "./picture.ts";

export interface Pictured {
	/** The group, or the account. */
	peer: string;
	pointer: Attachment;
	/** Whether this account holds it, whoever has set it (rule PICTURE-3). */
	keeper: boolean;
}

export interface ShownPictures {
	/** By blob. */
	current: Map<string, Pictured>;
	/** Blobs that a change on its way is about to show. */
	pending: Set<string>;
	/** Groups that the account is no member of any more. */
	left: Set<string>;
}

export function currentPictures(store: Store): ShownPictures {
	const own = requireAccount(store).accountId;
	const shown: ShownPictures = { current: new Map(), pending: new Set(), left: new Set() };
	for (const { peer, state: bytes, member } of allGroups(store)) {
		const state = bytes === null ? undefined : parseState(bytes);
		const pointer = state === undefined ? undefined : acceptedPicture(state.picture);
		if (member === 0) shown.left.add(peer);
		else if (state !== undefined && pointer !== undefined) {
			shown.current.set(pointer.blob, { peer, pointer, keeper: keepsPicture(state, own) });
		}
	}
	for (const { account, profile } of allProfiles(store)) {
		const pointer = acceptedPicture(profile.picture);
		if (pointer !== undefined) shown.current.set(pointer.blob, { peer: account, pointer, keeper: account === own });
	}
	for (const { intention } of allGroupChanges(store)) {
		const wanted = parseIntention(intention);
		if (wanted.do !== "picture" || wanted.picture === "") continue;
		shown.pending.add(fromBinary(AttachmentSchema, Buffer.from(wanted.picture, "base64")).blob);
	}
	return shown;
}

/** The first admins of the state hold the picture too, so that it outlives the account that set it. */
function keepsPicture({ members }: GroupState, account: string): boolean {
	const admins = members.filter(({ role }) => role === "admin").slice(0, LIMITS.picture_keepers);
	return admins.some((admin) => admin.account === account);
}
