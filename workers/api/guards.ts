/**
 * What stands before every route's handler, in the same order everywhere: the address's requests are counted and the
 * body is cut off at its limit (app.ts), then, in a route's `middleware`, the token is checked, the account's requests
 * are counted, the device is authorised, and what comes is JSON; its schemas validate it last. Where the handler asks
 * the caller's own object or row anyway (prekeys, sockets, deleting the account), that answer authorises and no guard
 * does.
 */
import type { Context, MiddlewareHandler } from "hono";
import { bodyLimit } from "hono/body-limit";
import { createMiddleware } from "hono/factory";
import { LIMITS } from "../../protocol/limits.ts";
import { MEDIA_PATHS } from "../../protocol/media.ts";
import { logFault } from "../fault-log.ts";
import { addressKey } from "./address.ts";
import { DeviceDirectory, type RemovalReason } from "./directory/devices.ts";
import { type ApiEnv, accountStub } from "./env.ts";
import { REMOVED, Refusal, refusalResponse } from "./errors.ts";
import { type Caller, strongSecret, verifyToken } from "./tokens.ts";

/** What guards leave to the handlers. */
export interface ApiTypes {
	Bindings: ApiEnv;
	Variables: { caller: Caller };
}

/** Nothing is served without a token secret. */
export const requireSecret = createMiddleware<ApiTypes>(async (context, next) => {
	strongSecret(context.env, "TOKEN_SECRET");
	await next();
});

const stopReading = bodyLimit({
	maxSize: LIMITS.body_bytes,
	onError: () => refusalResponse(new Refusal("body_too_large", "the body is too large", LIMITS.body_bytes)),
});

/** Stops reading a body at the limit. Bytes of an upload pass unread; the media Worker counts them (rule UPLOAD-5). */
export const limitBody = createMiddleware<ApiTypes>(async (context, next) => {
	const { path } = context.req;
	if (path === MEDIA_PATHS.uploads || path.startsWith(`${MEDIA_PATHS.uploads}/`)) return next();
	return stopReading(context, next);
});

/** What the library behind the routes takes for JSON, and no more. */
const JSON_TYPE = /^application\/json(;\s*[A-Za-z0-9-]+=[^;]+)*$/i;

/** A body of another type would be read as an empty one, and an upload lost without a word. */
export const requireJson = createMiddleware<ApiTypes>(async (context, next) => {
	if (!JSON_TYPE.test(context.req.header("content-type") ?? "")) {
		throw new Refusal("malformed", "the body is not JSON: the content type must be application/json");
	}
	await next();
});

/** Authenticates by access token (rule ACCOUNT-3). */
export const authenticate = createMiddleware<ApiTypes>(async (context, next) => {
	const token = /^Bearer ([A-Za-z0-9._-]+)$/i.exec(context.req.header("authorization") ?? "")?.[1];
	if (token === undefined) throw new Refusal("unauthorized", "an access token is needed");
	context.set("caller", await verifyToken(context.env, token, Date.now()));
	await next();
});

/**
 * Authorises: the device is still its account's, which its token alone doesn't say (rule ACCOUNT-6). Routes whose own
 * call goes to the caller's account object find it out there.
 */
export const requireDevice = createMiddleware<ApiTypes>(async (context, next) => {
	const { accountId, device } = context.var.caller;
	if (!(await accountStub(context.env, accountId).has(device))) throw new Refusal("unauthorized", REMOVED);
	await next();
});

/**
 * The same for what changes the account itself: the directory decides, which is the first to know that a device was
 * removed (rule DEVICE-3).
 */
export const requireListedDevice = createMiddleware<ApiTypes>(async (context, next) => {
	const { accountId, device } = context.var.caller;
	if (!(await new DeviceDirectory(context.env.DIRECTORY).has(accountId, device))) {
		throw new Refusal("unauthorized", REMOVED);
	}
	await next();
});

/** Tells a device that it was removed, and why (rule DEVICE-6). */
export function refuseRemoved(reason: RemovalReason | undefined): void {
	switch (reason) {
		case "unlinked":
			throw new Refusal("device_unlinked", "this device was unlinked from its account");
		case "idle":
			throw new Refusal(
				"device_idle",
				`this device was unlinked because it had not connected for ${LIMITS.device_idle_days} days`,
				LIMITS.device_idle_days,
			);
		case undefined:
			return;
		default:
			reason satisfies never;
	}
}

/** Every request of an address, before anything else: also those that show no good token. */
export const limitEveryAddress = createMiddleware<ApiTypes>(async (context, next) => {
	await spend(context.env.LIMIT_ADDRESS, addressOf(context));
	await next();
});

/** Before anything that costs, since nobody has shown who they are. */
export function limitAddress(binding: "LIMIT_REGISTER" | "LIMIT_TOKEN" | "LIMIT_LINK"): MiddlewareHandler<ApiTypes> {
	return async (context, next) => {
		await spend(context.env[binding], addressOf(context));
		await next();
	};
}

/** After authentication: by account, whichever of its devices calls, from wherever. */
export const limitAccount = createMiddleware<ApiTypes>(async (context, next) => {
	await spendAccount(context.env, context.var.caller.accountId);
	await next();
});

/** What an account may do in all. A sign-in counts once its secret was good, so that nobody can use up another's. */
export function spendAccount(env: ApiEnv, accountId: string): Promise<void> {
	return spend(env.LIMIT_ACCOUNT, accountId);
}

/** Lookups are how names are guessed. */
export const limitLookups = createMiddleware<ApiTypes>(async (context, next) => {
	await spend(context.env.LIMIT_LOOKUP, context.var.caller.accountId);
	await next();
});

/** Claims of one account's prekeys by another use them up: few are enough for whoever writes. */
export const limitClaims = createMiddleware<ApiTypes>(async (context, next) => {
	const claimed = context.req.param("accountId") ?? "";
	if (!(await mayClaim(context.env, context.var.caller.accountId, claimed))) throw tooMany();
	await next();
});

/** Counts one claim, alone or among many. */
export async function mayClaim(env: ApiEnv, by: string, of: string): Promise<boolean> {
	return (await env.LIMIT_CLAIM.limit({ key: `${by} ${of}` })).success;
}

/** Claims of many accounts' prekeys cost the server as many calls. */
export const limitClaimBatches = createMiddleware<ApiTypes>(async (context, next) => {
	await spend(context.env.LIMIT_CLAIM_BATCH, context.var.caller.accountId);
	await next();
});

function addressOf(context: Context<ApiTypes>): string {
	return addressKey(context.req.header("cf-connecting-ip") ?? "unknown");
}

async function spend(limit: RateLimit, key: string): Promise<void> {
	const { success } = await limit.limit({ key });
	if (!success) throw tooMany();
}

function tooMany(): Refusal {
	return new Refusal("rate_limited", "too many requests: wait a minute");
}

/** Every fault becomes the one error shape; what it says inside stays inside. */
export function answerError(error: Error, context: Context<ApiTypes>): Response {
	if (error instanceof Refusal) return refusalResponse(error);
	logFault(`${context.req.method} ${context.req.routePath}`, error);
	return refusalResponse(new Refusal("internal", "the server failed"));
}
