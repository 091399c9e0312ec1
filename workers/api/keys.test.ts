import { env } from "cloudflare:workers";
import { expect, test, vi } from "vitest";
import { ClaimedPreKeys, PreKeyBundles, PreKeyCounts } from "../../protocol/http.ts";
import { LIMITS } from "../../protocol/limits.ts";
import { type Call, call, fixture, refusal, register } from "../../test/api-caller.ts";
import { type ApiEnv, accountStub } from "./env.ts";

const NOBODY = "3f2c8a52-6f0f-4f36-9a2e-0d2f7a1f5c11";

test("PREKEY-3 a registration whose proof or prekey signature is another's is refused", async () => {
	const mine = fixture(0).request;
	const theirs = fixture(1).request;
	const forged = [
		{ ...mine, proof: theirs.proof },
		{ ...mine, registrationId: mine.registrationId === 1 ? 2 : mine.registrationId - 1 },
		{ ...mine, identityKey: theirs.identityKey },
		{ ...mine, signedPreKey: theirs.signedPreKey },
		{ ...mine, lastResortKyberPreKey: theirs.lastResortKyberPreKey },
		{ ...mine, oneTimeKyberPreKeys: theirs.oneTimeKyberPreKeys },
	];
	for (const body of forged) {
		expect(await refusal(await call("/v1/accounts", { method: "POST", body }))).toEqual([422, "bad_signature"]);
	}
});

test("PREKEY-3 an upload is verified against the account's own identity key", async () => {
	const { accessToken: token } = await register(0);
	const put = (body: unknown) => call("/v1/keys", { method: "PUT", token, body });
	const good = await put({ signedPreKey: fixture(0).rotated });
	expect(PreKeyCounts.parse(await good.json())).toEqual({ oneTimePreKeys: 3, oneTimeKyberPreKeys: 1 });
	expect(await refusal(await put({ signedPreKey: fixture(1).rotated }))).toEqual([422, "bad_signature"]);
	const key = `A${fixture(0).rotated.key.slice(1)}`;
	expect(await refusal(await put({ oneTimePreKeys: [{ id: 9, key }] }))).toEqual([400, "malformed"]);
});

test("REFUSED-1 malformed, oversized and too many: each has its code", async () => {
	const { accessToken: token } = await register(0);
	const put = async (body: unknown) => refusal(await call("/v1/keys", { method: "PUT", token, body }));
	expect(await put("{")).toEqual([400, "malformed"]);
	expect(await put({ oneTimePreKeys: [{ id: -1, key: "x" }] })).toEqual([400, "malformed"]);
	expect(await put({ unknown: 1 })).toEqual([400, "malformed"]);
	expect(await put(`"${"x".repeat(LIMITS.body_bytes)}"`)).toEqual([413, "body_too_large"]);
	const key = fixture(0).request.oneTimePreKeys[0]?.key;
	const many = Array.from({ length: LIMITS.prekeys_per_upload + 1 }, (_, id) => ({ id, key }));
	expect(await put({ oneTimePreKeys: many })).toEqual([422, "too_many_prekeys"]);
	const noBody = await call("/v1/keys", { method: "PUT", token });
	expect(await refusal(noBody)).toEqual([400, "malformed"]);
	expect(await refusal(await call("/v1/nothing"))).toEqual([404, "not_found"]);
});

test("REFUSED-1 more prekeys than are kept are refused with the limit", async () => {
	const { accessToken: token } = await register(1);
	const key = fixture(1).request.oneTimePreKeys[0]?.key;
	const codes: number[] = [];
	for (const from of [100, 200, 300]) {
		const oneTimePreKeys = Array.from({ length: LIMITS.prekeys_per_upload }, (_, index) => ({ id: from + index, key }));
		const response = await call("/v1/keys", { method: "PUT", token, body: { oneTimePreKeys } });
		codes.push(response.status);
		if (response.status !== 200) expect(await response.json()).toMatchObject({ limit: LIMITS.prekeys_kept });
	}
	expect(codes).toContain(422);
});

test("PREKEY-1 a claim hands out one-time keys once, then the last resort", async () => {
	const alice = await register(2);
	const bob = await register(3);
	const claim = async () => {
		const response = await call(`/v1/accounts/${bob.accountId}/keys`, { method: "POST", token: alice.accessToken });
		return PreKeyBundles.parse(await response.json());
	};
	const bundles = [await claim(), await claim(), await claim(), await claim()];
	const { request } = fixture(3);
	expect(bundles[0]?.identityKey).toBe(request.identityKey);
	const devices = bundles.flatMap((bundle) => bundle.devices);
	expect(devices.every(({ registrationId }) => registrationId === request.registrationId)).toBe(true);
	const ids = devices.map(({ oneTimePreKey }) => oneTimePreKey?.id);
	expect(ids.toSorted()).toEqual([1, 2, 3, undefined]);
	expect(devices.at(-1)?.kyberPreKey).toEqual(request.lastResortKyberPreKey);
});

test("PREKEY-5 prekeys of many are claimed at once; nobody's, and those beyond their rate, are named", async () => {
	const [alice, bob, carol, dora] = [await register(2), await register(3), await register(4), await register(5)];
	const LIMIT_CLAIM = { limit: async ({ key }: { key: string }) => ({ success: !key.endsWith(carol.accountId) }) };
	const down = { takePreKeys: () => Promise.reject(new Error("down")) };
	const ACCOUNT = {
		getByName: (name: string) => (name === dora.accountId ? down : env.ACCOUNT.getByName(name)),
	} as unknown as DurableObjectNamespace;
	const claim = (accountIds: string[], bindings: Partial<ApiEnv> = {}) =>
		call("/v1/keys/claims", { method: "POST", token: alice.accessToken, body: { accountIds }, bindings });
	const before = await accountStub(env, bob.accountId).preKeyCounts(1);
	const accounts = [bob, carol, dora].map(({ accountId }) => accountId);
	const log = vi.spyOn(console, "warn").mockImplementation(() => undefined);
	const answer = await claim([...accounts, NOBODY, bob.accountId], { LIMIT_CLAIM, ACCOUNT });
	expect(log.mock.calls).toEqual([["claim of many, an account's object did not answer: Error"]]);
	log.mockRestore();
	const { claimed, missing, later } = ClaimedPreKeys.parse(await answer.json());
	expect(claimed).toMatchObject([{ accountId: bob.accountId, identityKey: fixture(3).request.identityKey }]);
	expect(claimed[0]?.devices[0]?.registrationId).toBe(fixture(3).request.registrationId);
	expect([missing, later]).toEqual([[NOBODY], [carol.accountId, dora.accountId]]);
	// Though named twice, one set is taken.
	const after = await accountStub(env, bob.accountId).preKeyCounts(1);
	const [had, has] = [PreKeyCounts.parse(before), PreKeyCounts.parse(after)];
	expect(had.oneTimePreKeys - has.oneTimePreKeys).toBeLessThanOrEqual(1);
	const all = await claim(accounts);
	expect(ClaimedPreKeys.parse(await all.json()).claimed.map(({ accountId }) => accountId)).toEqual(accounts);
});

test("REFUSED-1 PREKEY-5 claims of many are limited in number and rate, and for who is there", async () => {
	const { accessToken: token } = await register(0);
	const claim = async (body: unknown, options: Call = {}) =>
		refusal(await call("/v1/keys/claims", { method: "POST", token, body, ...options }));
	const many = Array.from({ length: LIMITS.claimed_accounts + 1 }, () => crypto.randomUUID());
	for (const accountIds of [[], many, ["x"]]) expect(await claim({ accountIds })).toEqual([400, "malformed"]);
	const [accountIds, bindings] = [[NOBODY], { LIMIT_CLAIM_BATCH: { limit: async () => ({ success: false }) } }];
	expect(await claim({ accountIds }, { bindings })).toEqual([429, "rate_limited"]);
	expect(await claim({ accountIds }, { token: "" })).toEqual([401, "unauthorized"]);
});

test("REFUSED-1 a claim for nobody is refused", async () => {
	const { accessToken: token } = await register(2);
	const path = `/v1/accounts/${NOBODY}/keys`;
	expect(await refusal(await call(path, { method: "POST", token }))).toEqual([404, "not_found"]);
	expect(await refusal(await call(path, { method: "POST" }))).toEqual([401, "unauthorized"]);
	expect(await refusal(await call("/v1/accounts/x/keys", { method: "POST", token }))).toEqual([400, "malformed"]);
});
