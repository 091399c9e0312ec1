import { createExecutionContext, createMessageBatch, getQueueResult } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { expect, test } from "vitest";
import { directConversationId } from "../../protocol/ids.ts";
import { call, refusal, register } from "../../test/api-caller.ts";
import { ACCOUNT_HEADER, DEVICE_HEADER } from "../conversation-do/interface.ts";
import { consumeChanges } from "./changes.ts";
import { accountStub } from "./env.ts";

const NOBODY = "3f2c8a52-6f0f-4f36-9a2e-0d2f7a1f5c11";
const UPGRADE = { upgrade: "websocket" };

async function open(path: string, token: string, headers: Record<string, string> = {}): Promise<number> {
	const response = await call(path, { token, headers: { ...UPGRADE, ...headers } });
	response.webSocket?.accept();
	response.webSocket?.close(1000);
	return response.status;
}

test("CONVERSATION-1 both members reach one conversation, which the first of them founds", async () => {
	const [alice, bob] = [await register(0), await register(1)];
	expect(await open(`/v1/direct/${bob.accountId}/socket`, alice.accessToken)).toBe(101);
	expect(await open(`/v1/direct/${alice.accountId}/socket`, bob.accessToken)).toBe(101);
	const conversation = await directConversationId(alice.accountId, bob.accountId);
	expect(await accountStub(env, alice.accountId).conversations("")).toEqual([{ conversation, peer: bob.accountId }]);
	expect(await accountStub(env, bob.accountId).conversations("")).toEqual([{ conversation, peer: alice.accountId }]);
});

test("CONVERSATION-1 both at once found one conversation", async () => {
	const [alice, bob] = [await register(2), await register(3)];
	const statuses = await Promise.all([
		open(`/v1/direct/${bob.accountId}/socket`, alice.accessToken),
		open(`/v1/direct/${alice.accountId}/socket`, bob.accessToken),
	]);
	expect(statuses).toEqual([101, 101]);
});

test("CONVERSATION-3 one talks with oneself in a conversation whose roster is the account's own devices", async () => {
	const { accountId, accessToken } = await register(1);
	expect(await open(`/v1/direct/${accountId}/socket`, accessToken)).toBe(101);
	const conversation = await directConversationId(accountId, accountId);
	expect(await accountStub(env, accountId).conversations("")).toContainEqual({ conversation, peer: accountId });
});

test("REFUSED-1 a conversation with nobody or without an upgrade is refused", async () => {
	const { accessToken: token } = await register(0);
	const to = (peer: string, headers: Record<string, string> = UPGRADE) =>
		call(`/v1/direct/${peer}/socket`, { token, headers }).then(refusal);
	expect(await to(NOBODY)).toEqual([404, "not_found"]);
	expect(await to("x")).toEqual([400, "malformed"]);
	expect(await to(NOBODY, {})).toEqual([426, "upgrade_expected"]);
	expect(await refusal(await call("/v1/socket", { token }))).toEqual([426, "upgrade_expected"]);
	expect(await refusal(await call("/v1/socket", { headers: UPGRADE }))).toEqual([401, "unauthorized"]);
});

test("ACCOUNT-3 a socket is the token's device's, whatever other headers say", async () => {
	const [alice, bob] = [await register(0), await register(1)];
	const spoofed = { [ACCOUNT_HEADER]: bob.accountId, [DEVICE_HEADER]: "7" };
	// The account object refuses an account that is not its own, so this opens only in the caller's name.
	expect(await open("/v1/socket", alice.accessToken, spoofed)).toBe(101);
	expect(await open(`/v1/direct/${bob.accountId}/socket`, alice.accessToken, spoofed)).toBe(101);
});

test("ACCOUNT-4 after a deletion a token that is still good opens nothing", async () => {
	const [alice, bob] = [await register(4), await register(5)];
	const path = `/v1/direct/${bob.accountId}/socket`;
	expect(await open(path, alice.accessToken)).toBe(101);
	await call("/v1/accounts/me", { method: "DELETE", token: alice.accessToken });
	const body = { type: "account-deleted", accountId: alice.accountId };
	const batch = createMessageBatch("parley-changes", [{ id: "1", timestamp: new Date(), attempts: 1, body }]);
	await consumeChanges(env, batch);
	expect((await getQueueResult(batch, createExecutionContext())).explicitAcks).toEqual(["1"]);
	const after = { token: alice.accessToken, headers: UPGRADE };
	expect(await refusal(await call(path, after))).toEqual([401, "unauthorized"]);
	expect(await refusal(await call("/v1/socket", after))).toEqual([401, "unauthorized"]);
	// A conversation that was never founded is not founded for it either.
	const other = await register(3);
	expect(await refusal(await call(`/v1/direct/${other.accountId}/socket`, after))).toEqual([401, "unauthorized"]);
});
