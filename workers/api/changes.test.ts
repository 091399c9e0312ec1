import { createExecutionContext, createMessageBatch, getQueueResult } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { expect, test } from "vitest";
import { call, fixture, refusal, register } from "../../test/api-caller.ts";
import { consumeChanges, resumeChanges } from "./changes.ts";
import { Directory } from "./directory/directory.ts";
import type { ApiEnv } from "./env.ts";

async function deliver(body: unknown, bindings: Partial<ApiEnv> = {}) {
	const message = { id: "1", timestamp: new Date(), attempts: 1, body };
	const batch = createMessageBatch("parley-changes", [message]);
	await consumeChanges({ ...env, ...bindings }, batch);
	return getQueueResult(batch, createExecutionContext());
}

test("ACCOUNT-4 a deleted account's rows are gone at once, its objects through the queue", async () => {
	const { accountId, accessToken: token, deviceId } = await register(0);
	const sent: unknown[] = [];
	const CHANGES = { send: async (body: unknown) => void sent.push(body) } as unknown as Queue;
	const deleted = await call("/v1/accounts/me", { method: "DELETE", token, bindings: { CHANGES } });
	expect(deleted.status).toBe(204);
	expect(sent).toEqual([{ type: "account-deleted", accountId }]);

	const body = { accountId, deviceId, deviceSecret: fixture(0).request.deviceSecret };
	expect(await refusal(await call("/v1/tokens", { method: "POST", body }))).toEqual([401, "unauthorized"]);
	const upload = await call("/v1/keys", { method: "PUT", token, body: {} });
	expect(await refusal(upload)).toEqual([401, "unauthorized"]);
	const again = await call("/v1/accounts/me", { method: "DELETE", token, bindings: { CHANGES } });
	expect(again.status).toBe(204);

	expect((await deliver(sent[0])).explicitAcks).toEqual(["1"]);
	expect(await refusal(await call("/v1/keys", { token }))).toEqual([401, "unauthorized"]);
	expect(await new Directory(env.DIRECTORY).deletionsBefore(Number.MAX_SAFE_INTEGER)).toEqual([]);
	// The username is free again, for another account.
	expect((await register(0)).accountId).not.toBe(accountId);
});

test("ACCOUNT-4 a deletion leaves no row of the account in any table of the directory, but the note of itself", async () => {
	const [gone, other] = [await register(2), await register(3)];
	// What linking and unlinking leave behind, of both accounts.
	for (const { accountId } of [gone, other]) {
		for (const row of [
			"removed_devices (account_id, device_id, secret_hash, reason, removed_at_ms) VALUES (?1, 2, 's', 'idle', 1)",
			"device_tokens (account_id, token_hash, expires_at_ms) VALUES (?1, 't' || ?1, 1)",
			"device_changes (account_id, version, requested_at_ms) VALUES (?1, 2, 1)",
		]) {
			await env.DIRECTORY.prepare(`INSERT INTO ${row}`).bind(accountId).run();
		}
	}
	const CHANGES = { send: async () => undefined } as unknown as Queue;
	const token = gone.accessToken;
	expect((await call("/v1/accounts/me", { method: "DELETE", token, bindings: { CHANGES } })).status).toBe(204);
	expect(await tablesWith(gone.accountId)).toEqual(["deletions"]);
	expect(await tablesWith(other.accountId)).toEqual([
		...["accounts", "device_changes", "device_tokens", "devices", "removed_devices", "usernames"],
	]);
	expect((await deliver({ type: "account-deleted", accountId: gone.accountId })).explicitAcks).toEqual(["1"]);
	expect(await tablesWith(gone.accountId)).toEqual([]);
	// The schedule of other tests would find it.
	await env.DIRECTORY.prepare("DELETE FROM device_changes").run();
});

/** The tables that name an account, whichever there are. */
async function tablesWith(accountId: string): Promise<string[]> {
	const all = "SELECT name FROM sqlite_master WHERE type = 'table' AND sql LIKE '%`account_id`%' ORDER BY name";
	const { results } = await env.DIRECTORY.prepare(all).all<{ name: string }>();
	const found: string[] = [];
	for (const { name } of results) {
		const row = await env.DIRECTORY.prepare(`SELECT 1 FROM ${name} WHERE account_id = ?`).bind(accountId).first();
		if (row !== null) found.push(name);
	}
	return found;
}

test("ACCOUNT-4 a deletion that fails is retried, and found by the schedule when its message was lost", async () => {
	const { accountId, accessToken: token } = await register(1);
	const CHANGES = { send: async () => Promise.reject(new Error("down")) } as unknown as Queue;
	const deleted = await call("/v1/accounts/me", { method: "DELETE", token, bindings: { CHANGES } });
	expect(deleted.status).toBe(204);

	const found: unknown[] = [];
	const queue = { sendBatch: async (batch: unknown[]) => void found.push(...batch) } as unknown as Queue;
	await resumeChanges({ ...env, CHANGES: queue }, Date.now());
	expect(found).toEqual([]);
	await resumeChanges({ ...env, CHANGES: queue }, Date.now() + 6 * 60 * 1000);
	const change = { type: "account-deleted", accountId };
	expect(found).toEqual([{ body: change }]);

	const ACCOUNT = { getByName: () => ({ retire: () => Promise.reject(new Error("down")) }) };
	const failed = await deliver(change, { ACCOUNT: ACCOUNT as unknown as DurableObjectNamespace });
	expect(failed.retryMessages).toEqual([{ msgId: "1" }]);
	expect((await deliver(change)).explicitAcks).toEqual(["1"]);
	expect((await deliver(change)).explicitAcks).toEqual(["1"]);
});

test("ACCOUNT-4 a message of another form is dropped, so that it does not come for ever", async () => {
	expect((await deliver({ type: "unknown" })).explicitAcks).toEqual(["1"]);
});
