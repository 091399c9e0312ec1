/**
 * All rooms in one Worker, for tests only: the runtime's test helpers (eviction, alarms, a look inside an object)
 * reach only objects of the main Worker. The deployed split is tested through the real configurations.
 */
export { Account, Health as AccountHealth } from "../workers/account-do/index.ts";
export { default } from "../workers/api/index.ts";
export { Conversation, Health as ConversationHealth } from "../workers/conversation-do/index.ts";
export { Media, MediaQuota, StoredBlob } from "../workers/media/index.ts";
