// What the composition in test/wrangler.toml binds.
declare namespace Cloudflare {
	interface GlobalProps {
		mainModule: typeof import("./composition.ts");
		durableNamespaces: "Account" | "Conversation";
	}
	interface Env {
		TOKEN_SECRET: string;
		MEDIA_GRANT_SECRET: string;
		MEDIA_SUBJECT_SECRET: string;
		TEST_MIGRATIONS: import("@cloudflare/vitest-plugin").D1Migration[];
		CONVERSATION: DurableObjectNamespace<import("../workers/conversation-do/index.ts").Conversation>;
		ACCOUNT: DurableObjectNamespace<import("../workers/account-do/index.ts").Account>;
		CONVERSATION_HEALTH: Service<typeof import("../workers/conversation-do/index.ts").Health>;
		ACCOUNT_HEALTH: Service<typeof import("../workers/account-do/index.ts").Health>;
		MEDIA: Service<typeof import("../workers/media/index.ts").Media>;
		STORED_BLOB: DurableObjectNamespace<import("../workers/media/index.ts").StoredBlob>;
		MEDIA_QUOTA: DurableObjectNamespace<import("../workers/media/index.ts").MediaQuota>;
		DIRECTORY: D1Database;
		BLOBS: R2Bucket;
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
}
