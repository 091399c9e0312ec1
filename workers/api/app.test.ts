import { expect, test } from "vitest";
import { Health } from "../../protocol/http.ts";
import { call } from "../../test/api-caller.ts";

test("every room answers for its health", async () => {
	const response = await call("/v1/health");
	expect(Health.parse(await response.json()).status).toBe("ok");
});

test("the interface describes itself in OpenAPI 3.1, every path of it", async () => {
	const document: { openapi: string; paths: Record<string, object> } = await (await call("/v1/openapi.json")).json();
	expect(document.openapi).toBe("3.1.0");
	const listed = Object.entries(document.paths).flatMap(([path, methods]) =>
		Object.keys(methods).map((method) => `${method} ${path}`),
	);
	expect(listed.toSorted()).toEqual([
		"delete /v1/accounts/me",
		"delete /v1/devices/{deviceId}",
		"delete /v1/media/blobs/{blob}",
		"delete /v1/media/uploads/{upload}",
		"get /v1/conversations",
		"get /v1/devices",
		"get /v1/direct/{accountId}/socket",
		"get /v1/groups/{groupId}",
		"get /v1/groups/{groupId}/socket",
		"get /v1/health",
		"get /v1/keys",
		"get /v1/media/blobs/{blob}",
		"get /v1/openapi.json",
		"get /v1/socket",
		"get /v1/usernames/{hash}",
		"head /v1/media/blobs/{blob}",
		"head /v1/media/uploads/{upload}",
		"options /v1/media/uploads",
		"patch /v1/media/uploads/{upload}",
		"post /v1/accounts",
		"post /v1/accounts/{accountId}/keys",
		"post /v1/devices",
		"post /v1/devices/tokens",
		"post /v1/groups/{groupId}",
		"post /v1/groups/{groupId}/changes",
		"post /v1/groups/{groupId}/leave",
		"post /v1/groups/{groupId}/requests",
		"post /v1/keys/claims",
		"post /v1/links",
		"post /v1/links/{address}/take",
		"post /v1/media/grants",
		"post /v1/media/uploads",
		"post /v1/reports",
		"post /v1/tokens",
		"put /v1/accounts/me/discoverable",
		"put /v1/devices/{deviceId}/name",
		"put /v1/keys",
		"put /v1/links/{address}",
		"put /v1/media/blobs/{blob}/hold",
	]);
});
