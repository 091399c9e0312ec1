/** The handlers that are exported to the runtime: its queue's and its schedule's. */
import { createExecutionContext, createMessageBatch, createScheduledController, getQueueResult } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { expect, test } from "vitest";
import { call, register } from "../../test/api-caller.ts";
import worker from "../../test/composition.ts";
import { upgrade } from "../conversation-do/testing.ts";
import { Directory } from "./directory/directory.ts";
import { type ApiEnv, accountStub, conversationStub } from "./env.ts";

/** A queue that keeps what it is sent. */
function listen() {
	const sent: unknown[] = [];
	const CHANGES = {
		send: async (body: unknown) => void sent.push(body),
		sendBatch: async (batch: { body: unknown }[]) => void sent.push(...batch.map(({ body }) => body)),
	} as unknown as Queue;
	return { sent, CHANGES };
}

/** Hands messages to the exported handler as the runtime would. */
async function deliver(bodies: readonly unknown[], bindings: Partial<ApiEnv> = {}) {
	const messages = bodies.map((body, index) => ({ id: String(index), timestamp: new Date(), attempts: 1, body }));
	const batch = createMessageBatch("parley-changes", messages);
	const context = createExecutionContext();
	await worker.queue(batch, { ...env, ...bindings });
	return getQueueResult(batch, context);
}

test("ACCOUNT-4 a deletion leaves every roster, over several pages, and goes on where it stopped", async () => {
	const { accountId, accessToken: token } = await register(0);
	const { sent, CHANGES } = listen();
	const account = accountStub(env, accountId);
	// More than a page holds, and as many that are real as prove each page: by id the first, one in the middle, the last.
	const real = ["0", "8", "f"].map((digit) => digit.repeat(64));
	for (const conversation of real) {
		const peer = { account: crypto.randomUUID(), devices: [{ device: 1, registrationId: 1 }] };
		const me = { account: accountId, devices: [{ device: 1, registrationId: 2 }] };
		await conversationStub(env, conversation).found([me, peer]);
	}
	const others = Array.from({ length: 1_000 }, (_, index) => `1${String(index).padStart(63, "0")}`);
	for (const conversation of [...real, ...others]) {
		await account.joined({ conversation, peer: crypto.randomUUID() });
	}

	// One conversation does not answer at first: the others are left all the same, and it comes again.
	let broken = true;
	const CONVERSATION = {
		getByName: (name: string) => {
			if (name === "8".repeat(64) && broken) return { removeMember: () => Promise.reject(new Error("down")) };
			return name.startsWith("1") ? { removeMember: async () => undefined } : env.CONVERSATION.getByName(name);
		},
	} as unknown as DurableObjectNamespace;
	const bindings = { CHANGES, CONVERSATION };
	expect((await call("/v1/accounts/me", { method: "DELETE", token, bindings })).status).toBe(204);
	let messages = 0;
	let retries = 0;
	for (let body = sent.shift(); body !== undefined; messages++) {
		const { explicitAcks } = await deliver([body], { CHANGES, CONVERSATION });
		if (explicitAcks.length === 1) body = sent.shift();
		else {
			retries += 1;
			broken = false;
		}
	}
	expect({ messages, retries }).toEqual({ messages: 4, retries: 1 });
	expect(await account.conversations("")).toEqual([]);
	for (const conversation of real) {
		expect((await upgrade(env.CONVERSATION.getByName(conversation), accountId, 1)).status).toBe(403);
	}
	expect(await new Directory(env.DIRECTORY).deletionsBefore(Number.MAX_SAFE_INTEGER)).toEqual([]);
});

test("ACCOUNT-4 of a batch each message is acknowledged or retried for itself", async () => {
	const [alice, bob] = [await register(1), await register(2)];
	const broken = { retire: () => Promise.reject(new Error("down")) };
	const down = { getByName: (name: string) => (name === alice.accountId ? broken : env.ACCOUNT.getByName(name)) };
	const change = (accountId: string) => ({ type: "account-deleted", accountId });
	const bodies = [change(alice.accountId), { type: "other" }, change(bob.accountId), "text"];
	const result = await deliver(bodies, { ACCOUNT: down as unknown as DurableObjectNamespace });
	expect(result.explicitAcks).toEqual(["1", "2", "3"]);
	expect(result.retryMessages).toEqual([{ msgId: "0" }]);
});

test("ACCOUNT-4 the schedule finds a deletion whose message was lost, and its message finishes it", async () => {
	const { accountId, accessToken: token } = await register(3);
	const lost = { send: () => Promise.reject(new Error("down")) } as unknown as Queue;
	expect((await call("/v1/accounts/me", { method: "DELETE", token, bindings: { CHANGES: lost } })).status).toBe(204);
	const { sent, CHANGES } = listen();
	const controller = createScheduledController({ cron: "*/15 * * * *" });
	// Too young: its message may still be on the way.
	await worker.scheduled(controller, { ...env, CHANGES });
	expect(sent).toEqual([]);
	await env.DIRECTORY.prepare("UPDATE deletions SET requested_at_ms = requested_at_ms - 360000").run();
	await worker.scheduled(controller, { ...env, CHANGES });
	expect(sent).toEqual([{ type: "account-deleted", accountId }]);
	expect((await deliver(sent)).explicitAcks).toEqual(["0"]);
	await worker.scheduled(controller, { ...env, CHANGES });
	expect(sent).toHaveLength(1);
});
