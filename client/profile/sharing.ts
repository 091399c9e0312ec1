/** The own profile on its way to the people one talks to, and theirs as they come (rules PROFILE-2 to PROFILE-4). */
import { create, toBinary } from "@bufbuild/protobuf";
import { ContentSchema, type Profile, ProfileSchema, SyncItemSchema } from "../../protocol/gen/content_pb.js";
import { uuidToBytes } from "../../protocol/ids.ts";
import { isGroup } from "../groups/state.ts";
import type { Context } from "../machine/context.ts";
import { storeTexts } from "../machine/sending.ts";
import { share } from "../machine/sync.ts";
import { isRequest } from "../messages/requests.ts";
import { conversation } from "../store/conversations.ts";
import { findGroup } from "../store/groups.ts";
import { enqueue } from "../store/outbox.ts";
import { forgetProfile, isProfileEntry, noteProfileSent, profileOf } from "../store/profiles.ts";
import { blockOf } from "../store/standings.ts";
import { keepItem, lastChangeMs } from "../store/synced.ts";
import type { ProfileChange } from "./profile.ts";

/** A person shows something else of themselves: own devices hear of it now, everybody else with the next message. */
export function setProfile(context: Context, change: ProfileChange): void {
	const { store, account, environment } = context;
	const own = account.accountId;
	const { name, about, picture } = { ...profileOf(store, own), ...change };
	const last = lastChangeMs(store, { kind: "profile", subject: own });
	const changedMs = BigInt(Math.max(environment.nowMs(), last + 1));
	const profile = create(ProfileSchema, { changedMs, name: name ?? "", about: about ?? "" });
	if (picture !== undefined) profile.picture = picture;
	share(context, { case: "profile", value: { account: own, profile } });
	context.profiles.forget();
	context.notify({ type: "profile-changed", account: own });
}

/** Before something goes to a peer by a person's will: the profile goes ahead of it, where it is news to them. */
export function offerProfile(context: Context, peer: string): void {
	const { store, account, profiles } = context;
	if (!profiles.isNews(store, account.accountId, peer)) return;
	if (peer === account.accountId || blockOf(store, peer).blocked) return;
	const profile = profileOf(store, account.accountId);
	if (profile === undefined) return;
	profiles.sent(peer);
	// Whoever has no key of this device gets the profile with it (`withKey`).
	if (isGroup(peer) && findGroup(store, peer)?.distribution == null) return;
	const id = context.newMessageId();
	noteProfileSent(store, peer, Number(profile.changedMs), id);
	storeTexts(context, peer);
	conversation(store, peer);
	enqueue(store, id, peer, profileContent(context, id, profile), null);
	if (!context.connection(peer).open) context.request({ type: "open-conversation", peer });
	context.touched.add(peer);
}

/** What goes to a group's members with this device's sender key. */
export function withKey(context: Context): Profile | undefined {
	return profileOf(context.store, context.account.accountId);
}

/** A new sender key begins, and brings all members the profile of now. */
export function noteKeyBegun(context: Context, peer: string, distribution: string): void {
	const profile = withKey(context);
	if (profile !== undefined) noteProfileSent(context.store, peer, Number(profile.changedMs), distribution);
}

/** The profile of now, for a device that could not read the entry with an older one; undefined where it was another. */
export function profileAgain(context: Context, peer: string, id: string): Uint8Array<ArrayBuffer> | undefined {
	const profile = isProfileEntry(context.store, peer, id) ? withKey(context) : undefined;
	return profile === undefined || blockOf(context.store, peer).blocked
		? undefined
		: profileContent(context, id, profile);
}

/** Somebody shows something else of themselves; or another own device has told the peer of the own profile. */
export function onProfile(context: Context, peer: string, account: string, id: string, profile: Profile): void {
	const { store } = context;
	if (account === context.account.accountId) {
		noteProfileSent(store, peer, Number(profile.changedMs), id);
		context.profiles.forget();
		return;
	}
	const item = create(SyncItemSchema, {
		changedMs: profile.changedMs,
		kind: { case: "profile", value: { account, profile } },
	});
	if (!keepItem(store, { kind: "profile", subject: account }, item, 0)) return;
	// Of strangers nobody is told before they are accepted.
	if (!isRequest(context, account)) context.notify({ type: "profile-changed", account });
}

/** Nothing of a stranger stays whose request is deleted (rule REQUEST-1). */
export function dropProfile(context: Context, account: string): void {
	forgetProfile(context.store, account);
}

function profileContent(context: Context, id: string, value: Profile): Uint8Array<ArrayBuffer> {
	const sentAtMs = BigInt(Math.max(0, Math.trunc(context.environment.nowMs())));
	const stamp = { messageId: uuidToBytes(id), sentAtMs, senderName: context.account.username };
	return toBinary(ContentSchema, create(ContentSchema, { ...stamp, kind: { case: "profile", value } }));
}
