import { env } from "cloudflare:workers";
import { expect, test } from "vitest";
import type { RegisterResponse } from "../../protocol/http.ts";
import { ChangedGroup, Group, LINK_SECRET_HEADER } from "../../protocol/http_groups.ts";
import { directConversationId } from "../../protocol/ids.ts";
import { call, refusal, register } from "../../test/api-caller.ts";
import {
	base64url,
	change,
	newGroup,
	OPEN,
	open,
	random,
	STATE,
	settle,
	shared,
	UPGRADE,
} from "../../test/api-groups.ts";
import type { GroupChangeRequest } from "../conversation-do/interface.ts";
import { newId } from "../conversation-do/testing.ts";
import { type ApiEnv, accountStub, conversationStub } from "./env.ts";

test("GROUP-2 a group is founded, changed and talked in", async () => {
	const [alice, bob, carol] = [await register(0), await register(1), await register(2)];
	const { id, body, response } = await newGroup(alice, [bob]);
	expect(ChangedGroup.parse(await response.json())).toEqual({ number: 1, version: 1, unreachable: [] });
	// The same request again is the same group; another one there is none.
	const again = await call(`/v1/groups/${id}`, { method: "POST", token: alice.accessToken, body });
	expect(ChangedGroup.parse(await again.json()).number).toBe(1);
	const other = { ...body, messageId: base64url(newId()) };
	expect(
		await refusal(await call(`/v1/groups/${id}`, { method: "POST", token: carol.accessToken, body: other })),
	).toEqual([409, "group_exists"]);
	const one = await open(id, alice);
	const two = await open(id, bob);
	await one.take(3);
	await two.take(3);
	const added = [{ accountId: carol.accountId, role: "member" }];
	expect((await change(id, bob, 2, { added })).status).toBe(200);
	expect(await one.take(2)).toEqual(["roster change v2 +1 -0", "entry 2"]);
	expect(await two.take(2)).toEqual(["roster change v2 +1 -0", "entry 2"]);
	one.send(shared(2));
	expect(await one.next()).toBe("accepted 3");
	const three = await open(id, carol);
	expect(await three.take(4)).toEqual(["welcome 3 v2 0/0 0/0 1/0", "entry 2", "entry 3", "caught up 3"]);
	expect(await refusal(await change(id, alice, 2))).toEqual([409, "group_conflict"]);
});

test("GROUP-6 who is removed loses its socket at once, and the group leaves its account's list", async () => {
	const [alice, bob] = [await register(0), await register(1)];
	const { id } = await newGroup(alice, [bob]);
	const two = await open(id, bob);
	await two.take(3);
	expect((await change(id, alice, 2, { removed: [bob.accountId] })).status).toBe(200);
	expect(await two.next()).toBe("refused NOT_ON_ROSTER 0");
	expect(await two.closed).toBe(4403);
	const entry = { method: "GET", token: bob.accessToken, headers: UPGRADE };
	expect(await refusal(await call(`/v1/groups/${id}/socket`, entry))).toEqual([404, "not_found"]);
	expect(await refusal(await call(`/v1/groups/${id}`, { token: bob.accessToken }))).toEqual([404, "not_found"]);
	expect(await accountStub(env, bob.accountId).membership(bob.deviceId, id)).toBe("member");
	expect(await settle(id, [alice.accountId, bob.accountId])).toBe("done");
	expect(await accountStub(env, bob.accountId).membership(bob.deviceId, id)).toBe("stranger");
	expect(await accountStub(env, alice.accountId).membership(alice.deviceId, id)).toBe("member");
});

test("GROUP-6 a member that an earlier change's message took from its account's list comes back to it", async () => {
	const [alice, bob] = [await register(0), await register(1)];
	const { id } = await newGroup(alice, [bob]);
	// That message saw Bob on no roster, between his joining and the change that added him.
	await accountStub(env, bob.accountId).left([id]);
	expect(await settle(id, [bob.accountId])).toBe("done");
	expect(await accountStub(env, bob.accountId).membership(bob.deviceId, id)).toBe("member");
	expect((await open(id, bob)) === undefined).toBe(false);
});

test("GROUP-6 a change that the object gets late is not made: its members' objects may have been looked at before", async () => {
	const [alice, bob, carol] = [await register(0), await register(1), await register(2)];
	const { id } = await newGroup(alice, [bob]);
	const seen: number[] = [];
	const CHANGES = {
		send: async (_: unknown, { delaySeconds }: { delaySeconds: number }) => void seen.push(delaySeconds),
	} as unknown as Queue;
	const slow = {
		viewGroup: async () => ({}),
		changeGroup: async (request: GroupChangeRequest) => {
			seen.push(((request.notAfter_ms ?? Number.POSITIVE_INFINITY) - Date.now()) / 1_000);
			const late = { ...request, notAfter_ms: Date.now() - 1 };
			return conversationStub(env, id).changeGroup(late);
		},
	};
	const CONVERSATION = { getByName: () => slow } as unknown as DurableObjectNamespace;
	const body = {
		...{ messageId: base64url(newId()), version: 2, state: STATE },
		added: [{ accountId: carol.accountId, role: "member" }],
	};
	const ask = (bindings: Partial<ApiEnv>) =>
		call(`/v1/groups/${id}/changes`, { method: "POST", token: alice.accessToken, body, bindings });
	expect(await refusal(await ask({ CHANGES, CONVERSATION }))).toEqual([500, "internal"]);
	const [settled = 0, made = 0] = seen;
	expect(made).toBeGreaterThan(0);
	expect(made).toBeLessThan(settled - 10);
	expect(await conversationStub(env, id).membersAmong([carol.accountId])).toEqual([]);
	// The same request again is made.
	expect((await ask({})).status).toBe(200);
	expect(await conversationStub(env, id).membersAmong([carol.accountId])).toEqual([carol.accountId]);
});

test("GROUP-3 accounts that are no members are named as removed in vain: nobody is called for them", async () => {
	const [alice, bob, carol] = [await register(0), await register(1), await register(2)];
	const { id } = await newGroup(alice, [bob]);
	const announced: unknown[] = [];
	const CHANGES = { send: async (body: unknown) => void announced.push(body) } as unknown as Queue;
	const strangers = Array.from({ length: 98 }, () => crypto.randomUUID());
	const removed = [...strangers, carol.accountId, bob.accountId];
	const body = { messageId: base64url(newId()), version: 2, state: STATE, removed };
	const ask = (bindings: Partial<ApiEnv>) =>
		call(`/v1/groups/${id}/changes`, { method: "POST", token: alice.accessToken, body, bindings });
	expect((await ask({ CHANGES })).status).toBe(200);
	expect(announced).toEqual([{ type: "group-changed", group: id, accountIds: [bob.accountId] }]);
	// Where nobody leaves, nobody is announced at all; and the same request again is the same change.
	const none = { messageId: base64url(newId()), version: 3, state: STATE, removed: strangers };
	const path = `/v1/groups/${id}/changes`;
	const call3 = { method: "POST", token: alice.accessToken, body: none, bindings: { CHANGES } };
	expect((await call(path, call3)).status).toBe(200);
	expect(ChangedGroup.parse(await (await ask({ CHANGES })).json()).number).toBe(2);
	expect(announced).toHaveLength(1);
});

test("GROUP-20 a member leaves without the group's state; a conversation of two, and strangers, can't be left so", async () => {
	const [alice, bob, carol] = [await register(0), await register(1), await register(2)];
	const { id } = await newGroup(alice, [bob]);
	const leave = (who: RegisterResponse, group = id) =>
		call(`/v1/groups/${group}/leave`, { method: "POST", token: who.accessToken });
	expect(await refusal(await leave(carol))).toEqual([404, "not_found"]);
	const [one, two] = [await open(id, alice), await open(id, bob)];
	await one.take(3);
	await two.take(3);
	const announced: unknown[] = [];
	const CHANGES = { send: async (body: unknown) => void announced.push(body) } as unknown as Queue;
	const left = { method: "POST", token: bob.accessToken, bindings: { CHANGES } };
	expect((await call(`/v1/groups/${id}/leave`, left)).status).toBe(204);
	expect(announced).toEqual([{ type: "group-changed", group: id, accountIds: [bob.accountId] }]);
	expect(await two.next()).toBe("refused NOT_ON_ROSTER 0");
	expect(await two.closed).toBe(4403);
	expect(await one.take(1)).toEqual(["roster change v2 +0 -1"]);
	expect(await refusal(await leave(bob))).toEqual([404, "not_found"]);
	// The version is the one of before: the others' changes go on.
	expect((await change(id, alice, 2, { added: [{ accountId: carol.accountId, role: "member" }] })).status).toBe(200);
	// Its list agrees a minute later.
	expect(await settle(id, [bob.accountId])).toBe("done");
	expect(await accountStub(env, bob.accountId).membership(bob.deviceId, id)).toBe("stranger");
	// The last admin goes the same way, and somebody else is one.
	expect((await leave(alice)).status).toBe(204);
	expect((await change(id, carol, 3, { rules: { ...OPEN, send: "admins" } })).status).toBe(200);

	const direct = await call(`/v1/direct/${bob.accountId}/socket`, { token: alice.accessToken, headers: UPGRADE });
	expect(direct.status).toBe(101);
	const address = await directConversationId(alice.accountId, bob.accountId);
	expect(await refusal(await leave(alice, address))).toEqual([404, "not_found"]);
	expect(await conversationStub(env, address).membersAmong([alice.accountId])).toEqual([alice.accountId]);
});

test("GROUP-6 an account that was deleted on the way to a group is on no roster", async () => {
	const [alice, bob, carol] = [await register(0), await register(1), await register(2)];
	await call("/v1/accounts/me", { method: "DELETE", token: carol.accessToken });
	const { id, response } = await newGroup(alice, [bob, carol]);
	expect(ChangedGroup.parse(await response.json()).unreachable).toEqual([carol.accountId]);
	expect(await conversationStub(env, id).membersAmong([bob.accountId, carol.accountId])).toEqual([bob.accountId]);
});

test("GROUP-4 and GROUP-5 with the link's secret a stranger sees the group and joins, or asks to", async () => {
	const [alice, bob, carol] = [await register(0), await register(1), await register(2)];
	const secret = random();
	const linkHash = base64url(new Uint8Array(await crypto.subtle.digest("SHA-256", secret)));
	const { id } = await newGroup(alice, [], { rules: { ...OPEN, link: true }, linkHash });
	const look = (token: string, headers: Record<string, string> = {}) => call(`/v1/groups/${id}`, { token, headers });
	expect(await refusal(await look(bob.accessToken))).toEqual([404, "not_found"]);
	const shown = await look(bob.accessToken, { [LINK_SECRET_HEADER]: base64url(secret) });
	expect(Group.parse(await shown.json())).toEqual({ version: 1, state: STATE, requests: [] });
	const added = [{ accountId: bob.accountId, role: "member" }];
	expect(await refusal(await change(id, bob, 2, { added }))).toEqual([404, "not_found"]);
	// Who has neither a part in it nor a secret wakes no object.
	const CONVERSATION = { getByName: () => Promise.reject(new Error("woken")) } as unknown as DurableObjectNamespace;
	const body = { messageId: base64url(newId()), version: 2, state: STATE, added };
	const asleep = { method: "POST", token: bob.accessToken, body, bindings: { CONVERSATION } };
	expect(await refusal(await call(`/v1/groups/${id}/changes`, asleep))).toEqual([404, "not_found"]);
	const linkSecret = base64url(secret);
	expect(await refusal(await change(id, bob, 2, { added, linkSecret: base64url(random()) }))).toEqual([
		404,
		"not_found",
	]);
	expect((await change(id, bob, 2, { added, linkSecret })).status).toBe(200);
	expect((await change(id, alice, 3, { rules: { ...OPEN, link: true, approval: true } })).status).toBe(200);
	const join = { method: "POST", token: carol.accessToken, body: { messageId: base64url(newId()), linkSecret } };
	expect((await call(`/v1/groups/${id}/requests`, join)).status).toBe(200);
	expect(Group.parse(await (await look(alice.accessToken)).json()).requests).toEqual([carol.accountId]);
});

test("GROUP-7 a group's id is its seed's hash, so nobody takes another conversation's address", async () => {
	const alice = await register(0);
	const { body } = await newGroup(alice, []);
	const response = await call(`/v1/groups/${"a".repeat(64)}`, { method: "POST", token: alice.accessToken, body });
	expect(await refusal(response)).toEqual([400, "malformed"]);
});
