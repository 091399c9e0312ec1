/** What tests of the api share: its queue's consumer, worked through by hand. */
import { createExecutionContext, createMessageBatch, getQueueResult } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { consumeChanges } from "./changes.ts";
import type { ApiEnv } from "./env.ts";

/** Lets the queue's consumer work through a message, and those that follow it. Says whether one is to come again. */
export async function workThrough(message: unknown, bindings: Partial<ApiEnv> = {}): Promise<"done" | "again"> {
	const bodies: unknown[] = [message];
	const CHANGES = { send: async (body: unknown) => void bodies.push(body) } as unknown as Queue;
	for (let body = bodies.shift(); body !== undefined; body = bodies.shift()) {
		const batch = createMessageBatch("parley-changes", [{ id: "1", timestamp: new Date(), attempts: 1, body }]);
		await consumeChanges({ ...env, CHANGES, ...bindings }, batch);
		if ((await getQueueResult(batch, createExecutionContext())).retryMessages.length > 0) return "again";
	}
	return "done";
}
