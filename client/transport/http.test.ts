import { expect, test } from "vitest";
import type { Clock } from "./clock.ts";
import { ServerRefusal, ServerUnreachable } from "./errors.ts";
import { Api } from "./http.ts";

const ACCOUNT = "3f2c8a52-6f0f-4f36-9a2e-0d2f7a1f5c11";
const CREDENTIALS = { accountId: ACCOUNT, deviceId: 1, deviceSecret: "s".repeat(43) };

interface Seen {
	path: string;
	token: string | undefined;
}

/** A server whose answers a test decides; tokens are numbered and last 15 minutes. */
function bench(answer: (seen: Seen, tokens: number) => { status: number; body: unknown }) {
	let now = 1_000_000;
	let tokens = 0;
	const seen: Seen[] = [];
	const clock: Clock = { nowMs: () => now, after: () => () => {}, random: () => 0 };
	const answerFetch: typeof fetch = async (input, init) => {
		const path = new URL(String(input)).pathname;
		const request = { path, token: new Headers(init?.headers).get("authorization")?.replace("Bearer ", "") };
		seen.push(request);
		if (path === "/v1/tokens") {
			tokens++;
			return Response.json({ accessToken: `t${tokens}`, expiresAtMs: now + 900_000 });
		}
		const { status, body } = answer(request, tokens);
		return Response.json(body, { status });
	};
	const api = new Api({ server: "http://server/", clock, credentials: CREDENTIALS, fetch: answerFetch });
	return {
		api,
		seen,
		later(ms: number): void {
			now += ms;
		},
	};
}

const counts = { oneTimePreKeys: 1, oneTimeKyberPreKeys: 2 };

test("ACCOUNT-3 a token is used until a minute before its end, then refreshed with the device secret", async () => {
	const { api, seen, later } = bench(() => ({ status: 200, body: counts }));
	await Promise.all([api.preKeyCounts(), api.preKeyCounts()]);
	later(839_000);
	await api.preKeyCounts();
	later(2_000);
	await api.preKeyCounts();
	expect(seen.map((request) => request.token ?? request.path)).toEqual([
		"/v1/tokens",
		"t1",
		"t1",
		"t1",
		"/v1/tokens",
		"t2",
	]);
});

test("ACCOUNT-3 a token that the server calls expired is replaced and the request repeated once", async () => {
	const expired = { status: 401, body: { code: "token_expired", message: "expired" } };
	const { api, seen } = bench((_seen, tokens) => (tokens === 1 ? expired : { status: 200, body: counts }));
	expect(await api.preKeyCounts()).toEqual(counts);
	expect(seen.map((request) => request.token ?? request.path)).toEqual(["/v1/tokens", "t1", "/v1/tokens", "t2"]);
	const hopeless = bench(() => expired);
	await expect(hopeless.api.preKeyCounts()).rejects.toMatchObject({ code: "token_expired" });
});

test("refusals carry their code, and a missing account is no error", async () => {
	const missing = bench(() => ({ status: 404, body: { code: "not_found", message: "nobody" } }));
	expect(await missing.api.lookupUsername("h")).toBeUndefined();
	expect(await missing.api.claimPreKeys(ACCOUNT)).toBeUndefined();
	const full = bench(() => ({ status: 400, body: { code: "too_many_prekeys", message: "full", limit: 200 } }));
	await expect(full.api.uploadPreKeys({ oneTimePreKeys: [], oneTimeKyberPreKeys: [] })).rejects.toMatchObject({
		code: "too_many_prekeys",
		limit: 200,
		passing: false,
	});
	const strange = bench(() => ({ status: 502, body: "bad gateway" }));
	await expect(strange.api.preKeyCounts()).rejects.toMatchObject({ code: "unexpected_answer", passing: true });
	await expect(bench(() => ({ status: 200, body: {} })).api.preKeyCounts()).rejects.toBeInstanceOf(ServerRefusal);
});

test("no answer is told apart from a refusal", async () => {
	const clock: Clock = { nowMs: () => 0, after: () => () => {}, random: () => 0 };
	const down: typeof fetch = () =>
		Promise.reject(
			new TypeError("fetch failed", { cause: Object.assign(new Error("connect"), { code: "ECONNREFUSED" }) }),
		);
	const api = new Api({ server: "http://server", clock, credentials: CREDENTIALS, fetch: down });
	await expect(api.preKeyCounts()).rejects.toBeInstanceOf(ServerUnreachable);
	await expect(api.preKeyCounts()).rejects.toThrow("cannot reach http://server: ECONNREFUSED");
});
