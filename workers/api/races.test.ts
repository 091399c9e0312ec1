/**
 * What happens to accounts while a conversation begins or a group changes, and what the queue makes agree afterwards.
 */
import { listDurableObjectIds, runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { expect, test } from "vitest";
import type { RegisterResponse } from "../../protocol/http.ts";
import { ChangedGroup } from "../../protocol/http_groups.ts";
import { directConversationId, groupId } from "../../protocol/ids.ts";
import { LIMITS } from "../../protocol/limits.ts";
import { addDevice, call, refusal, register } from "../../test/api-caller.ts";
import { newId } from "../conversation-do/testing.ts";
import { DeviceDirectory } from "./directory/devices.ts";
import { Directory } from "./directory/directory.ts";
import { accountStub, conversationStub } from "./env.ts";
import { workThrough } from "./testing.ts";

const UPGRADE = { upgrade: "websocket" };
const RULES = { add: "members", edit: "members", send: "members", link: false, approval: false };
const base64url = (bytes: Uint8Array) => Buffer.from(bytes).toString("base64url");
const STATE = base64url(new Uint8Array([1]));

/** Account objects of which one, when it hears of a conversation for the first time, lets something else happen. */
function whileJoining(accountId: string, happens: () => Promise<unknown>): DurableObjectNamespace {
	let left = 1;
	const namespace = {
		getByName: (name: string) => {
			const stub = env.ACCOUNT.getByName(name);
			return new Proxy(stub, {
				get(target, method) {
					const value: unknown = Reflect.get(target, method);
					if (typeof value !== "function") return value;
					return async (...values: unknown[]) => {
						const answer: unknown = await Reflect.apply(value, target, values);
						if (method === "joined" && name === accountId && left-- > 0) await happens();
						return answer;
					};
				},
			});
		},
	};
	return namespace as unknown as DurableObjectNamespace;
}

async function found(founder: RegisterResponse, members: string[], bindings = {}, fields: object = {}) {
	const seed = crypto.getRandomValues(new Uint8Array(32));
	const id = await groupId(seed);
	const body = {
		...{ seed: base64url(seed), messageId: base64url(newId()), rules: RULES, state: STATE },
		members: members.map((accountId) => ({ accountId, role: "member" })),
		...fields,
	};
	return {
		id,
		response: await call(`/v1/groups/${id}`, { method: "POST", token: founder.accessToken, body, bindings }),
	};
}

const change = (id: string, { accessToken: token }: RegisterResponse, version: number, fields: object, bindings = {}) =>
	call(`/v1/groups/${id}/changes`, {
		...{ method: "POST", token, bindings },
		body: { messageId: base64url(newId()), version, state: STATE, ...fields },
	});

const groupSocket = async (id: string, token: string) => {
	const response = await call(`/v1/groups/${id}/socket`, { token, headers: UPGRADE });
	response.webSocket?.accept();
	return response.status;
};
const talk = async (peer: string, token: string, bindings = {}) => {
	const response = await call(`/v1/direct/${peer}/socket`, { token, headers: UPGRADE, bindings });
	response.webSocket?.accept();
	return response.status;
};
const members = (id: string, ...accounts: RegisterResponse[]) =>
	conversationStub(env, id).membersAmong(accounts.map(({ accountId }) => accountId));
/** What the conversation has on disk. */
const rosterOf = (id: string) =>
	runInDurableObject(
		env.CONVERSATION.getByName(id),
		(_, { storage }) => storage.sql.exec<{ json: string }>("SELECT json FROM state WHERE id = 1").one().json,
	);
const changed = (group: string, ...accountIds: string[]) => workThrough({ type: "group-changed", group, accountIds });

/** The account's list is as long as it may be. */
const fill = (accountId: string) =>
	runInDurableObject(env.ACCOUNT.getByName(accountId), (_, state) => {
		state.storage.sql.exec(
			`WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?)
			INSERT INTO conversations (conversation, peer) SELECT printf('%064x', i), '' FROM n`,
			LIMITS.conversations_per_account,
		);
	});
const empty = (accountId: string) =>
	runInDurableObject(env.ACCOUNT.getByName(accountId), (_, state) => {
		state.storage.sql.exec("DELETE FROM conversations WHERE conversation LIKE '00000000%'");
	});

test("DEVICE-4 a device that is linked while a conversation or a group begins, or while it joins one, is on the roster", async () => {
	const [alice, bob] = [await register(0), await register(1)];
	const late: RegisterResponse[] = [];
	const next = (index: number, of: RegisterResponse, further: number) => async () => {
		const added = await addDevice(index, further, of);
		late.push({ ...of, ...added });
	};
	const direct = await talk(bob.accountId, alice.accessToken, {
		ACCOUNT: whileJoining(bob.accountId, next(1, bob, 0)),
	});
	expect(direct).toBe(101);
	const { id } = await found(alice, [bob.accountId], { ACCOUNT: whileJoining(bob.accountId, next(1, bob, 1)) });
	const carol = await register(2);
	const added = [{ accountId: carol.accountId, role: "member" }];
	const ACCOUNT = whileJoining(carol.accountId, next(2, carol, 0));
	expect((await change(id, alice, 2, { added }, { ACCOUNT })).status).toBe(200);
	const [first, second, third] = late;
	const roster = await rosterOf(await directConversationId(alice.accountId, bob.accountId));
	expect(roster).toContain(`"account":"${bob.accountId}","device":${first?.deviceId}`);
	expect(await groupSocket(id, second?.accessToken ?? "")).toBe(101);
	expect(await groupSocket(id, third?.accessToken ?? "")).toBe(101);
});

test("ACCOUNT-4 an account that is deleted while a conversation or a group begins, or while it joins one, is on no roster", async () => {
	const [alice, bob, carol, dora] = [await register(0), await register(3), await register(4), await register(5)];
	const deletion =
		({ accountId }: RegisterResponse) =>
		() =>
			new Directory(env.DIRECTORY).deleteAccount(accountId, Date.now());
	await talk(bob.accountId, alice.accessToken, { ACCOUNT: whileJoining(bob.accountId, deletion(bob)) });
	expect(await members(await directConversationId(alice.accountId, bob.accountId), alice, bob)).toEqual([
		alice.accountId,
	]);
	const { id } = await found(alice, [carol.accountId], { ACCOUNT: whileJoining(carol.accountId, deletion(carol)) });
	const added = [{ accountId: dora.accountId, role: "member" }];
	expect(
		(await change(id, alice, 2, { added }, { ACCOUNT: whileJoining(dora.accountId, deletion(dora)) })).status,
	).toBe(200);
	expect(await members(id, alice, carol, dora)).toEqual([alice.accountId]);
});

test("DEVICE-4 a device that was linked just now opens a conversation and a group before the queue has told them of it", async () => {
	const [alice, bob] = [await register(2), await register(1)];
	expect(await talk(bob.accountId, alice.accessToken)).toBe(101);
	const next = await addDevice(2, 1, alice);
	expect(await talk(bob.accountId, next.accessToken)).toBe(101);
});

test("CONVERSATION-2 GROUP-6 ids that are nobody's, in whatever change of a group, wake no object, through the queue neither", async () => {
	const [alice, bob] = [await register(0), await register(1)];
	const nobody = () => crypto.randomUUID();
	const objects = async () => (await listDurableObjectIds(env.ACCOUNT)).length;
	const before = await objects();
	const sent: unknown[] = [];
	const CHANGES = { send: async (body: unknown) => void sent.push(body) } as unknown as Queue;
	const { id, response } = await found(alice, [bob.accountId, nobody()], { CHANGES });
	expect(ChangedGroup.parse(await response.json()).unreachable).toHaveLength(1);
	const added = [{ accountId: nobody(), role: "member" }];
	expect((await change(id, bob, 2, { added }, { CHANGES })).status).toBe(200);
	expect((await change(id, alice, 3, { removed: [nobody(), nobody()] }, { CHANGES })).status).toBe(200);
	expect(sent.length).toBeGreaterThan(0);
	for (const body of sent) expect(await workThrough(body)).toBe("done");
	expect(await objects()).toBe(before);
});

test("GROUP-4 a change by a stranger reaches no account and no queue, with a wrong secret neither", async () => {
	const [alice, bob, carol] = [await register(0), await register(1), await register(2)];
	const linkHash = base64url(new Uint8Array(await crypto.subtle.digest("SHA-256", new Uint8Array(32))));
	const { id } = await found(alice, [], {}, { rules: { ...RULES, link: true }, linkHash });
	const sent: unknown[] = [];
	const CHANGES = { send: async (body: unknown) => void sent.push(body) } as unknown as Queue;
	const added = [{ accountId: carol.accountId, role: "member" }];
	for (const linkSecret of [undefined, base64url(new Uint8Array(32).fill(1))]) {
		const refused = await change(
			id,
			bob,
			2,
			{ added, ...(linkSecret === undefined ? {} : { linkSecret }) },
			{ CHANGES },
		);
		expect(await refusal(refused)).toEqual([404, "not_found"]);
	}
	expect(sent).toEqual([]);
	expect(await accountStub(env, carol.accountId).membership(carol.deviceId, id)).toBe("stranger");
});

test("GROUP-6 before a group changes its accounts are noted on the queue: without that nothing changes", async () => {
	const [alice, bob] = [await register(0), await register(1)];
	const CHANGES = { send: () => Promise.reject(new Error("down")) } as unknown as Queue;
	const { id, response } = await found(alice, [bob.accountId], { CHANGES });
	expect(response.status).toBe(500);
	expect(await members(id, alice, bob)).toEqual([]);
	expect(await accountStub(env, bob.accountId).membership(bob.deviceId, id)).toBe("stranger");
});

test("ACCOUNT-7 GROUP-6 an account in too many conversations founds and joins no group, and is on none whose list it left", async () => {
	const [alice, bob, carol] = [await register(0), await register(1), await register(2)];
	await fill(bob.accountId);
	const refused = await found(bob, [alice.accountId]);
	expect(await refusal(refused.response)).toEqual([422, "too_many_conversations"]);
	const { id, response } = await found(alice, [bob.accountId, carol.accountId]);
	expect(ChangedGroup.parse(await response.json()).unreachable).toEqual([bob.accountId]);
	expect(await members(id, alice, bob, carol)).toEqual([alice.accountId, carol.accountId]);
	// A member whose list lost the group and is full by now can't be reached there: the queue takes it from the group.
	await accountStub(env, carol.accountId).left([id]);
	await fill(carol.accountId);
	expect(await changed(id, carol.accountId)).toBe("done");
	expect(await members(id, alice, carol)).toEqual([alice.accountId]);
	for (const { accountId } of [bob, carol]) await empty(accountId);
});

test("GROUP-6 the queue takes a deleted account from a group, and tells of devices that the change did not know", async () => {
	const [alice, bob, carol] = [await register(0), await register(1), await register(2)];
	const { id } = await found(alice, [bob.accountId, carol.accountId]);
	const directory = new DeviceDirectory(env.DIRECTORY);
	const known = await directory.devicesOf(bob.accountId);
	// The group knows an older list: one device fewer.
	await conversationStub(env, id).setDevices({
		account: bob.accountId,
		devices: known.devices.slice(0, 1),
		version: known.version + 1,
	});
	await env.DIRECTORY.prepare("UPDATE accounts SET devices_version = ? WHERE account_id = ?")
		.bind(known.version + 2, bob.accountId)
		.run();
	await new Directory(env.DIRECTORY).deleteAccount(carol.accountId, Date.now());
	expect(await changed(id, bob.accountId, carol.accountId)).toBe("done");
	expect(await members(id, alice, bob, carol)).toEqual([alice.accountId, bob.accountId]);
	const json = await rosterOf(id);
	for (const { device } of known.devices) {
		expect(json).toContain(`"account":"${bob.accountId}","device":${device},`);
	}
	expect(known.devices.length).toBeGreaterThan(1);
});

test("GROUP-6 an account that came back to a group while the queue looked stays on its list", async () => {
	const [alice, bob] = [await register(0), await register(1)];
	const { id } = await found(alice, [bob.accountId]);
	// The queue saw Bob on no roster; he is added before it looks again.
	let asked = 0;
	const CONVERSATION = {
		getByName: (name: string) => {
			const stub = env.CONVERSATION.getByName(name);
			return {
				membersAmong: async (accounts: string[]) => (asked++ === 0 ? [] : stub.membersAmong(accounts)),
				setDevices: (member: never) => stub.setDevices(member),
			};
		},
	} as unknown as DurableObjectNamespace;
	const body = { type: "group-changed", group: id, accountIds: [bob.accountId] };
	expect(await workThrough(body, { CONVERSATION })).toBe("done");
	expect(asked).toBe(2);
	expect(await accountStub(env, bob.accountId).membership(bob.deviceId, id)).toBe("member");
});
