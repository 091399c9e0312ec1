/** What somebody tries at the door: requests that no client makes. Each is refused with a code, and changes nothing. */
import { createExecutionContext } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { sign } from "hono/jwt";
import { expect, test } from "vitest";
import { AccessToken, HttpError, PreKeyCounts } from "../../protocol/http.ts";
import { LIMITS } from "../../protocol/limits.ts";
import { call, fixture, refusal, register } from "../../test/api-caller.ts";
import { app } from "./app.ts";

const UPGRADE = { upgrade: "websocket" };

/** A request as it is, with nothing added. */
function raw(path: string, init: RequestInit): Promise<Response> {
	const request = new Request(`https://parley.test${path}`, init);
	return Promise.resolve(app.fetch(request, env, createExecutionContext()));
}

/** The counts of a device's prekeys. */
async function counts(token: string): Promise<PreKeyCounts> {
	return PreKeyCounts.parse(await (await call("/v1/keys", { token })).json());
}

test("ACCOUNT-3 a token speaks for its own device only, whatever the body or the headers name", async () => {
	const [alice, bob] = [await register(0), await register(1)];
	const before = await counts(bob.accessToken);
	const put = (body: unknown, headers = {}) =>
		call("/v1/keys", { method: "PUT", token: alice.accessToken, body, headers });
	const { oneTimePreKeys } = fixture(1).request;
	for (const field of ["accountId", "deviceId", "device", "account"]) {
		expect(await refusal(await put({ oneTimePreKeys, [field]: bob.accountId }))).toEqual([400, "malformed"]);
	}
	// Bob's own signed prekey, which Alice can see, is no prekey of Alice's.
	expect(await refusal(await put({ signedPreKey: fixture(1).request.signedPreKey }))).toEqual([422, "bad_signature"]);
	const named = { "x-parley-account": bob.accountId, "x-parley-device": "1", "x-http-method-override": "DELETE" };
	expect((await put({ oneTimePreKeys: [] }, named)).status).toBe(200);
	expect(await counts(bob.accessToken)).toEqual(before);
	expect((await call("/v1/keys", { token: bob.accessToken })).status).toBe(200);
});

test("ACCOUNT-6 a good token of a device that its account doesn't have opens nothing", async () => {
	const [{ accountId }, bob] = [await register(0), await register(1)];
	const now = Math.floor(Date.now() / 1000);
	const token = await sign({ sub: accountId, did: 7, iat: now, exp: now + 900 }, env.TOKEN_SECRET, "HS256");
	const asked = [
		await call("/v1/keys", { token }),
		await call("/v1/keys", { method: "PUT", token, body: {} }),
		await call("/v1/socket", { token, headers: UPGRADE }),
		await call(`/v1/direct/${bob.accountId}/socket`, { token, headers: UPGRADE }),
		await call(`/v1/accounts/${bob.accountId}/keys`, { method: "POST", token }),
		await call(`/v1/usernames/${fixture(1).request.usernameHash}`, { token }),
		await call("/v1/devices", { token }),
		await call("/v1/accounts/me", { method: "DELETE", token }),
	];
	for (const response of asked) expect(await refusal(response)).toEqual([401, "unauthorized"]);
});

test("ACCOUNT-3 a header with two tokens, another scheme, or a token elsewhere is no token", async () => {
	const { accessToken } = await register(0);
	for (const authorization of [
		accessToken,
		`Basic ${accessToken}`,
		`Bearer ${accessToken}, Bearer ${accessToken}`,
		`Bearer ${accessToken} x`,
		`Bearer  ${accessToken}`,
		"Bearer ",
		`Bearer ${accessToken.split(".").slice(0, 2).join(".")}`,
		`Bearer ${accessToken}.x`,
		`Bearer ${"a".repeat(30_000)}.b.c`,
	]) {
		const response = await raw("/v1/keys", { headers: { authorization } });
		expect(await refusal(response), authorization.slice(0, 40)).toEqual([401, "unauthorized"]);
	}
	const elsewhere = await raw(`/v1/keys?access_token=${accessToken}`, { headers: { cookie: `token=${accessToken}` } });
	expect(await refusal(elsewhere)).toEqual([401, "unauthorized"]);
	expect((await raw("/v1/keys", { headers: { authorization: `bearer ${accessToken}` } })).status).toBe(200);
});

test("ACCOUNT-3 an older token is good until its end and no longer; a sign-in after the deletion is none", async () => {
	const { accountId, deviceId, accessToken } = await register(2);
	const body = { accountId, deviceId, deviceSecret: fixture(2).request.deviceSecret };
	const fresh = AccessToken.parse(await (await call("/v1/tokens", { method: "POST", body })).json());
	expect((await call("/v1/keys", { token: accessToken })).status).toBe(200);
	expect((await call("/v1/accounts/me", { method: "DELETE", token: fresh.accessToken })).status).toBe(204);
	for (const token of [accessToken, fresh.accessToken]) {
		expect(await refusal(await call("/v1/keys", { token }))).toEqual([401, "unauthorized"]);
	}
	expect(await refusal(await call("/v1/tokens", { method: "POST", body }))).toEqual([401, "unauthorized"]);
});

test("ACCOUNT-1 a registration that is replayed with another key, id or secret is refused; the account stays as it was", async () => {
	const { accountId, accessToken } = await register(3);
	const { request } = fixture(3);
	const other = fixture(4).request;
	for (const changed of [
		{ deviceSecret: other.deviceSecret },
		{ registrationId: (request.registrationId % 16_380) + 1 },
		{ usernameHash: other.usernameHash },
		{ identityKey: other.identityKey },
		{ signedPreKey: other.signedPreKey },
	]) {
		const response = await call("/v1/accounts", { method: "POST", body: { ...request, ...changed } });
		expect(await refusal(response)).toEqual([422, "bad_signature"]);
	}
	// The same again brings no key back that was handed out.
	const claim = () => call(`/v1/accounts/${accountId}/keys`, { method: "POST", token: accessToken });
	expect((await claim()).status).toBe(200);
	const before = await counts(accessToken);
	expect((await register(3)).accountId).toBe(accountId);
	expect(await counts(accessToken)).toEqual(before);
});

test("REFUSED-1 a body is read up to its limit and no further, whether it tells its length or not", async () => {
	const { accessToken } = await register(0);
	let pulled = 0;
	const endless = new ReadableStream({
		pull(controller) {
			pulled += 1;
			controller.enqueue(new TextEncoder().encode(" ".repeat(16_384)));
		},
	});
	const headers = { authorization: `Bearer ${accessToken}`, "content-type": "application/json" };
	const streamed = await raw("/v1/keys", { method: "PUT", headers, body: endless });
	expect(await refusal(streamed)).toEqual([413, "body_too_large"]);
	expect(pulled * 16_384).toBeLessThan(2 * LIMITS.body_bytes);
	const long = await raw("/v1/accounts", {
		method: "POST",
		headers: { "content-type": "application/json" },
		body: " ".repeat(LIMITS.body_bytes + 1),
	});
	expect(HttpError.parse(await long.json())).toMatchObject({ code: "body_too_large", limit: LIMITS.body_bytes });
});

test("REFUSED-1 a body that is packed, of another type or no JSON is refused, never taken for an empty one", async () => {
	const { accessToken } = await register(0);
	const { oneTimePreKeys } = fixture(0).request;
	const text = JSON.stringify({ oneTimePreKeys: oneTimePreKeys.map(({ key }, id) => ({ id: 50 + id, key })) });
	const before = await counts(accessToken);
	const put = (body: BodyInit | null, headers: Record<string, string>) =>
		raw("/v1/keys", { method: "PUT", headers: { authorization: `Bearer ${accessToken}`, ...headers }, body });
	const packed = new Response(text).body?.pipeThrough(new CompressionStream("gzip")) ?? null;
	const bytes = await new Response(packed).arrayBuffer();
	const json = { "content-type": "application/json" };
	for (const response of [
		await put(bytes, { ...json, "content-encoding": "gzip" }),
		await put(text, { "content-type": "text/plain" }),
		await put(text, { "content-type": "application/json, text/plain" }),
		await put(text, { "content-type": "application/jsonp" }),
		await put(text, { "content-type": "application/json;" }),
		await put(text, { "content-type": "application/json; " }),
		await put(text, { "content-type": "application/json;charset" }),
		await put("", json),
		await put(null, json),
		await put("null", json),
		await put("[]", json),
		await put('"x"', json),
		await put("{".repeat(100_000), json),
		await put("[".repeat(200_000) + "]".repeat(200_000), json),
		await put('{"oneTimePreKeys":[],"__proto__":{"x":1}}', json),
		await put('{"oneTimePreKeys":[{"id":1e999,"key":"x"}]}', json),
		await put(`{"oneTimePreKeys":[{"id":1.5,"key":"${oneTimePreKeys[0]?.key}"}]}`, json),
		await put(`{"oneTimePreKeys":[{"id":16777216,"key":"${oneTimePreKeys[0]?.key}"}]}`, json),
	]) {
		expect(await refusal(response)).toEqual([400, "malformed"]);
	}
	expect(await counts(accessToken)).toEqual(before);
	// Names of types know no case.
	const stored = await put(text, { "content-type": "Application/JSON; charset=utf-8" });
	expect(await stored.json()).toEqual({ ...before, oneTimePreKeys: before.oneTimePreKeys + oneTimePreKeys.length });
});

test("REFUSED-1 paths and methods that are spelled otherwise lead nowhere", async () => {
	const [alice, bob] = [await register(0), await register(1)];
	const headers = { authorization: `Bearer ${alice.accessToken}`, ...UPGRADE };
	const id = bob.accountId;
	for (const [path, method] of [
		["/V1/keys", "GET"],
		["/v1/keys/", "GET"],
		["//v1/keys", "GET"],
		["/v1//keys", "GET"],
		["/v1/keys%2f", "GET"],
		["/v1/keys;x", "GET"],
		["/v1/keys", "PATCH"],
		["/v1/keys", "POST"],
		["/v1/accounts/ME", "DELETE"],
		["/v1/accounts/me/", "DELETE"],
		[`/v1/accounts/${id}`, "DELETE"],
		[`/v1/accounts/${id}/keys`, "GET"],
		[`/v1/direct/${id}/socket/`, "GET"],
		[`/v1/direct/${id}/socket`, "POST"],
		[`/v1/direct/${id}%2fsocket`, "GET"],
		["/", "GET"],
	] as const) {
		expect(await refusal(await raw(path, { method, headers })), `${method} ${path}`).toEqual([404, "not_found"]);
	}
	for (const other of [
		id.toUpperCase(),
		`${id}%00`,
		`${id}%20`,
		id.replaceAll("-", ""),
		`{${id}}`,
		"..%2f..%2fv1%2fkeys",
		"me",
		"%F0%9F%98%80",
	]) {
		const claim = await raw(`/v1/accounts/${other}/keys`, { method: "POST", headers });
		expect(await refusal(claim), other).toEqual([400, "malformed"]);
		expect(await refusal(await raw(`/v1/direct/${other}/socket`, { headers })), other).toEqual([400, "malformed"]);
	}
	expect((await raw("/v1/../v1/%6beys", { headers })).status).toBe(200);
	expect((await call("/v1/keys", { token: bob.accessToken })).status).toBe(200);
});
