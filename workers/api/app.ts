/** The HTTP interface: guards, routes, and the document that describes them. */
import { createRoute, OpenAPIHono } from "@hono/zod-openapi";
import { HTTPException } from "hono/http-exception";
import type { z } from "zod";
import { Health } from "../../protocol/http.ts";
import { LIMITS } from "../../protocol/limits.ts";
import { addAccounts } from "./accounts.ts";
import { addDevices } from "./devices.ts";
import { Refusal, refusalResponse } from "./errors.ts";
import { addGroups } from "./groups.ts";
import { type ApiTypes, answerError, limitBody, limitEveryAddress, requireSecret } from "./guards.ts";
import { addKeys } from "./keys.ts";
import { addLinks } from "./links.ts";
import { addMedia } from "./media.ts";
import { addPrivacy } from "./privacy.ts";
import { json, refusals } from "./shapes.ts";
import { addSockets } from "./sockets.ts";

const health = createRoute({
	method: "get",
	path: "/v1/health",
	summary: "Whether every room answers",
	responses: { 200: json(Health, "all do"), ...refusals() },
});

const describe = createRoute({
	method: "get",
	path: "/v1/openapi.json",
	summary: "This document",
	responses: { 200: { description: "an OpenAPI 3.1 document, as JSON" }, ...refusals() },
});

/** Every request passes the three guards, then its route's own. */
export const app = new OpenAPIHono<ApiTypes>({
	defaultHook: (result) => (result.success ? undefined : refusalResponse(malformed(result.error))),
});

app.use(requireSecret);
app.use(limitEveryAddress);
app.use(limitBody);
app.onError((error, context) => {
	// The library throws this for a body that is no JSON.
	if (error instanceof HTTPException && error.status === 400) {
		return refusalResponse(new Refusal("malformed", "the body is not JSON"));
	}
	return answerError(error, context);
});
app.notFound(() => refusalResponse(new Refusal("not_found", "no such path")));

addAccounts(app);
addDevices(app);
addGroups(app);
addKeys(app);
addLinks(app);
addMedia(app);
addPrivacy(app);
addSockets(app);

app.openapi(health, async (context) => {
	const { CONVERSATION_HEALTH, ACCOUNT_HEALTH, MEDIA } = context.env;
	const [conversation, account, media] = await Promise.all([
		CONVERSATION_HEALTH.health(),
		ACCOUNT_HEALTH.health(),
		MEDIA.health(),
	]);
	return context.json({ status: "ok" as const, rooms: { api: "ok" as const, conversation, account, media } }, 200);
});

app.openAPIRegistry.registerComponent("securitySchemes", "accessToken", {
	type: "http",
	scheme: "bearer",
	bearerFormat: "JWT",
});

/** Made once: it never changes, and anybody may ask for it. */
let document: ReturnType<typeof app.getOpenAPI31Document> | undefined;

app.openapi(describe, () => {
	document ??= app.getOpenAPI31Document({
		openapi: "3.1.0",
		info: { title: "Parley", version: "1", license: { name: "AGPL-3.0-only" } },
	});
	return Response.json(document);
});

/** Names the first field that is wrong, and never its value. */
function malformed(error: z.ZodError): Refusal {
	const issue = error.issues[0];
	const field = issue?.path.join(".") ?? "";
	if (issue?.code === "too_big" && (field === "oneTimePreKeys" || field === "oneTimeKyberPreKeys")) {
		return new Refusal("too_many_prekeys", "too many prekeys in one upload", LIMITS.prekeys_per_upload);
	}
	return new Refusal("malformed", field === "" ? "the request is malformed" : `${field} is malformed`);
}
