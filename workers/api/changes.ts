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
 * Puts a deletion on its way: the account's object refuses its tokens from now on, the rest follows. The rows are gone and
 * the deletion is noted, so what fails here does not fail the request: the schedule finds it.
 */
export async function announceDeletion(env: ApiEnv, accountId: string): Promise<void> {
	try {
		await accountStub(env, accountId).retire();
	} catch {
		console.warn("a deleted account's object did not answer; the queue tells it again");
	}
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

/**
 * One page of an account's conversations, then the next message's turn: an account in thousands of conversations needs
 * more calls than one invocation has. What is done leaves the list, so a repetition goes on and does not begin again.
 */
async function eraseAccount(env: ApiEnv, accountId: string): Promise<void> {
	const account = accountStub(env, accountId);
	await account.retire();
	const page = await account.conversations("");
	const done: string[] = [];
	for (const { conversation } of page) if (await leave(env, conversation, accountId)) done.push(conversation);
	await account.left(done);
	if (done.length < page.length) throw new Error("some conversations did not answer");
	if ((await account.conversations("")).length > 0) {
		await env.CHANGES.send({ type: "account-deleted", accountId } satisfies Change);
		return;
	}
	// The object goes last of the two, because it knows the conversations; the note goes when nothing is left to do.
	await account.erase();
	await new Directory(env.DIRECTORY).deletionDone(accountId);
}

/** False where the conversation does not answer: that holds up itself and no other. */
async function leave(env: ApiEnv, conversation: string, accountId: string): Promise<boolean> {
	try {
		await conversationStub(env, conversation).removeMember(accountId);
		return true;
	} catch {
		return false;
	}
}
