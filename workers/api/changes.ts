/** What concerns many objects at once goes through a queue, which retries it until it is done (rule ACCOUNT-4). */
import { z } from "zod";
import { UUID_PATTERN } from "../../protocol/ids.ts";
import { Directory } from "./directory/directory.ts";
import { type ApiEnv, accountStub, conversationStub } from "./env.ts";

/** A deletion that is older than this has lost its message. */
const LOST_AFTER_MS = 5 * 60 * 1000;
/** `sendBatch` takes as many. */
const MESSAGES_PER_BATCH = 100;

const Change = z.strictObject({ type: z.literal("account-deleted"), accountId: z.string().regex(UUID_PATTERN) });
type Change = z.infer<typeof Change>;

/**
 * Puts a deletion on its way. The rows are gone and the deletion is noted, so a queue that fails does not fail the
 * request: the schedule finds it.
 */
export async function announceDeletion(env: ApiEnv, accountId: string): Promise<void> {
	try {
		await env.CHANGES.send({ type: "account-deleted", accountId } satisfies Change);
	} catch {
		console.warn("a deletion was not queued; the schedule takes it up");
	}
}

/** Works through a batch; what fails comes again, the rest does not. */
export async function consumeChanges(env: ApiEnv, batch: MessageBatch): Promise<void> {
	for (const message of batch.messages) {
		const change = Change.safeParse(message.body);
		if (!change.success) {
			// It would be as wrong the next time.
			console.error("a queue message of unknown form was dropped");
			message.ack();
			continue;
		}
		try {
			await eraseAccount(env, change.data.accountId);
			message.ack();
		} catch (error) {
			console.error(`a deletion will be retried: ${error instanceof Error ? error.name : "unknown"}`);
			message.retry();
		}
	}
}

/** Takes up deletions whose message was lost. A second message does no harm: every step is idempotent. */
export async function resumeDeletions(env: ApiEnv, now_ms: number): Promise<void> {
	const accounts = await new Directory(env.DIRECTORY).deletionsBefore(now_ms - LOST_AFTER_MS);
	for (let from = 0; from < accounts.length; from += MESSAGES_PER_BATCH) {
		const page = accounts.slice(from, from + MESSAGES_PER_BATCH);
		await env.CHANGES.sendBatch(page.map((accountId) => ({ body: { type: "account-deleted", accountId } })));
	}
}

/** The object goes last of the two, because it knows the conversations; the note goes when nothing is left to do. */
async function eraseAccount(env: ApiEnv, accountId: string): Promise<void> {
	let after = "";
	for (;;) {
		const page = await accountStub(env, accountId).conversations(after);
		for (const { conversation } of page) await conversationStub(env, conversation).removeMember(accountId);
		const last = page.at(-1);
		if (last === undefined) break;
		after = last.conversation;
	}
	await accountStub(env, accountId).erase();
	await new Directory(env.DIRECTORY).deletionDone(accountId);
}
