/** Bad days of groups, through the api and the objects in the runtime. */
import { env } from "cloudflare:workers";
import { expect, test } from "vitest";
import { addDevice, call, refusal, register } from "../../test/api-caller.ts";
import { base64url, change, newGroup, open, STATE, settle, shared, UPGRADE } from "../../test/api-groups.ts";
import { newId } from "../conversation-do/testing.ts";
import { accountStub, conversationStub } from "./env.ts";

const STALE = /^refused STALE_ROSTER/;

test("GROUP-1 a member sends to a group version that has passed: nothing is logged, and it is told the roster of now", async () => {
	const [alice, bob, carol] = [await register(0), await register(1), await register(2)];
	const { id } = await newGroup(alice, [bob, carol]);
	const one = await open(id, alice);
	const two = await open(id, bob);
	await one.take(3);
	await two.take(3);
	expect((await change(id, alice, 2, { removed: [carol.accountId] })).status).toBe(200);
	await one.take(2);
	// Bob's message was encrypted before he heard of it: Carol's key would open it.
	two.send(shared(1));
	expect(await two.take(3)).toEqual(["roster change v2 +0 -1", "entry 2", "roster v2"]);
	expect(await two.next()).toMatch(STALE);
	two.send(shared(2));
	expect(await two.next()).toBe("accepted 3");
	expect(await one.next()).toBe("entry 3");
});

test("GROUP-3 an admin is demoted while acting: what comes after it is refused, what came before it stands", async () => {
	const [alice, bob, carol] = [await register(0), await register(1), await register(2)];
	const { id } = await newGroup(alice, [bob, carol]);
	expect((await change(id, alice, 2, { roles: [{ accountId: bob.accountId, role: "admin" }] })).status).toBe(200);
	// Both act on version 2; which of the two comes first is the object's to say.
	const outcomes = await Promise.all([
		change(id, alice, 3, { roles: [{ accountId: bob.accountId, role: "member" }] }),
		change(id, bob, 3, { removed: [carol.accountId] }),
	]);
	expect(outcomes.map(({ status }) => status).toSorted()).toEqual([200, 409]);
	const removed = outcomes[1]?.status === 200;
	if (removed) {
		expect((await change(id, alice, 4, { roles: [{ accountId: bob.accountId, role: "member" }] })).status).toBe(200);
	}
	const next = removed ? 5 : 4;
	expect(await refusal(await change(id, bob, next, { removed: [alice.accountId] }))).toEqual([403, "not_permitted"]);
	const members = await conversationStub(env, id).membersAmong([alice, bob, carol].map(({ accountId }) => accountId));
	expect(members).toHaveLength(removed ? 2 : 3);
});

test("GROUP-2 two admins change the group at once: one history, the same for all, and the later is told", async () => {
	const [alice, bob, carol] = [await register(0), await register(1), await register(2)];
	const { id } = await newGroup(alice, [bob]);
	expect((await change(id, alice, 2, { roles: [{ accountId: bob.accountId, role: "admin" }] })).status).toBe(200);
	const sockets = [await open(id, alice), await open(id, bob)];
	for (const socket of sockets) await socket.take(4);
	const acts = [{ added: [{ accountId: carol.accountId, role: "member" }] }, { rules: undefined }];
	let version = 2;
	for (let round = 0; round < 5; round++) {
		const both = await Promise.all([alice, bob].map((who, index) => change(id, who, version + 1, acts[index] ?? {})));
		expect(both.map(({ status }) => status).toSorted(), `round ${round}`).toEqual([200, 409]);
		const loser = both.find(({ status }) => status === 409);
		expect(await loser?.json()).toMatchObject({ code: "group_conflict", limit: version + 1 });
		version += 1;
		if (both[0]?.status === 200) acts[0] = { rules: undefined };
	}
	const histories = await Promise.all(
		sockets.map(async (socket) => {
			const entries: string[] = [];
			while (entries.length < 5) {
				const frame = await socket.next();
				if (frame.startsWith("entry")) entries.push(frame);
			}
			return entries;
		}),
	);
	expect(histories[0]).toEqual(["entry 3", "entry 4", "entry 5", "entry 6", "entry 7"]);
	expect(histories[1]).toEqual(histories[0]);
});

test("DEVICE-3 GROUP-6 a removed device replays its token at each door of a group, and so does a removed member", async () => {
	const [alice, bob, carol] = [await register(0), await register(1), await register(3)];
	const second = await addDevice(1, 0, bob);
	const { id } = await newGroup(alice, [bob, carol]);
	const socket = await open(id, second);
	await socket.take(3);
	const CHANGES = { send: async () => undefined } as unknown as Queue;
	const unlink = { method: "DELETE", token: bob.accessToken, bindings: { CHANGES } };
	expect((await call(`/v1/devices/${second.deviceId}`, unlink)).status).toBe(204);
	expect(await socket.next()).toBe("refused NOT_ON_ROSTER 0");
	expect(await socket.closed).toBe(4403);
	expect((await change(id, alice, 2, { removed: [carol.accountId] })).status).toBe(200);

	const body = { messageId: base64url(newId()), version: 3, state: STATE };
	const linkSecret = base64url(new Uint8Array(32));
	const doors: [string, string, object?][] = [
		["GET", ""],
		["GET", "/socket"],
		["POST", "/changes", body],
		["POST", "/changes", { ...body, added: [{ accountId: carol.accountId, role: "member" }], linkSecret }],
		["POST", "/requests", { messageId: body.messageId, linkSecret }],
	];
	const answers: [string, string, number][] = [
		["the device", second.accessToken, 401],
		["the member", carol.accessToken, 404],
	];
	for (const [who, token, status] of answers) {
		for (const [method, path, sent] of doors) {
			const options = { method, token, ...(sent === undefined ? { headers: UPGRADE } : { body: sent }) };
			const answer = await call(`/v1/groups/${id}${path}`, options);
			expect(answer.status, `${who}: ${method} ${path}`).toBe(status);
		}
	}
	const held = await open(id, bob);
	expect((await held.take(1))[0]).toMatch(/^welcome 2 v\d+/);
});

test("GROUP-6 the queue consumer crashes while a group is settled: the message comes again until all agree", async () => {
	const [alice, bob, carol] = [await register(0), await register(1), await register(2)];
	const { id } = await newGroup(alice, [bob, carol]);
	expect((await change(id, alice, 2, { removed: [bob.accountId, carol.accountId] })).status).toBe(200);
	const accounts = [alice, bob, carol].map(({ accountId }) => accountId);
	const listed = async () =>
		Promise.all([alice, bob, carol].map(({ accountId }) => accountStub(env, accountId).membership(1, id)));
	// The object of the second account does not answer: the third is not come to.
	const down = { left: () => Promise.reject(new Error("down")), joined: () => Promise.reject(new Error("down")) };
	const ACCOUNT = {
		getByName: (name: string) => (name === bob.accountId ? down : env.ACCOUNT.getByName(name)),
	} as unknown as DurableObjectNamespace;
	expect(await settle(id, accounts, { ACCOUNT })).toBe("again");
	expect(await listed()).toEqual(["member", "member", "member"]);
	expect(await settle(id, accounts)).toBe("done");
	expect(await listed()).toEqual(["member", "stranger", "stranger"]);
});
