/** The quota's limits to the blob (rule QUOTA-1), at its object. */
import { runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { expect, test } from "vitest";
import { LIMITS } from "../../protocol/limits.ts";

const LATER_MS = Date.now() + 86_400_000;

/** A subject's quota with so many blobs of one byte, which are held until then. */
async function holding(blobs: number, expires_ms: number) {
	const quota = env.MEDIA_QUOTA.getByName(crypto.randomUUID());
	await runInDurableObject(quota, (_, { storage }) => {
		storage.sql.exec(
			`WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?)
			INSERT INTO blobs (blob, bytes, day, expires_ms) SELECT 'blob ' || i, 1, 0, ? FROM n`,
			...[blobs, expires_ms],
		);
	});
	return quota;
}

test("QUOTA-1 the last blob of the limit is taken, the next is not, and one that is there may grow and be held on", async () => {
	const quota = await holding(LIMITS.media_kept_blobs - 1, LATER_MS);
	expect(await quota.reserve("last", 1, LATER_MS)).toBe("ok");
	expect(await quota.reserve("next", 1, LATER_MS)).toBe("kept");
	expect(await quota.hold("next", 1, LATER_MS)).toBe("kept");
	expect(await quota.reserve("last", 2, LATER_MS)).toBe("ok");
	expect(await quota.hold("blob 1", 1, LATER_MS)).toBe("ok");
});

test("QUOTA-1 what nobody holds any more does not count, before it is swept too", async () => {
	const quota = await holding(LIMITS.media_kept_blobs, Date.now() - 1);
	expect(await quota.reserve("next", 1, LATER_MS)).toBe("ok");
});
