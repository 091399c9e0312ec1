import { env, exports } from "cloudflare:workers";
import { expect, test } from "vitest";
import { HttpError } from "../../protocol/http.ts";
import { LIMITS } from "../../protocol/limits.ts";
import { type Call, call, fixture, refusal, register } from "../../test/api-caller.ts";

/** The limits of `test/wrangler.toml` in one period. */
const REGISTRATIONS = LIMITS.registrations_per_minute;
const CALLS = LIMITS.account_requests_per_minute;
/** Smaller than in the deployment. */
const REQUESTS = 300;
const LOOKUPS = LIMITS.lookups_per_minute;
const CLAIMS = LIMITS.claims_per_minute;

/**
 * Codes of the same request again and again, until it is limited. The periods are the clock's: one may end in the
 * middle, so that up to two limits pass, and never more.
 */
async function untilLimited(limit: number, ask: () => Promise<Response>): Promise<string[]> {
	const codes: string[] = [];
	for (let count = 0; count <= 2 * limit && codes.at(-1) !== "rate_limited"; count++) {
		codes.push((await refusal(await ask()))[1]);
	}
	return codes;
}

test("REFUSED-1 registrations are limited by address, before anything of them is read", async () => {
	const from = (address: string) =>
		call("/v1/accounts", { method: "POST", body: "{", headers: { "cf-connecting-ip": address } });
	const codes = await untilLimited(REGISTRATIONS, () => from("198.51.100.20"));
	expect(codes.at(-1)).toBe("rate_limited");
	expect(codes.length).toBeGreaterThan(REGISTRATIONS);
	expect(new Set(codes.slice(0, -1))).toEqual(new Set(["malformed"]));
	expect(await refusal(await from("198.51.100.21"))).toEqual([400, "malformed"]);
});

test("REFUSED-1 LINK-4 requests to add a device are limited by address, before anything of them is read", async () => {
	const from = (address: string) =>
		call("/v1/devices", { method: "POST", body: "{", headers: { "cf-connecting-ip": address } });
	const codes = await untilLimited(REGISTRATIONS, () => from("198.51.100.25"));
	expect(codes.at(-1)).toBe("rate_limited");
	expect(codes.length).toBeGreaterThan(REGISTRATIONS);
	expect(new Set(codes.slice(0, -1))).toEqual(new Set(["malformed"]));
	expect(await refusal(await from("198.51.100.26"))).toEqual([400, "malformed"]);
});

/**
 * What is asked once a binding has nothing left for a key, and how much it had. Spending it here takes a moment; as many
 * requests would take minutes. Where the period ended in between it is spent again.
 */
async function whenSpent(limit: RateLimit, key: string, ask: () => Promise<Response>): Promise<[number, number]> {
	for (let round = 0; ; round++) {
		let spent = 0;
		while ((await limit.limit({ key })).success) spent += 1;
		const { status } = await ask();
		if (status === 429 || round === 2) return [spent, status];
	}
}

test("REFUSED-1 calls are limited by account, whatever address they come from, and others' go on", async () => {
	const [alice, bob] = [await register(0), await register(1)];
	const keys = (token: string) => call("/v1/keys", { token });
	const [spent, status] = await whenSpent(env.LIMIT_ACCOUNT, alice.accountId, () => keys(alice.accessToken));
	expect(spent).toBeLessThanOrEqual(2 * CALLS);
	expect(status).toBe(429);
	expect(await refusal(await call("/v1/socket", { token: alice.accessToken }))).toEqual([429, "rate_limited"]);
	expect((await keys(bob.accessToken)).status).toBe(200);
});

test("REFUSED-1 the limits are bound to the handler that is deployed", async () => {
	const ask = () =>
		exports.default.fetch("https://parley.test/v1/accounts", {
			method: "POST",
			body: "{",
			headers: { "cf-connecting-ip": "198.51.100.22", "content-type": "application/json" },
		});
	expect((await untilLimited(REGISTRATIONS, ask)).at(-1)).toBe("rate_limited");
	expect(HttpError.parse(await (await ask()).json())).toMatchObject({ code: "rate_limited" });
});

test("REFUSED-1 all requests of an address are limited together, with or without a token, an IPv6 network as one", async () => {
	const { accessToken: token } = await register(2);
	let spent = 0;
	const LIMIT_ADDRESS: RateLimit = {
		limit: async ({ key }) => {
			spent += key === "2001:db8:0:7::/64" ? 1 : 0;
			return { success: spent <= 3 };
		},
	};
	const from = (path: string, host: number, options: Call = {}) =>
		call(path, { ...options, bindings: { LIMIT_ADDRESS }, headers: { "cf-connecting-ip": `2001:db8:0:7::${host}` } });
	expect((await from("/v1/health", 1)).status).toBe(200);
	expect((await from("/v1/keys", 2, { token: "forged" })).status).toBe(401);
	expect((await from("/v1/keys", 3, { token })).status).toBe(200);
	for (const path of ["/v1/keys", "/v1/health", "/v1/nothing"]) {
		expect(await refusal(await from(path, 4, { token })), path).toEqual([429, "rate_limited"]);
	}
});

test("REFUSED-1 an address runs out of requests in the runtime too, and another does not", async () => {
	const ask = (address: string) => call("/v1/health", { headers: { "cf-connecting-ip": address } });
	const [spent, status] = await whenSpent(env.LIMIT_ADDRESS, "198.51.100.23", () => ask("198.51.100.23"));
	expect(spent).toBeLessThanOrEqual(2 * REQUESTS);
	expect(status).toBe(429);
	expect((await ask("198.51.100.24")).status).toBe(200);
});

test("REFUSED-1 lookups are limited by account, and claims by the pair of accounts", async () => {
	const [alice, bob, carol] = [await register(3), await register(4), await register(5)];
	const lookUp = (token: string) => call(`/v1/usernames/${"A".repeat(43)}`, { token });
	const lookups = await untilLimited(LOOKUPS, () => lookUp(alice.accessToken));
	expect(lookups.at(-1)).toBe("rate_limited");
	expect(lookups.length).toBeGreaterThan(LOOKUPS);
	expect((await lookUp(bob.accessToken)).status).toBe(404);
	// Groups are looked for in the same way, and are not to be guessed either.
	const group = `/v1/groups/${"ab".repeat(32)}`;
	const token = alice.accessToken;
	for (const [path, method] of [
		[group, "GET"],
		[`${group}/requests`, "POST"],
		[`${group}/leave`, "POST"],
	] as const) {
		const codes = await untilLimited(LOOKUPS, () => call(path, { method, token }));
		expect(codes.at(-1), path).toBe("rate_limited");
	}

	const claim = (token: string, of: string) => call(`/v1/accounts/${of}/keys`, { method: "POST", token });
	const statuses: number[] = [];
	for (let count = 0; count <= 2 * CLAIMS && statuses.at(-1) !== 429; count++) {
		statuses.push((await claim(alice.accessToken, bob.accountId)).status);
	}
	expect(statuses.at(-1)).toBe(429);
	expect(statuses.length).toBeGreaterThan(CLAIMS);
	expect((await claim(alice.accessToken, carol.accountId)).status).toBe(200);
	expect((await claim(carol.accessToken, bob.accountId)).status).toBe(200);
});

test("ACCOUNT-5 sign-ins count for the account once the secret was good, so that nobody uses up another's", async () => {
	const { accountId, deviceId } = await register(0);
	const keys: string[] = [];
	const LIMIT_ACCOUNT: RateLimit = {
		limit: async ({ key }) => ({ success: keys.push(key) < 2 }),
	};
	const signIn = async (deviceSecret: string) => {
		const body = { accountId, deviceId, deviceSecret };
		return (await call("/v1/tokens", { method: "POST", body, bindings: { LIMIT_ACCOUNT } })).status;
	};
	for (let count = 0; count < 5; count++) expect(await signIn("A".repeat(43))).toBe(401);
	expect(keys).toEqual([]);
	const { deviceSecret } = fixture(0).request;
	expect(await signIn(deviceSecret)).toBe(200);
	expect(await signIn(deviceSecret)).toBe(429);
	expect(keys).toEqual([accountId, accountId]);
});
