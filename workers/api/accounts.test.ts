import { env } from "cloudflare:workers";
import { sign } from "hono/jwt";
import { expect, test } from "vitest";
import { AccessToken, PreKeyCounts, RegisterResponse, UsernameResponse } from "../../protocol/http.ts";
import { LIMITS } from "../../protocol/limits.ts";
import { call, fixture, refusal, register } from "../../test/api-caller.ts";
import { Directory } from "./directory/directory.ts";

const OTHER_SECRET = "A".repeat(43);
const NOBODY = "3f2c8a52-6f0f-4f36-9a2e-0d2f7a1f5c11";

test("ACCOUNT-1 the same registration again returns the same account with a token", async () => {
	const first = await register(0);
	const again = await register(0);
	expect(again.accountId).toBe(first.accountId);
	expect(again.deviceId).toBe(1);
	const counts = await call("/v1/keys", { token: again.accessToken });
	expect(PreKeyCounts.parse(await counts.json())).toEqual({ oneTimePreKeys: 3, oneTimeKyberPreKeys: 1 });
	const both = await Promise.all([register(1), register(1)]);
	expect(both[0].accountId).toBe(both[1].accountId);
});

test("ACCOUNT-1 a username that somebody has is refused, and so is another identity with the same secret", async () => {
	await register(0);
	for (const rival of [6, 7]) {
		const response = await call("/v1/accounts", { method: "POST", body: fixture(rival).request });
		expect(await refusal(response)).toEqual([409, "username_taken"]);
	}
	// Also when the reservation is long past: an account has it.
	const { results } = await env.DIRECTORY.prepare("SELECT username_hash FROM usernames").all<{
		username_hash: string;
	}>();
	const directory = new Directory(env.DIRECTORY);
	for (const { username_hash } of results) {
		expect(await directory.reserve(username_hash, "f".repeat(64), Date.now() + 3_600_000)).toBe("username_taken");
	}
});

test("ACCOUNT-1 a reservation without an account is resumed by its holder and taken over after ten minutes", async () => {
	const directory = new Directory(env.DIRECTORY);
	const [hash, mine, theirs] = ["ab".repeat(32), "1".repeat(64), "2".repeat(64)];
	const first = await directory.reserve(hash, mine, 1_000);
	expect(await directory.reserve(hash, theirs, 2_000)).toBe("username_taken");
	expect(await directory.reserve(hash, mine, 500_000)).toBe(first);
	// The holder came back, so the ten minutes count from then.
	expect(await directory.reserve(hash, theirs, 700_000)).toBe("username_taken");
	const taken = await directory.reserve(hash, theirs, 1_200_000);
	expect(taken).not.toBe(first);
	expect(taken).not.toBe("username_taken");
	expect(await directory.reserve(hash, mine, 1_200_001)).toBe("username_taken");
	expect(await directory.accountOf(hash)).toBeUndefined();
});

test("ACCOUNT-2 neither the device secret nor a username is in the directory", async () => {
	await register(0);
	const { request } = fixture(0);
	for (const table of ["usernames", "accounts", "devices"]) {
		const { results } = await env.DIRECTORY.prepare(`SELECT * FROM ${table}`).all();
		expect(results.length).toBeGreaterThan(0);
		expect(JSON.stringify(results)).not.toContain(request.deviceSecret);
	}
	const { results } = await env.DIRECTORY.prepare("SELECT secret_hash FROM devices").all();
	expect(results[0]?.secret_hash).toMatch(/^[0-9a-f]{64}$/);
});

test("ACCOUNT-3 a device secret gets a token that lasts 15 minutes and opens the account", async () => {
	const { accountId, deviceId } = await register(0);
	const before_ms = Date.now();
	const body = { accountId, deviceId, deviceSecret: fixture(0).request.deviceSecret };
	const response = await call("/v1/tokens", { method: "POST", body });
	const { accessToken, expiresAtMs } = AccessToken.parse(await response.json());
	expect(Math.abs(expiresAtMs - before_ms - LIMITS.access_token_seconds * 1000)).toBeLessThan(5_000);
	expect((await call("/v1/keys", { token: accessToken })).status).toBe(200);
});

test("ACCOUNT-3 forged, expired and missing tokens are refused; a rotated secret's are not", async () => {
	const { accountId } = await register(0);
	const now = Math.floor(Date.now() / 1000);
	const claims = { sub: accountId, did: 1, iat: now, exp: now + 900 };
	const old = { ...claims, exp: now - 1 };
	const keys = async (token: string) => refusal(await call("/v1/keys", { token }));
	expect(await keys(await sign(claims, "x".repeat(40), "HS256"))).toEqual([401, "unauthorized"]);
	expect(await keys(await sign(old, "x".repeat(40), "HS256"))).toEqual([401, "unauthorized"]);
	expect(await keys(await sign(old, env.TOKEN_SECRET, "HS256"))).toEqual([401, "token_expired"]);
	expect(await keys(await sign(claims, env.TOKEN_SECRET, "HS512"))).toEqual([401, "unauthorized"]);
	expect(await keys(await sign({ sub: accountId }, env.TOKEN_SECRET, "HS256"))).toEqual([401, "unauthorized"]);
	const none = `${btoa('{"alg":"none","typ":"JWT"}')}.${btoa(JSON.stringify(claims))}.`.replaceAll("=", "");
	expect(await keys(none)).toEqual([401, "unauthorized"]);
	expect(await refusal(await call("/v1/keys"))).toEqual([401, "unauthorized"]);
	const token = await sign(claims, "y".repeat(40), "HS256");
	const rotated = await call("/v1/keys", { token, bindings: { TOKEN_SECRET_PREVIOUS: "y".repeat(40) } });
	expect(rotated.status).toBe(200);
});

test("ACCOUNT-3 a token is verified without a database read", async () => {
	const { accessToken } = await register(0);
	const closed = { ...env.DIRECTORY, prepare: () => expect.unreachable("a database read") } as unknown as D1Database;
	expect((await call("/v1/keys", { token: accessToken, bindings: { DIRECTORY: closed } })).status).toBe(200);
});

test("ACCOUNT-3 without a token secret nothing is served, and the answer says what to set", async () => {
	for (const TOKEN_SECRET of ["", "short"]) {
		const response = await call("/v1/health", { bindings: { TOKEN_SECRET } });
		expect(response.status).toBe(500);
		expect(await response.json()).toMatchObject({
			code: "internal",
			message: expect.stringContaining("wrangler secret put TOKEN_SECRET"),
		});
	}
});

test("ACCOUNT-5 a wrong secret and an unknown account or device get the same answer", async () => {
	const { accountId } = await register(0);
	const bodies = [
		{ accountId, deviceId: 1, deviceSecret: OTHER_SECRET },
		{ accountId, deviceId: 2, deviceSecret: OTHER_SECRET },
		{ accountId: NOBODY, deviceId: 1, deviceSecret: OTHER_SECRET },
	];
	const answers = [];
	for (const body of bodies) {
		const response = await call("/v1/tokens", { method: "POST", body });
		answers.push([response.status, [...response.headers], await response.text()]);
	}
	expect(answers[0]?.[0]).toBe(401);
	expect(answers[1]).toEqual(answers[0]);
	expect(answers[2]).toEqual(answers[0]);
});

test("ACCOUNT-5 sign-ins and registrations are limited by address", async () => {
	const headers = { "cf-connecting-ip": "198.51.100.7" };
	const body = { accountId: NOBODY, deviceId: 1, deviceSecret: OTHER_SECRET };
	const codes = new Set<string>();
	for (let round = 0; round < 80; round++) {
		codes.add((await refusal(await call("/v1/tokens", { method: "POST", body, headers })))[1]);
	}
	expect(codes).toEqual(new Set(["unauthorized", "rate_limited"]));
});

test("a username leads to its account, for those who are signed in", async () => {
	const { accountId, accessToken } = await register(2);
	const path = `/v1/usernames/${fixture(2).request.usernameHash}`;
	expect(await refusal(await call(path))).toEqual([401, "unauthorized"]);
	const response = await call(path, { token: accessToken });
	expect(UsernameResponse.parse(await response.json())).toEqual({ accountId });
	const unknown = await call(`/v1/usernames/${"A".repeat(43)}`, { token: accessToken });
	expect(await refusal(unknown)).toEqual([404, "not_found"]);
	expect(await refusal(await call("/v1/usernames/short", { token: accessToken }))).toEqual([400, "malformed"]);
});

test("ACCOUNT-1 an answer to a registration has the form that the interface promises", async () => {
	const response = await call("/v1/accounts", { method: "POST", body: fixture(3).request });
	expect(response.status).toBe(200);
	expect(RegisterResponse.safeParse(await response.json()).success).toBe(true);
});
