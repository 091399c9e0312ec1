/** Prekeys: a device's own, and those of an account to write to. */

import { createRoute, type OpenAPIHono } from "@hono/zod-openapi";
import { decodeBase64Url } from "hono/utils/encode";
import { ClaimedPreKeys, ClaimPreKeysRequest, PreKeyBundles, PreKeyCounts, PreKeyUpload } from "../../protocol/http.ts";
import { LIMITS } from "../../protocol/limits.ts";
import { logFault } from "../fault-log.ts";
import { DeviceDirectory, type DirectoryDevice } from "./directory/devices.ts";
import { Directory } from "./directory/directory.ts";
import { type ApiEnv, accountStub } from "./env.ts";
import { REMOVED, Refusal } from "./errors.ts";
import {
	type ApiTypes,
	authenticate,
	limitAccount,
	limitClaimBatches,
	limitClaims,
	mayClaim,
	requireDevice,
	requireJson,
} from "./guards.ts";
import { AccountParameters, bearer, body, json, refusalsWithToken } from "./shapes.ts";
import { checkPreKeys } from "./signatures.ts";

const upload = createRoute({
	method: "put",
	path: "/v1/keys",
	summary: "Stores prekeys of the caller's device; the same set twice changes nothing",
	security: bearer,
	middleware: [authenticate, limitAccount, requireJson] as const,
	request: { body: body(PreKeyUpload) },
	responses: {
		200: json(PreKeyCounts, "what is left"),
		...refusalsWithToken("malformed", "bad_signature", "too_many_prekeys"),
	},
});

const count = createRoute({
	method: "get",
	path: "/v1/keys",
	summary: "How many one-time prekeys the caller's device has left",
	security: bearer,
	middleware: [authenticate, limitAccount] as const,
	responses: { 200: json(PreKeyCounts, "what is left"), ...refusalsWithToken() },
});

const claim = createRoute({
	method: "post",
	path: "/v1/accounts/{accountId}/keys",
	summary: "Takes one set of prekeys for each device of an account",
	security: bearer,
	middleware: [authenticate, limitAccount, limitClaims, requireDevice] as const,
	request: { params: AccountParameters },
	responses: { 200: json(PreKeyBundles, "one bundle a device"), ...refusalsWithToken("malformed", "not_found") },
});

const claimMany = createRoute({
	method: "post",
	path: "/v1/keys/claims",
	summary: "The same of many accounts",
	security: bearer,
	middleware: [authenticate, limitAccount, limitClaimBatches, requireDevice, requireJson] as const,
	request: { body: body(ClaimPreKeysRequest) },
	responses: { 200: json(ClaimedPreKeys, "each account's bundles, or why not"), ...refusalsWithToken("malformed") },
});

/** Uploading and counting prekeys, and claiming others'. */
export function addKeys(app: OpenAPIHono<ApiTypes>): void {
	app.openapi(upload, async (context) => {
		const { accountId, device } = context.var.caller;
		const keys = context.req.valid("json");
		const identityKey = await new Directory(context.env.DIRECTORY).identityKey(accountId);
		if (identityKey === undefined) throw new Refusal("unauthorized", REMOVED);
		checkPreKeys(decodeBase64Url(identityKey), keys);
		const counts = await accountStub(context.env, accountId).uploadPreKeys(device, keys);
		if (counts === "unknown_device") throw new Refusal("unauthorized", REMOVED);
		if (counts === "too_many_prekeys") {
			throw new Refusal("too_many_prekeys", "so many prekeys are not kept", LIMITS.prekeys_kept);
		}
		return context.json(counts, 200);
	});

	app.openapi(count, async (context) => {
		const { accountId, device } = context.var.caller;
		const counts = await accountStub(context.env, accountId).preKeyCounts(device);
		if (counts === "unknown_device") throw new Refusal("unauthorized", REMOVED);
		return context.json(counts, 200);
	});

	app.openapi(claim, async (context) => {
		const { accountId } = context.req.valid("param");
		const directory = new Directory(context.env.DIRECTORY);
		const [identityKey, { devices }] = await Promise.all([
			directory.identityKey(accountId),
			new DeviceDirectory(context.env.DIRECTORY).devicesOf(accountId),
		]);
		// Before the object is asked: an unknown id must not create one.
		if (identityKey === undefined) throw new Refusal("not_found", "no such account");
		return context.json({ identityKey, devices: await take(context.env, accountId, devices) }, 200);
	});

	app.openapi(claimMany, async (context) => {
		const { env } = context;
		const accountIds = [...new Set(context.req.valid("json").accountIds)];
		const [identityKeys, devices] = await Promise.all([
			new Directory(env.DIRECTORY).identityKeys(accountIds),
			new DeviceDirectory(env.DIRECTORY).devicesOfAll(accountIds),
		]);
		const known = accountIds.filter((accountId) => identityKeys.has(accountId));
		const claims = known.map(async (accountId) => {
			if (!(await mayClaim(env, context.var.caller.accountId, accountId))) return undefined;
			const bundles = await take(env, accountId, devices.get(accountId)?.devices ?? []);
			return { accountId, identityKey: identityKeys.get(accountId) ?? "", devices: bundles };
		});
		// An object that does not answer holds up the others no more than a claim beyond the rate.
		const outcomes = await Promise.allSettled(claims);
		const claimed = outcomes.flatMap((one) => (one.status === "fulfilled" && one.value !== undefined ? one.value : []));
		const failed = outcomes.find((one) => one.status === "rejected");
		if (failed !== undefined) logFault("claim of many, an account's object did not answer", failed.reason, "warn");
		const done = new Set(claimed.map(({ accountId }) => accountId));
		const missing = accountIds.filter((accountId) => !identityKeys.has(accountId));
		return context.json({ claimed, missing, later: known.filter((accountId) => !done.has(accountId)) }, 200);
	});
}

/** One set for each of the account's devices. */
async function take(env: ApiEnv, accountId: string, devices: readonly DirectoryDevice[]) {
	const registrationIds = new Map(devices.map(({ device, registrationId }) => [device, registrationId]));
	const taken = await accountStub(env, accountId).takePreKeys();
	return taken.flatMap((keys) => {
		const registrationId = registrationIds.get(keys.deviceId);
		return registrationId === undefined ? [] : [{ ...keys, registrationId }];
	});
}
