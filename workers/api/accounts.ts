/** Accounts: registration, tokens, usernames, deletion. */
import { createRoute, type OpenAPIHono } from "@hono/zod-openapi";
import { decodeBase64Url } from "hono/utils/encode";
import { z } from "zod";
import { AccessToken, RegisterRequest, RegisterResponse, TokenRequest, UsernameResponse } from "../../protocol/http.ts";
import { toHex, UUID_PATTERN } from "../../protocol/ids.ts";
import { announceDeletion } from "./changes.ts";
import { DeviceDirectory } from "./directory/devices.ts";
import { Directory } from "./directory/directory.ts";
import { type ApiEnv, accountStub } from "./env.ts";
import { REMOVED, Refusal } from "./errors.ts";
import {
	type ApiTypes,
	authenticate,
	limitAccount,
	limitAddress,
	limitLookups,
	refuseRemoved,
	requireDevice,
	requireJson,
	spendAccount,
} from "./guards.ts";
import { bearer, body, json, refusals, refusalsWithToken } from "./shapes.ts";
import { checkPreKeys, checkProof } from "./signatures.ts";
import { hashSecret, issueToken, sameHash } from "./tokens.ts";

/** An account starts with this device. */
const FIRST_DEVICE = 1;

const register = createRoute({
	method: "post",
	path: "/v1/accounts",
	summary: "Registers an account with its first device; may be repeated",
	middleware: [limitAddress("LIMIT_REGISTER"), requireJson] as const,
	request: { body: body(RegisterRequest) },
	responses: {
		200: json(RegisterResponse, "the account, with a fresh token"),
		...refusals("malformed", "bad_signature", "username_taken", "too_many_prekeys", "device_unlinked", "device_idle"),
	},
});

const refresh = createRoute({
	method: "post",
	path: "/v1/tokens",
	summary: "A fresh access token for a device secret",
	middleware: [limitAddress("LIMIT_TOKEN"), requireJson] as const,
	request: { body: body(TokenRequest) },
	responses: {
		200: json(AccessToken, "the token"),
		...refusals("malformed", "unauthorized", "device_unlinked", "device_idle"),
	},
});

const lookUp = createRoute({
	method: "get",
	path: "/v1/usernames/{hash}",
	summary: "The account of a username",
	security: bearer,
	middleware: [authenticate, limitAccount, limitLookups, requireDevice] as const,
	request: {
		params: z.object({ hash: RegisterRequest.shape.usernameHash }),
		query: z.object({ account: z.string().regex(UUID_PATTERN).optional() }),
	},
	responses: { 200: json(UsernameResponse, "the account"), ...refusalsWithToken("malformed", "not_found") },
});

const remove = createRoute({
	method: "delete",
	path: "/v1/accounts/me",
	summary: "Deletes the caller's account; may be repeated",
	security: bearer,
	middleware: [authenticate, limitAccount] as const,
	responses: { 204: { description: "gone; its objects follow" }, ...refusalsWithToken() },
});

/** Registering, signing in, deleting, and finding an account by its username's hash. */
export function addAccounts(app: OpenAPIHono<ApiTypes>): void {
	app.openapi(register, async (context) => {
		const request = context.req.valid("json");
		checkProof(request);
		checkPreKeys(decodeBase64Url(request.identityKey), request);
		const accountId = await createAccount(context.env, request);
		const token = await issueToken(context.env, { accountId, device: FIRST_DEVICE }, Date.now());
		return context.json({ accountId, deviceId: FIRST_DEVICE, ...token }, 200);
	});

	app.openapi(refresh, async (context) => {
		const { accountId, deviceId, deviceSecret } = context.req.valid("json");
		const given = await hashSecret(decodeBase64Url(deviceSecret));
		const directory = new DeviceDirectory(context.env.DIRECTORY);
		const stored = await directory.secretHash(accountId, deviceId);
		// Rule ACCOUNT-5: one answer, whether the account, the device or the secret is wrong.
		if (!sameHash(stored?.secretHash, given)) throw new Refusal("unauthorized", "no device with this secret");
		refuseRemoved(stored?.removed);
		await spendAccount(context.env, accountId);
		await directory.seen(accountId, deviceId, Date.now());
		return context.json(await issueToken(context.env, { accountId, device: deviceId }, Date.now()), 200);
	});

	app.openapi(lookUp, async (context) => {
		const hash = toHex(decodeBase64Url(context.req.valid("param").hash));
		const { account } = context.req.valid("query");
		const accountId = await new Directory(context.env.DIRECTORY).accountOf(hash, account);
		if (accountId === undefined) throw new Refusal("not_found", "nobody has this username");
		return context.json({ accountId }, 200);
	});

	app.openapi(remove, async (context) => {
		const { accountId, device } = context.var.caller;
		const { devices } = await new DeviceDirectory(context.env.DIRECTORY).devicesOf(accountId);
		// None at all: it is deleted already. A device that was removed deletes nothing (rule DEVICE-3).
		if (devices.length > 0 && !devices.some((each) => each.device === device)) {
			throw new Refusal("unauthorized", REMOVED);
		}
		const deleted = await new Directory(context.env.DIRECTORY).deleteAccount(accountId, Date.now());
		if (deleted) await announceDeletion(context.env, accountId);
		return context.body(null, 204);
	});
}

/**
 * Rule ACCOUNT-1: the username first (it is what may be refused), then the account object, the directory last. A crash
 * anywhere leaves a reservation that the same request resumes; the account exists for others once its row does.
 */
async function createAccount(env: ApiEnv, request: RegisterRequest): Promise<string> {
	const directory = new Directory(env.DIRECTORY);
	const usernameHash = toHex(decodeBase64Url(request.usernameHash));
	const secretHash = await hashSecret(decodeBase64Url(request.deviceSecret));
	const accountId = await directory.reserve(usernameHash, secretHash, Date.now());
	if (accountId === "username_taken") throw new Refusal("username_taken", "somebody has this username");
	const registered = await directory.identityKey(accountId);
	if (registered !== undefined) {
		if (registered === request.identityKey) {
			refuseRemoved((await new DeviceDirectory(env.DIRECTORY).secretHash(accountId, FIRST_DEVICE))?.removed);
			return accountId;
		}
		throw new Refusal("username_taken", "somebody has this username");
	}
	const { signedPreKey, lastResortKyberPreKey, oneTimePreKeys, oneTimeKyberPreKeys } = request;
	const keys = { signedPreKey, lastResortKyberPreKey, oneTimePreKeys, oneTimeKyberPreKeys };
	await accountStub(env, accountId).addDevice(FIRST_DEVICE, keys);
	const { identityKey, registrationId, sealedName } = request;
	const names = { accountId, identityKey, usernameHash };
	const account = { ...names, device: FIRST_DEVICE, registrationId, secretHash, sealedName };
	await directory.createAccount(account, Date.now());
	return accountId;
}
