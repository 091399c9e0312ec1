/** The account's devices: list, names, unlinking; and its conversations, for a device that is new. */
import { createRoute, type OpenAPIHono } from "@hono/zod-openapi";
import { z } from "zod";
import { ConversationList, DeviceList, RenameDeviceRequest } from "../../protocol/http_devices.ts";
import { announceRemoval } from "./changes.ts";
import { DeviceDirectory } from "./directory/devices.ts";
import { accountStub } from "./env.ts";
import { Refusal } from "./errors.ts";
import { type ApiTypes, authenticate, limitAccount, requireJson, requireListedDevice } from "./guards.ts";
import { bearer, body, json, refusalsWithToken } from "./shapes.ts";

const DeviceParameters = z.object({ deviceId: z.coerce.number().int().min(1).max(127) });
const PageParameters = z.object({
	after: z
		.string()
		.regex(/^[0-9a-f]{64}$/)
		.optional(),
});

const list = createRoute({
	method: "get",
	path: "/v1/devices",
	summary: "The devices of the caller's account",
	security: bearer,
	middleware: [authenticate, limitAccount, requireListedDevice] as const,
	responses: { 200: json(DeviceList, "all of them"), ...refusalsWithToken() },
});

const rename = createRoute({
	method: "put",
	path: "/v1/devices/{deviceId}/name",
	summary: "Names a device of the caller's account; the server can't read the name",
	security: bearer,
	middleware: [authenticate, limitAccount, requireListedDevice, requireJson] as const,
	request: { params: DeviceParameters, body: body(RenameDeviceRequest) },
	responses: { 204: { description: "named" }, ...refusalsWithToken("malformed", "not_found") },
});

const unlink = createRoute({
	method: "delete",
	path: "/v1/devices/{deviceId}",
	summary: "Unlinks a device of the caller's account, which loses access at once",
	security: bearer,
	middleware: [authenticate, limitAccount, requireListedDevice] as const,
	request: { params: DeviceParameters },
	responses: {
		204: { description: "unlinked; every conversation hears of it" },
		...refusalsWithToken("malformed", "not_found", "last_device"),
	},
});

const conversations = createRoute({
	method: "get",
	path: "/v1/conversations",
	summary: "A page of the caller's conversations",
	security: bearer,
	middleware: [authenticate, limitAccount, requireListedDevice] as const,
	request: { query: PageParameters },
	responses: { 200: json(ConversationList, "by id"), ...refusalsWithToken("malformed") },
});

/** The account's devices and conversations. */
export function addDevices(app: OpenAPIHono<ApiTypes>): void {
	app.openapi(list, async (context) => {
		const rows = await new DeviceDirectory(context.env.DIRECTORY).list(context.var.caller.accountId);
		const devices = rows.map(({ deviceId, registrationId, createdAtMs, lastSeenDay, sealedName }) => ({
			...{ deviceId, registrationId, createdAtMs, lastSeenDay },
			...(sealedName === null ? {} : { sealedName }),
		}));
		return context.json({ devices }, 200);
	});

	app.openapi(rename, async (context) => {
		const { accountId } = context.var.caller;
		const { deviceId } = context.req.valid("param");
		const { sealedName } = context.req.valid("json");
		const renamed = await new DeviceDirectory(context.env.DIRECTORY).rename(accountId, deviceId, sealedName);
		if (!renamed) throw new Refusal("not_found", "no such device");
		return context.body(null, 204);
	});

	app.openapi(unlink, async (context) => {
		const { accountId } = context.var.caller;
		const { deviceId } = context.req.valid("param");
		const outcome = await new DeviceDirectory(context.env.DIRECTORY).remove(
			accountId,
			deviceId,
			"unlinked",
			Date.now(),
		);
		switch (outcome) {
			case "removed":
				await announceRemoval(context.env, accountId, deviceId);
				return context.body(null, 204);
			case "last":
				throw new Refusal("last_device", "an account's last device can't be unlinked: delete the account");
			case "unknown":
				throw new Refusal("not_found", "no such device");
		}
	});

	app.openapi(conversations, async (context) => {
		const { after } = context.req.valid("query");
		const page = await accountStub(context.env, context.var.caller.accountId).conversations(after ?? "");
		const next = page.at(-1)?.conversation;
		const listed = page.map(({ conversation, peer }) => ({ conversation, ...(peer === "" ? {} : { peer }) }));
		return context.json({ conversations: listed, ...(next === undefined ? {} : { next }) }, 200);
	});
}
