/** Groups: founding, changing, joining; and the socket (rules GROUP-1 to GROUP-7). */
import { Buffer } from "node:buffer";
import { createRoute, type OpenAPIHono } from "@hono/zod-openapi";
import { z } from "zod";
import {
	ChangedGroup,
	ChangeGroupRequest,
	CreateGroupRequest,
	Group,
	JoinGroupRequest,
	LINK_SECRET_HEADER,
} from "../../protocol/http_groups.ts";
import { groupId, toHex } from "../../protocol/ids.ts";
import { LIMITS } from "../../protocol/limits.ts";
import type { GroupChanged, GroupRole, Refused, RosterMember } from "../conversation-do/interface.ts";
import { announceGroup } from "./changes.ts";
import { DeviceDirectory } from "./directory/devices.ts";
import { type ApiEnv, accountStub, conversationStub } from "./env.ts";
import { REMOVED, Refusal } from "./errors.ts";
import { type ApiTypes, authenticate, limitAccount, limitLookups, requireDevice, requireJson } from "./guards.ts";
import { bearer, body, json, refusalsWithToken } from "./shapes.ts";
import { answer, asCaller, requireUpgrade } from "./sockets.ts";
import type { Caller } from "./tokens.ts";

const LinkSecret = JoinGroupRequest.shape.linkSecret;
const GroupParameters = z.object({ groupId: z.string().regex(/^[0-9a-f]{64}$/) });

const guards = [authenticate, limitAccount, requireDevice] as const;
/** For what would tell, asked often enough, which groups there are. */
const lookupGuards = [authenticate, limitAccount, limitLookups, requireDevice] as const;
const REFUSED = ["malformed", "not_found", "group_conflict", "not_permitted", "group_full", "last_admin"] as const;

const create = createRoute({
	method: "post",
	path: "/v1/groups/{groupId}",
	summary: "Founds a group",
	security: bearer,
	middleware: [...guards, requireJson] as const,
	request: { params: GroupParameters, body: body(CreateGroupRequest) },
	responses: {
		200: json(ChangedGroup, "founded"),
		...refusalsWithToken(...REFUSED, "group_exists", "message_id_conflict", "too_many_conversations"),
	},
});

const change = createRoute({
	method: "post",
	path: "/v1/groups/{groupId}/changes",
	summary: "Changes a group, or joins it by its invite link",
	security: bearer,
	middleware: [...guards, requireJson] as const,
	request: { params: GroupParameters, body: body(ChangeGroupRequest) },
	responses: {
		200: json(ChangedGroup, "the entry that tells everybody"),
		...refusalsWithToken(...REFUSED, "message_id_conflict", "too_many_conversations"),
	},
});

const request = createRoute({
	method: "post",
	path: "/v1/groups/{groupId}/requests",
	summary: "Asks to join a group whose invite link needs an admin's approval",
	security: bearer,
	middleware: [...lookupGuards, requireJson] as const,
	request: { params: GroupParameters, body: body(JoinGroupRequest) },
	responses: {
		200: json(ChangedGroup, "the entry that tells the admins"),
		...refusalsWithToken("malformed", "not_found", "group_full", "message_id_conflict"),
	},
});

const leave = createRoute({
	method: "post",
	path: "/v1/groups/{groupId}/leave",
	summary: "Leaves a group whose state the caller can't read",
	security: bearer,
	middleware: [...lookupGuards] as const,
	request: { params: GroupParameters },
	responses: { 204: { description: "left" }, ...refusalsWithToken("malformed", "not_found") },
});

const view = createRoute({
	method: "get",
	path: "/v1/groups/{groupId}",
	summary: "A group's encrypted state, for members and for who shows the invite link's secret",
	security: bearer,
	middleware: [...lookupGuards] as const,
	request: { params: GroupParameters },
	responses: { 200: json(Group, "as it is now"), ...refusalsWithToken("malformed", "not_found") },
});

const socket = createRoute({
	method: "get",
	path: "/v1/groups/{groupId}/socket",
	summary: "The socket of a group that the caller is a member of",
	security: bearer,
	middleware: [authenticate, limitAccount] as const,
	request: { params: GroupParameters },
	responses: {
		101: { description: "a WebSocket" },
		...refusalsWithToken("malformed", "not_found", "upgrade_expected"),
	},
});

/** Founding, reading, changing, joining and leaving groups, and the upgrade to a group's socket. */
export function addGroups(app: OpenAPIHono<ApiTypes>): void {
	app.openapi(create, async (context) => {
		const { caller } = context.var;
		const group = context.req.valid("param").groupId;
		const { seed, messageId, members, rules, linkHash, state } = context.req.valid("json");
		// So no group has the address of a conversation of two, which follows from its members (rule GROUP-7).
		if ((await groupId(decode(seed))) !== group) throw new Refusal("malformed", "the group's id is not its seed's");
		if (members.some(({ accountId }) => accountId === caller.accountId)) {
			throw new Refusal("malformed", "the founder is a member by itself");
		}
		const wanted = [{ accountId: caller.accountId, role: "admin" as const }, ...members];
		const { added, unreachable, notAfter_ms } = await arrive(context.env, group, wanted, caller.accountId);
		const outcome = await conversationStub(context.env, group).changeGroup({
			...{ messageId: hex(messageId), actor: toActor(caller), version: 1, added, removed: [], roles: [], rules },
			...{ linkHash: linkHash === undefined ? undefined : hex(linkHash), declined: undefined },
			...{ state: toBase64(state), linkSecretHash: undefined, notAfter_ms },
		});
		const changed = accept(outcome);
		await settle(context.env, group, added);
		return context.json({ ...changed, unreachable }, 200);
	});

	app.openapi(change, async (context) => {
		const { caller } = context.var;
		const group = context.req.valid("param").groupId;
		const { messageId, version, added, removed, roles, rules, linkHash, declined, state, linkSecret } =
			context.req.valid("json");
		const membership = await accountStub(context.env, caller.accountId).membership(caller.device, group);
		if (membership !== "member" && linkSecret === undefined) throw noGroup();
		const stub = conversationStub(context.env, group);
		const linkSecretHash = linkSecret === undefined ? undefined : await secretHash(linkSecret);
		// Authorised to be here, before anything is written for it at other accounts.
		if ((await stub.viewGroup(caller.accountId, linkSecretHash)) === undefined) throw noGroup();
		// Who is no member may be named as removed, and nobody is called for it (rule GROUP-3).
		const leaving = removed === undefined ? [] : await stub.membersAmong(removed);
		const arriving = await arrive(context.env, group, added ?? [], caller.accountId, leaving);
		const outcome = await stub.changeGroup({
			...{ messageId: hex(messageId), actor: toActor(caller), version, added: arriving.added, removed: removed ?? [] },
			roles: (roles ?? []).map(({ accountId, role }) => ({ account: accountId, role })),
			...{ rules, linkHash: linkHash === undefined ? undefined : hex(linkHash), declined },
			...{ state: toBase64(state), linkSecretHash, notAfter_ms: arriving.notAfter_ms },
		});
		const changed = accept(outcome);
		await settle(context.env, group, arriving.added);
		return context.json({ ...changed, unreachable: arriving.unreachable }, 200);
	});

	app.openapi(request, async (context) => {
		const { messageId, linkSecret } = context.req.valid("json");
		const outcome = await conversationStub(context.env, context.req.valid("param").groupId).requestToJoin({
			...{ messageId: hex(messageId), actor: toActor(context.var.caller) },
			linkSecretHash: await secretHash(linkSecret),
		});
		return context.json({ ...accept(outcome), unreachable: [] }, 200);
	});

	app.openapi(leave, async (context) => {
		const { accountId } = context.var.caller;
		const group = context.req.valid("param").groupId;
		const stub = conversationStub(context.env, group);
		// A member, and of a group: nobody leaves a conversation of two.
		if ((await stub.viewGroup(accountId, undefined)) === undefined) throw noGroup();
		await announceGroup(context.env, group, [accountId]);
		await stub.removeMember(accountId);
		return context.body(null, 204);
	});

	app.openapi(view, async (context) => {
		const secret = LinkSecret.safeParse(context.req.header(LINK_SECRET_HEADER));
		const seen = await conversationStub(context.env, context.req.valid("param").groupId).viewGroup(
			context.var.caller.accountId,
			secret.success ? await secretHash(secret.data) : undefined,
		);
		if (seen === undefined) throw noGroup();
		return context.json({ ...seen, state: Buffer.from(seen.state, "base64").toString("base64url") }, 200);
	});

	app.openapi(socket, async (context) => {
		const { caller } = context.var;
		const group = context.req.valid("param").groupId;
		requireUpgrade(context.req.raw);
		// As for conversations of two: an id that is nobody's wakes no object (rule CONVERSATION-2).
		const membership = await accountStub(context.env, caller.accountId).membership(caller.device, group);
		if (membership === "removed") throw new Refusal("unauthorized", REMOVED);
		if (membership === "stranger") throw noGroup();
		const response = await conversationStub(context.env, group).fetch(asCaller(context.req.raw, caller));
		if (response.status === 403 || response.status === 428) throw noGroup();
		return answer(response);
	});
}

interface Wanted {
	accountId: string;
	role: GroupRole;
}

/**
 * New members with their devices. Their account objects hear of the group first: what they list is what a deletion or a
 * change of devices goes through. A message on the queue looks at all of them again, whatever becomes of this request.
 */
async function arrive(env: ApiEnv, group: string, wanted: readonly Wanted[], me: string, removed: string[] = []) {
	const accounts = wanted.map(({ accountId }) => accountId);
	const all = [...accounts, ...removed];
	const notAfter_ms = all.length === 0 ? undefined : await announceGroup(env, group, all);
	const devices = await new DeviceDirectory(env.DIRECTORY).devicesOfAll(accounts);
	const joined = await Promise.all(
		wanted.map(async ({ accountId, role }) => {
			const known = devices.get(accountId);
			if (known === undefined || known.devices.length === 0) {
				if (accountId === me) throw new Refusal("unauthorized", REMOVED);
				return { accountId, member: undefined };
			}
			const outcome = await accountStub(env, accountId).joined({ conversation: group, peer: "" });
			if (outcome === "joined") return { accountId, member: { account: accountId, role, ...known } };
			if (accountId !== me) return { accountId, member: undefined };
			const message = "the account is in too many conversations";
			throw new Refusal("too_many_conversations", message, LIMITS.conversations_per_account);
		}),
	);
	return {
		added: joined.flatMap(({ member }) => member ?? []),
		/** Deleted meanwhile, or in too many conversations. */
		unreachable: joined.flatMap(({ accountId, member }) => (member === undefined ? accountId : [])),
		/** Of the change. */
		notAfter_ms,
	};
}

/** A change of devices while the members arrived went to a roster that they were not on yet. */
async function settle(env: ApiEnv, group: string, added: readonly RosterMember[]): Promise<void> {
	const now = await new DeviceDirectory(env.DIRECTORY).devicesOfAll(added.map(({ account }) => account));
	const stub = conversationStub(env, group);
	for (const { account, version } of added) {
		const known = now.get(account);
		if (known === undefined || known.devices.length === 0) await stub.removeMember(account);
		else if (known.version !== version) await stub.setDevices({ account, ...known });
	}
}

function accept(outcome: GroupChanged | Refused): GroupChanged {
	if (!("refused" in outcome)) return outcome;
	// The same request again says all of it anew.
	if (outcome.refused === "too_late") throw new Refusal("internal", "the change took too long");
	throw new Refusal(outcome.refused, REASONS[outcome.refused], outcome.limit);
}

const REASONS: Record<Exclude<Refused["refused"], "too_late">, string> = {
	not_found: "no such group",
	group_exists: "there is such a group",
	group_conflict: "the group has changed meanwhile",
	not_permitted: "the group's rules don't permit that",
	malformed: "the change doesn't fit the group",
	group_full: "the group has no more room",
	last_admin: "a group needs an admin: make somebody else one first",
	message_id_conflict: "the message id is another change's",
};

/** One answer for a group that isn't there and one that the caller has no part in. */
function noGroup(): Refusal {
	return new Refusal("not_found", REASONS.not_found);
}

const toActor = ({ accountId, device }: Caller) => ({ account: accountId, device });

function decode(text: string): Uint8Array<ArrayBuffer> {
	return new Uint8Array(Buffer.from(text, "base64url"));
}

const hex = (text: string): string => toHex(decode(text));
const toBase64 = (text: string): string => Buffer.from(text, "base64url").toString("base64");

/** What the object keeps and compares: the secret itself stays here. */
async function secretHash(secret: string): Promise<string> {
	return toHex(new Uint8Array(await crypto.subtle.digest("SHA-256", decode(secret))));
}
