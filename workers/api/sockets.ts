/** Sockets: the api says who it is and hands the upgrade to an object. */
import { createRoute, type OpenAPIHono } from "@hono/zod-openapi";
import { directConversationId } from "../../protocol/ids.ts";
import { LIMITS } from "../../protocol/limits.ts";
import { ACCOUNT_HEADER, DEVICE_HEADER } from "../conversation-do/interface.ts";
import { DeviceDirectory } from "./directory/devices.ts";
import { type ApiEnv, accountStub, conversationStub } from "./env.ts";
import { REMOVED, Refusal } from "./errors.ts";
import { type ApiTypes, authenticate, limitAccount } from "./guards.ts";
import { AccountParameters, bearer, refusalsWithToken } from "./shapes.ts";
import type { Caller } from "./tokens.ts";

const upgraded = { description: "a WebSocket" };

const account = createRoute({
	method: "get",
	path: "/v1/socket",
	summary: "The device's always-on socket",
	security: bearer,
	middleware: [authenticate, limitAccount] as const,
	responses: { 101: upgraded, ...refusalsWithToken("upgrade_expected") },
});

const direct = createRoute({
	method: "get",
	path: "/v1/direct/{accountId}/socket",
	summary: "The socket of the caller's conversation with an account, or with itself",
	security: bearer,
	middleware: [authenticate, limitAccount] as const,
	request: { params: AccountParameters },
	responses: {
		101: upgraded,
		...refusalsWithToken("malformed", "not_found", "upgrade_expected", "too_many_conversations"),
	},
});

/** The upgrades to the account's own socket and to those of direct conversations. */
export function addSockets(app: OpenAPIHono<ApiTypes>): void {
	app.openapi(account, async (context) => {
		const { caller } = context.var;
		requireUpgrade(context.req.raw);
		return answer(await accountStub(context.env, caller.accountId).fetch(asCaller(context.req.raw, caller)));
	});

	app.openapi(direct, async (context) => {
		const { caller } = context.var;
		const peer = context.req.valid("param").accountId;
		requireUpgrade(context.req.raw);
		const conversation = await directConversationId(caller.accountId, peer);
		// The caller's own object knows whether there is such a conversation, so that an id that is nobody's wakes no
		// object, and one that exists costs no database read (rules ACCOUNT-6 and CONVERSATION-2).
		const membership = await accountStub(context.env, caller.accountId).membership(caller.device, conversation);
		if (membership === "removed") throw new Refusal("unauthorized", REMOVED);
		if (membership === "stranger") await found(context.env, conversation, caller.accountId, peer);
		const first = await conversationStub(context.env, conversation).fetch(asCaller(context.req.raw, caller));
		switch (first.status) {
			case 428:
				// A founding that stopped half-way is taken up.
				await found(context.env, conversation, caller.accountId, peer);
				break;
			case 403:
				// A device that was just linked is here before the queue has told the conversation of it (rule DEVICE-4).
				await tellDevices(context.env, conversation, caller.accountId);
				break;
			default:
				return answer(first);
		}
		return answer(await conversationStub(context.env, conversation).fetch(asCaller(context.req.raw, caller)));
	});
}

/**
 * Gives a conversation its members: two, or one for a conversation with oneself (rule CONVERSATION-3). The account
 * objects hear of it first: what they list is what a deletion or a change of devices goes through. A change that
 * happens while this runs may be missed by that, so the directory is asked again afterwards.
 */
async function found(env: ApiEnv, conversation: string, me: string, peer: string): Promise<void> {
	const directory = new DeviceDirectory(env.DIRECTORY);
	const accounts = me === peer ? [me] : [me, peer];
	const members = await Promise.all(
		accounts.map(async (account) => ({ account, ...(await directory.devicesOf(account)) })),
	);
	for (const { account, devices } of members) {
		if (devices.length > 0) continue;
		if (account === me) throw new Refusal("unauthorized", REMOVED);
		throw new Refusal("not_found", "no such account");
	}
	const joined = await Promise.all(
		accounts.map((account) => accountStub(env, account).joined({ conversation, peer: account === me ? peer : me })),
	);
	if (joined.includes("too_many_conversations")) {
		// Neither keeps a conversation that the other can't have (rule ACCOUNT-7).
		await Promise.all(accounts.map((account) => accountStub(env, account).left([conversation])));
		const message = "one of the two accounts is in too many conversations";
		throw new Refusal("too_many_conversations", message, LIMITS.conversations_per_account);
	}
	const stub = conversationStub(env, conversation);
	await stub.found(members);
	for (const { account, version } of members) {
		const now = await directory.devicesOf(account);
		if (now.devices.length === 0) await stub.removeMember(account);
		else if (now.version !== version) await stub.setDevices({ account, ...now });
	}
}

async function tellDevices(env: ApiEnv, conversation: string, account: string): Promise<void> {
	const now = await new DeviceDirectory(env.DIRECTORY).devicesOf(account);
	if (now.devices.length > 0) await conversationStub(env, conversation).setDevices({ account, ...now });
}

/** Before an object is woken. */
export function requireUpgrade(request: Request): void {
	if (request.headers.get("upgrade")?.toLowerCase() === "websocket") return;
	throw new Refusal("upgrade_expected", "this is a WebSocket");
}

/** The upgrade in the caller's name. What came from outside under those names is replaced; the token stays here. */
export function asCaller(request: Request, caller: Caller): Request {
	const headers = new Headers(request.headers);
	headers.delete("authorization");
	headers.set(ACCOUNT_HEADER, caller.accountId);
	headers.set(DEVICE_HEADER, String(caller.device));
	return new Request(request.url, { method: "GET", headers });
}

/** An object's answer in the api's one error shape. */
export function answer(response: Response): Response {
	switch (response.status) {
		case 101:
			return response;
		case 403:
			throw new Refusal("unauthorized", REMOVED);
		case 426:
			throw new Refusal("upgrade_expected", "this is a WebSocket");
		default:
			throw new Refusal("internal", "the conversation or account did not answer");
	}
}
