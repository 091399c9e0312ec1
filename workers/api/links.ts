/**
 * Linking a new device: the mailbox through which the account's keys pass, sealed, and the device's own registration.
 */
import { createRoute, type OpenAPIHono } from "@hono/zod-openapi";
import { decodeBase64Url, encodeBase64Url } from "hono/utils/encode";
import { z } from "zod";
import {
	AddDeviceRequest,
	AddDeviceResponse,
	DeviceToken,
	LinkAddress,
	LinkCiphertext,
	OpenLinkRequest,
	OpenLinkResponse,
	TakenLink,
} from "../../protocol/http_devices.ts";
import { LIMITS } from "../../protocol/limits.ts";
import { announceDevices } from "./changes.ts";
import { Directory } from "./directory/directory.ts";
import { LinkDirectory } from "./directory/linking.ts";
import { type ApiEnv, accountStub } from "./env.ts";
import { Refusal } from "./errors.ts";
import { type ApiTypes, authenticate, limitAccount, limitAddress, requireJson, requireListedDevice } from "./guards.ts";
import { bearer, body, json, refusals, refusalsWithToken } from "./shapes.ts";
import { checkDeviceProof, checkPreKeys } from "./signatures.ts";
import { hashSecret, issueToken } from "./tokens.ts";

const parameters = z.object({ address: LinkAddress });

const open = createRoute({
	method: "post",
	path: "/v1/links",
	summary: "Opens the mailbox of a new device for ten minutes",
	middleware: [limitAddress("LIMIT_REGISTER"), requireJson] as const,
	request: { body: body(OpenLinkRequest) },
	responses: { 200: json(OpenLinkResponse, "when it ends"), ...refusals("malformed", "not_found") },
});

const put = createRoute({
	method: "put",
	path: "/v1/links/{address}",
	summary: "Puts the one ciphertext into a new device's mailbox",
	security: bearer,
	middleware: [authenticate, limitAccount, requireListedDevice, requireJson] as const,
	request: { params: parameters, body: body(LinkCiphertext) },
	responses: { 204: { description: "it waits there" }, ...refusalsWithToken("malformed", "not_found", "link_used") },
});

const take = createRoute({
	method: "post",
	path: "/v1/links/{address}/take",
	summary: "Takes the ciphertext out of a mailbox, once; the address is what allows it",
	middleware: [limitAddress("LIMIT_LINK")] as const,
	request: { params: parameters },
	responses: {
		200: json(TakenLink, "the ciphertext, if it is there"),
		...refusals("malformed", "not_found", "link_used"),
	},
});

const mint = createRoute({
	method: "post",
	path: "/v1/devices/tokens",
	summary: "A token with which one device can be added to the caller's account",
	security: bearer,
	middleware: [authenticate, limitAccount, requireListedDevice] as const,
	responses: { 200: json(DeviceToken, "the token"), ...refusalsWithToken("too_many_devices") },
});

const add = createRoute({
	method: "post",
	path: "/v1/devices",
	summary: "Adds a device to an account, with a token that one of its devices has asked for; may be repeated",
	middleware: [limitAddress("LIMIT_REGISTER"), requireJson] as const,
	request: { body: body(AddDeviceRequest) },
	responses: {
		200: json(AddDeviceResponse, "the device, with a fresh access token"),
		...refusals("malformed", "not_found", "bad_signature", "too_many_prekeys", "too_many_devices"),
	},
});

/** Curve25519's base point: a key like any other, to be verified against where there is none. */
const NOBODYS_KEY = Uint8Array.from({ length: 33 }, (_, index) => [5, 9][index] ?? 0);

const EXPIRED = new Refusal("not_found", "this code or token is over, or was never there");
const FULL = `an account has at most ${LIMITS.devices_per_account} devices`;

/** The mailbox between a new device and an old one, and adding the new one. */
export function addLinks(app: OpenAPIHono<ApiTypes>): void {
	app.openapi(open, async (context) => {
		const hash = await hashSecret(decodeBase64Url(context.req.valid("json").address));
		const expiresAtMs = await new LinkDirectory(context.env.DIRECTORY).open(hash, Date.now());
		if (expiresAtMs === undefined) throw EXPIRED;
		return context.json({ expiresAtMs }, 200);
	});

	app.openapi(put, async (context) => {
		const hash = await hashSecret(decodeBase64Url(context.req.valid("param").address));
		const { ciphertext } = context.req.valid("json");
		const outcome = await new LinkDirectory(context.env.DIRECTORY).put(hash, ciphertext, Date.now());
		switch (outcome) {
			case "put":
				return context.body(null, 204);
			case "used":
				throw new Refusal("link_used", "this code was used already");
			case "expired":
				throw EXPIRED;
		}
	});

	app.openapi(take, async (context) => {
		const hash = await hashSecret(decodeBase64Url(context.req.valid("param").address));
		const taken = await new LinkDirectory(context.env.DIRECTORY).take(hash, Date.now());
		if (taken === "used") throw new Refusal("link_used", "this code was used already");
		if (taken === "expired") throw EXPIRED;
		return context.json(taken.ciphertext === undefined ? {} : { ciphertext: taken.ciphertext }, 200);
	});

	app.openapi(mint, async (context) => {
		const bytes = crypto.getRandomValues(new Uint8Array(32));
		const { accountId } = context.var.caller;
		const minted = await new LinkDirectory(context.env.DIRECTORY).mint(accountId, await hashSecret(bytes), Date.now());
		if (minted === "too_many_devices") throw new Refusal("too_many_devices", FULL, LIMITS.devices_per_account);
		if (minted === "too_many_tokens")
			throw new Refusal("rate_limited", "too many devices are being linked: wait a while");
		const token = encodeBase64Url(bytes.buffer).replace(/=+$/, "");
		return context.json({ token, expiresAtMs: minted }, 200);
	});

	app.openapi(add, async (context) => {
		const request = context.req.valid("json");
		const device = await addDevice(context.env, request);
		const { accountId } = request;
		const token = await issueToken(context.env, { accountId, device }, Date.now());
		return context.json({ accountId, deviceId: device, ...token }, 200);
	});
}

/**
 * Rule LINK-4: authorised by the token, which only a device of the account could ask for, and by the identity key's
 * signatures. The id is reserved first, then the account object gets the keys, the directory comes last: a crash
 * anywhere leaves nothing that anybody else sees, and the same request goes on.
 */
async function addDevice(env: ApiEnv, request: AddDeviceRequest): Promise<number> {
	const { accountId, registrationId, sealedName } = request;
	const directory = new LinkDirectory(env.DIRECTORY);
	const identityKey = await new Directory(env.DIRECTORY).identityKey(accountId);
	// An account that is nobody's has the answer of a wrong signature, and takes as long (rule ACCOUNT-5).
	const key = identityKey === undefined ? NOBODYS_KEY : decodeBase64Url(identityKey);
	checkDeviceProof(key, request);
	if (identityKey === undefined) throw EXPIRED;
	checkPreKeys(key, request);
	const tokenHash = await hashSecret(decodeBase64Url(request.token));
	const secretHash = await hashSecret(decodeBase64Url(request.deviceSecret));
	const device = { accountId, tokenHash, registrationId, secretHash, sealedName };
	const reserved = await directory.reserve(device, Date.now());
	if (reserved === "expired") throw EXPIRED;
	if (reserved.done) return reserved.device;
	const { signedPreKey, lastResortKyberPreKey, oneTimePreKeys, oneTimeKyberPreKeys } = request;
	const keys = { signedPreKey, lastResortKyberPreKey, oneTimePreKeys, oneTimeKyberPreKeys };
	await accountStub(env, accountId).addDevice(reserved.device, keys);
	const added = await directory.add(device, reserved.device, Date.now());
	if (added === "expired") throw EXPIRED;
	if (added === "too_many_devices") throw new Refusal("too_many_devices", FULL, LIMITS.devices_per_account);
	await announceDevices(env, accountId);
	return reserved.device;
}
