/** The HTTP bodies of groups (rules GROUP-1 to GROUP-9). Messages go over the group's socket, changes over HTTP. */
import { z } from "zod";
import { accountId, base64url } from "./http.ts";
import { LIMITS } from "./limits.ts";

const GroupRole = z.enum(["member", "admin"]);
const GroupPermission = z.enum(["members", "admins"]);

const GroupMember = z.strictObject({ accountId, role: GroupRole });

const GroupRules = z.strictObject({
	add: GroupPermission,
	edit: GroupPermission,
	send: GroupPermission,
	/** Whether who has the invite link may join, and whether an admin has to approve. */
	link: z.boolean(),
	approval: z.boolean(),
});

/** A SignedGroupState under the group's key. */
const sealedState = base64url(1, LIMITS.group_state_bytes);
/** Names the change, like a message's id: the same again changes nothing and has the same answer. */
const messageId = base64url(16);
/** Of the link's secret the server keeps the SHA-256. */
const linkHash = base64url(32);
const linkSecret = base64url(32);

/** Founds a group. The caller becomes an admin. */
export const CreateGroupRequest = z.strictObject({
	messageId,
	/** 32 random bytes of which the group's id is the hash, `groupId()` (rule GROUP-7). */
	seed: base64url(32),
	/** Members beside the caller; more are added with changes. */
	members: z.array(GroupMember).max(LIMITS.group_added - 1),
	rules: GroupRules,
	linkHash: linkHash.optional(),
	state: sealedState,
});
export type CreateGroupRequest = z.infer<typeof CreateGroupRequest>;

/** Changes a group. What is left out stays. A caller who is no member joins by the link: `added` is itself alone. */
export const ChangeGroupRequest = z.strictObject({
	messageId,
	/** The state's version after the change: one more than the current one. */
	version: z.int().min(2),
	added: z.array(GroupMember).max(LIMITS.group_added).optional(),
	removed: z.array(accountId).max(LIMITS.group_added).optional(),
	roles: z.array(GroupMember).max(LIMITS.group_added).optional(),
	rules: GroupRules.optional(),
	linkHash: linkHash.optional(),
	declined: accountId.optional(),
	state: sealedState,
	linkSecret: linkSecret.optional(),
});
export type ChangeGroupRequest = z.infer<typeof ChangeGroupRequest>;

/** The entry that the change has become. `unreachable` are accounts that were to be added and don't exist any more. */
export const ChangedGroup = z.strictObject({
	number: z.int(),
	version: z.int(),
	unreachable: z.array(accountId),
});
export type ChangedGroup = z.infer<typeof ChangedGroup>;

/** Asks to join a group whose link needs an admin's approval. */
export const JoinGroupRequest = z.strictObject({ messageId, linkSecret });
export type JoinGroupRequest = z.infer<typeof JoinGroupRequest>;

/** In which who is no member shows the secret of the invite link, in base64url. */
export const LINK_SECRET_HEADER = "x-parley-link-secret";

/** What members, and who has the link's secret, see of a group. */
export const Group = z.strictObject({
	version: z.int(),
	state: sealedState,
	/** Accounts that ask to join; admins see them. */
	requests: z.array(accountId),
});
export type Group = z.infer<typeof Group>;
