/** What `wrangler.toml` binds. */
import type { MediaQuota } from "./quota.ts";
import type { StoredBlob } from "./stored-blob.ts";

/** What `wrangler.toml` binds. */
export interface MediaEnv {
	BLOBS: R2Bucket;
	STORED_BLOB: DurableObjectNamespace<StoredBlob>;
	MEDIA_QUOTA: DurableObjectNamespace<MediaQuota>;
	/** Verifies grants; the api signs with the same. A secret, so it is not in `wrangler.toml`. */
	MEDIA_GRANT_SECRET?: string;
}
