/** What `wrangler.toml` binds, seen through the other rooms' interfaces. */
import type { AccountInterface } from "../account-do/interface.ts";
import type { ConversationInterface } from "../conversation-do/interface.ts";
import type { MediaInterface } from "../media/interface.ts";

interface HealthInterface {
	health(): Promise<"ok">;
}

/** What `wrangler.toml` binds. */
export interface ApiEnv {
	/** Signs access tokens; at least 32 characters. A secret, so it is not in `wrangler.toml`. */
	TOKEN_SECRET?: string;
	/** The secret before the last rotation: its tokens are good until they expire. */
	TOKEN_SECRET_PREVIOUS?: string;
	/** Signs media grants, which the media Worker verifies with the same; at least 32 characters. */
	MEDIA_GRANT_SECRET?: string;
	/**
	 * Makes of an account the subject under which the media Worker counts. It is never rotated: with another, an account's
	 * deletion would not find its blobs.
	 */
	MEDIA_SUBJECT_SECRET?: string;
	DIRECTORY: D1Database;
	CONVERSATION: DurableObjectNamespace;
	ACCOUNT: DurableObjectNamespace;
	CONVERSATION_HEALTH: HealthInterface;
	ACCOUNT_HEALTH: HealthInterface;
	MEDIA: MediaInterface;
	CHANGES: Queue;
	LIMIT_REGISTER: RateLimit;
	LIMIT_TOKEN: RateLimit;
	LIMIT_ACCOUNT: RateLimit;
	LIMIT_LINK: RateLimit;
	LIMIT_ADDRESS: RateLimit;
	LIMIT_LOOKUP: RateLimit;
	LIMIT_CLAIM: RateLimit;
	LIMIT_CLAIM_BATCH: RateLimit;
}

/**
 * An account's object. The namespace can't be typed with the object's class without importing another room's code, so
 * the one cast to its interface stands here.
 */
export function accountStub(env: ApiEnv, accountId: string): AccountInterface {
	return env.ACCOUNT.getByName(accountId) as unknown as AccountInterface;
}

/** A conversation's object; see `accountStub`. */
export function conversationStub(env: ApiEnv, conversation: string): ConversationInterface {
	return env.CONVERSATION.getByName(conversation) as unknown as ConversationInterface;
}
