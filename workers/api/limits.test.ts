import { exports } from "cloudflare:workers";
import { expect, test } from "vitest";
import { HttpError } from "../../protocol/http.ts";
import { call, refusal, register } from "../../test/api-caller.ts";

/** The limits of `test/wrangler.toml`, which are those of the deployment, in one period. */
const REGISTRATIONS = 20;
const CALLS = 600;

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

test("REFUSED-1 calls are limited by account, whatever address they come from, and others' go on", async () => {
	const [alice, bob] = [await register(0), await register(1)];
	const codes = await untilLimited(CALLS, () => call("/v1/socket", { token: alice.accessToken }));
	expect(codes.at(-1)).toBe("rate_limited");
	expect(codes.length).toBeGreaterThan(CALLS);
	expect(new Set(codes.slice(0, -1))).toEqual(new Set(["upgrade_expected"]));
	expect(await refusal(await call("/v1/keys", { token: alice.accessToken }))).toEqual([429, "rate_limited"]);
	expect((await call("/v1/keys", { token: bob.accessToken })).status).toBe(200);
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
