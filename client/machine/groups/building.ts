/** What goes to the server for a person's intention, and what becomes of it in the log. */
import { createHash } from "node:crypto";
import { create, toBinary } from "@bufbuild/protobuf";
import { z } from "zod";
import { GroupChangeSchema, GroupPermission, GroupRole, GroupRulesSchema } from "../../../protocol/gen/group_pb.js";
import { ChangeGroupRequest, CreateGroupRequest, JoinGroupRequest } from "../../../protocol/http_groups.ts";
import { uuidToBytes } from "../../../protocol/ids.ts";
import { differenceOf } from "../../groups/difference.ts";
import { type Intention, intend, isTitle } from "../../groups/intention.ts";
import { isAdmin, isMember } from "../../groups/roles.ts";
import {
	FIRST_RULES,
	type GroupState,
	type Member,
	type Permission,
	type Rules,
	serializeState,
} from "../../groups/state.ts";
import { fromBase64url, toBase64url } from "../../signal/bytes.ts";
import { sealState } from "../../signal/group_state.ts";
import { type GroupChangeRow, setChangeRequest } from "../../store/group_changes.ts";
import { findGroup } from "../../store/groups.ts";
import type { Context } from "../context.ts";
import { groupState, presentAccounts } from "./view.ts";

export interface CreateIntention {
	do: "create";
	title: string;
	description: string;
	/** Accounts, without the own one. */
	members: readonly string[];
	/** base64url of 32 random bytes, of which the group's id is the hash (rule GROUP-7). */
	seed: string;
}

const Call = z.discriminatedUnion("do", [
	z.object({ do: z.literal("create"), body: CreateGroupRequest }),
	z.object({ do: z.literal("change"), body: ChangeGroupRequest }),
	z.object({ do: z.literal("request"), body: JoinGroupRequest }),
	/** Without a state: by who has not got the group's key. */
	z.object({ do: z.literal("leave") }),
	z.object({ do: z.literal("fetch"), secret: z.string().optional() }),
]);
/** A request to the server about one group. */
export type GroupCall = z.infer<typeof Call>;

const roleSchema = z.enum(["member", "admin"]);
const permission = z.enum(["members", "admins"]);
const accounts = z.array(z.string());
const AnyIntention = z.discriminatedUnion("do", [
	z.object({
		do: z.literal("create"),
		title: z.string(),
		description: z.string(),
		members: accounts,
		seed: z.string(),
	}),
	z.object({ do: z.literal("add"), accounts }),
	z.object({ do: z.literal("remove"), accounts, secret: z.string() }),
	z.object({ do: z.literal("leave") }),
	z.object({ do: z.literal("role"), account: z.string(), role: roleSchema }),
	z.object({ do: z.literal("rename"), title: z.string() }),
	z.object({ do: z.literal("describe"), description: z.string() }),
	z.object({ do: z.literal("picture"), picture: z.string() }),
	z.object({
		do: z.literal("rules"),
		rules: z.object({ add: permission, edit: permission, send: permission }).partial(),
	}),
	z.object({ do: z.literal("link"), on: z.boolean(), approval: z.boolean(), reset: z.boolean(), secret: z.string() }),
	z.object({ do: z.literal("join"), secret: z.string() }),
	z.object({ do: z.literal("approve"), account: z.string() }),
	z.object({ do: z.literal("decline"), account: z.string() }),
]);

/** What was written down; throws for what this program has not written. */
export function parseIntention(json: string): z.infer<typeof AnyIntention> {
	return AnyIntention.parse(JSON.parse(json));
}

export function parseCall(json: string): GroupCall {
	return Call.parse(JSON.parse(json));
}

export function isCreation(row: GroupChangeRow): boolean {
	return parseIntention(row.intention).do === "create";
}

/**
 * The call, written down; a text where the intention makes no sense (any more); undefined while the state is not here.
 */
export function buildCall(
	context: Context,
	row: GroupChangeRow,
): { wire: string; call: GroupCall } | string | undefined {
	const intention = parseIntention(row.intention);
	// The first attempt goes under the caller's id; a later one is another change.
	const wire = row.attempts === 0 ? row.id : context.newMessageId();
	const call =
		intention.do === "create" ? creation(context, row, wire, intention) : change(context, row, wire, intention);
	if (call === undefined || typeof call === "string") return call;
	setChangeRequest(context.store, row.id, wire, JSON.stringify(call));
	return { wire, call };
}

function creation(context: Context, row: GroupChangeRow, wire: string, intention: CreateIntention): GroupCall | string {
	if (!isTitle(intention.title)) return "bad_title";
	const own = context.account.accountId;
	const others = [...new Set(intention.members)].filter((account) => account !== own);
	const members: Member[] = others.map((account) => ({ account, role: "member" }));
	const state: GroupState = {
		group: row.peer,
		version: 1,
		rank: 1,
		title: intention.title,
		description: intention.description,
		picture: new Uint8Array(0),
		members: [{ account: own, role: "admin" }, ...members],
		rules: FIRST_RULES,
		linkSecret: new Uint8Array(0),
	};
	const body: CreateGroupRequest = {
		messageId: toBase64url(uuidToBytes(wire)),
		seed: intention.seed,
		members: members.map(({ account, role }) => ({ accountId: account, role })),
		rules: FIRST_RULES,
		state: seal(context, state),
	};
	return { do: "create", body };
}

function change(
	context: Context,
	row: GroupChangeRow,
	wire: string,
	intention: Intention,
): GroupCall | string | undefined {
	const before = groupState(context, row.peer);
	const group = findGroup(context.store, row.peer);
	if (before === undefined || group === undefined) {
		if (intention.do === "join") return undefined;
		// Nobody has to have the key for that: the only device that had it may be lost (rule GROUP-20).
		return intention.do === "leave" ? { do: "leave" } : "not_a_member";
	}
	const messageId = toBase64url(uuidToBytes(wire));
	if (intention.do === "join" && before.rules.link && before.rules.approval) {
		return { do: "request", body: { messageId, linkSecret: intention.secret } };
	}
	const present = presentAccounts(context, row.peer);
	const after = intend(before, context.account.accountId, intention, intention.do === "join" ? undefined : present);
	// The state that is known here is one of before, and still lists the account.
	if (after === "not_permitted" && group.member === 0) return "not_a_member";
	if (typeof after === "string") return after;
	const version = group.seen_version + 1;
	const next = { ...after, version, rank: Math.max(before.rank + 1, version) };
	const difference = differenceOf(before, next);
	// A rank that is not the version: the server was put back, and its roster may still be one of before, which has who
	// was removed meanwhile and lacks who came (rule GROUP-19). Otherwise what this device knows of the roster decides
	// nothing: it may be older than a state from outside the log.
	const isBack =
		next.rank > version &&
		(version <= before.version || context.connection(row.peer).welcomed) &&
		present !== undefined &&
		isAdmin(before, context.account.accountId, present);
	const added = isBack ? next.members.filter(({ account }) => !present.has(account)) : difference.added;
	const removed = isBack ? [...present].filter((account) => !isMember(next, account)) : difference.removed;
	const listed = ({ account, role }: Member) => ({ accountId: account, role });
	const body: ChangeGroupRequest = {
		messageId,
		version: next.version,
		state: seal(context, next),
		...(added.length === 0 ? {} : { added: added.map(listed) }),
		...(removed.length === 0 ? {} : { removed }),
		...(difference.roles.length === 0 ? {} : { roles: difference.roles.map(listed) }),
		...(difference.rules ? { rules: next.rules } : {}),
		...(difference.link && next.linkSecret.length > 0 ? { linkHash: hashOf(next.linkSecret) } : {}),
		...(intention.do === "decline" ? { declined: intention.account } : {}),
		...(intention.do === "join" ? { linkSecret: intention.secret } : {}),
	};
	return { do: "change", body };
}

function seal(context: Context, state: GroupState): string {
	const key = findGroup(context.store, state.group)?.key;
	if (key === undefined || key === null) throw new Error("a group without a key can't be changed");
	const at = { group: state.group, version: state.version, author: context.account.accountId };
	return toBase64url(sealState(context.store, key, at, serializeState(state)));
}

/** The server keeps only the hash of a link's secret. */
function hashOf(secret: Uint8Array): string {
	return createHash("sha256").update(secret).digest("base64url");
}

/** The serialized `GroupChange` that the server makes of a call, or that stands for a state without a change. */
export function changeOf(
	call: Extract<GroupCall, { do: "create" | "change" }> | { do: "state"; version: number; state: string },
): Uint8Array<ArrayBuffer> {
	if (call.do === "state") {
		const { version } = call;
		return toBinary(GroupChangeSchema, create(GroupChangeSchema, { version, state: fromBase64url(call.state) }));
	}
	const { body } = call;
	const { version, added, removed, roles, declined }: Partial<ChangeGroupRequest> =
		call.do === "create" ? { version: 1, added: call.body.members } : call.body;
	const member = ({ accountId, role }: { accountId: string; role: "member" | "admin" }) => ({
		account: uuidToBytes(accountId),
		role: role === "admin" ? GroupRole.ADMIN : GroupRole.MEMBER,
	});
	const message = create(GroupChangeSchema, {
		version: version ?? 1,
		added: added?.map(member) ?? [],
		removed: removed?.map(uuidToBytes) ?? [],
		roles: roles?.map(member) ?? [],
		state: fromBase64url(body.state),
		...(body.rules === undefined ? {} : { rules: rulesMessage(body.rules) }),
		...(declined === undefined ? {} : { declined: uuidToBytes(declined) }),
	});
	return toBinary(GroupChangeSchema, message);
}

function rulesMessage(rules: Rules) {
	const of = (who: Permission) => (who === "admins" ? GroupPermission.ADMINS : GroupPermission.MEMBERS);
	const { link, approval } = rules;
	return create(GroupRulesSchema, { add: of(rules.add), edit: of(rules.edit), send: of(rules.send), link, approval });
}
