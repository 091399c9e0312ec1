/** Ids that are nobody's, tokens that outlive their device, and accounts that are in too many conversations. */
import { listDurableObjectIds, runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { expect, test } from "vitest";
import { directConversationId } from "../../protocol/ids.ts";
import { LIMITS } from "../../protocol/limits.ts";
import { call, fixture, refusal, register } from "../../test/api-caller.ts";
import { accountStub } from "./env.ts";

const UPGRADE = { upgrade: "websocket" };

/** A directory that fails the test when it is asked. */
const CLOSED = { prepare: () => expect.unreachable("a database read") } as unknown as D1Database;

/** How many objects there are of both kinds. */
async function objects(): Promise<number[]> {
	const [conversations, accounts] = await Promise.all([
		listDurableObjectIds(env.CONVERSATION),
		listDurableObjectIds(env.ACCOUNT),
	]);
	return [conversations.length, accounts.length];
}

test("CONVERSATION-2 ids that are nobody's create no object, and no table in one", async () => {
	const { accessToken: token } = await register(0);
	const before = await objects();
	for (let count = 0; count < 20; count++) {
		const nobody = crypto.randomUUID();
		const socket = await call(`/v1/direct/${nobody}/socket`, { token, headers: UPGRADE });
		expect(await refusal(socket)).toEqual([404, "not_found"]);
		const claim = await call(`/v1/accounts/${nobody}/keys`, { method: "POST", token });
		expect(await refusal(claim)).toEqual([404, "not_found"]);
	}
	expect(await objects()).toEqual(before);
});

test("CONVERSATION-2 a conversation that exists is reached without a database read, one founded half-way is finished", async () => {
	const [alice, bob] = [await register(0), await register(1)];
	const path = `/v1/direct/${bob.accountId}/socket`;
	const conversation = await directConversationId(alice.accountId, bob.accountId);
	// As a crash between the two steps leaves it.
	await accountStub(env, alice.accountId).joined({ conversation, peer: bob.accountId });
	const open = async (bindings = {}) => {
		const response = await call(path, { token: alice.accessToken, headers: UPGRADE, bindings });
		response.webSocket?.accept();
		response.webSocket?.close(1000);
		return response.status;
	};
	expect(await open()).toBe(101);
	expect(await open({ DIRECTORY: CLOSED })).toBe(101);
});

test("ACCOUNT-6 after a deletion a token that is still good finds, claims, uploads and opens nothing, at once", async () => {
	const [alice, bob] = [await register(2), await register(3)];
	const path = `/v1/direct/${bob.accountId}/socket`;
	const token = alice.accessToken;
	const founded = await call(path, { token, headers: UPGRADE });
	const shut = new Promise((resolve) => founded.webSocket?.addEventListener("close", ({ code }) => resolve(code)));
	founded.webSocket?.accept();
	const own = await call("/v1/socket", { token, headers: UPGRADE });
	const closed = new Promise((resolve) => own.webSocket?.addEventListener("close", ({ code }) => resolve(code)));
	own.webSocket?.accept();
	// The queue has not been worked through; what is left of the account must be enough to refuse.
	const CHANGES = { send: async () => undefined } as unknown as Queue;
	expect((await call("/v1/accounts/me", { method: "DELETE", token, bindings: { CHANGES } })).status).toBe(204);
	expect([await closed, await shut]).toEqual([4403, 4403]);
	const before = await accountStub(env, bob.accountId).preKeyCounts(1);
	const asked = [
		await call(`/v1/usernames/${fixture(3).request.usernameHash}`, { token }),
		await call(`/v1/accounts/${bob.accountId}/keys`, { method: "POST", token }),
		await call("/v1/keys", { token }),
		await call("/v1/keys", { method: "PUT", token, body: {} }),
		await call("/v1/socket", { token, headers: UPGRADE }),
		await call(path, { token, headers: UPGRADE }),
		await call(`/v1/direct/${crypto.randomUUID()}/socket`, { token, headers: UPGRADE }),
	];
	const answers = await Promise.all(asked.map(async (response) => [response.status, await response.text()]));
	for (const answer of answers) expect(answer).toEqual(answers[0]);
	expect(answers[0]?.[0]).toBe(401);
	expect(await accountStub(env, bob.accountId).preKeyCounts(1)).toEqual(before);
});

test("ACCOUNT-7 with an account in too many conversations none begins, and neither keeps half of one", async () => {
	const [alice, bob, carol] = [await register(0), await register(4), await register(5)];
	const open = (token: string, peer: string) => call(`/v1/direct/${peer}/socket`, { token, headers: UPGRADE });
	expect((await open(bob.accessToken, carol.accountId)).status).toBe(101);
	await runInDurableObject(env.ACCOUNT.getByName(bob.accountId), (_, state) => {
		state.storage.sql.exec(
			`WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?)
			INSERT INTO conversations (conversation, peer) SELECT printf('%064d', i), 'p' FROM n`,
			LIMITS.conversations_per_account - 1,
		);
	});
	const before = await objects();
	for (const response of [await open(alice.accessToken, bob.accountId), await open(bob.accessToken, alice.accountId)]) {
		expect(response.status).toBe(422);
		expect(await response.json()).toMatchObject({
			code: "too_many_conversations",
			limit: LIMITS.conversations_per_account,
		});
	}
	const conversation = await directConversationId(alice.accountId, bob.accountId);
	for (const { accountId } of [alice, bob]) {
		expect(await accountStub(env, accountId).membership(1, conversation)).toBe("stranger");
	}
	expect(await objects()).toEqual(before);
	// What was there goes on.
	expect((await open(bob.accessToken, carol.accountId)).status).toBe(101);
});
