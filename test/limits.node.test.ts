/** The table of limits is what is enforced. */
import { expect, test } from "vitest";
import { unstable_readConfig } from "wrangler";
import { z } from "zod";
import { LIMITS } from "../protocol/limits.ts";

/** The library gives the bindings no type. */
const Bound = z.array(
	z.object({ name: z.string(), namespace_id: z.string(), simple: z.object({ limit: z.int(), period: z.int() }) }),
);

test("REFUSED-1 the rates that are deployed are those of the table", () => {
	const bound = Bound.parse(unstable_readConfig({ config: "wrangler.toml" }).ratelimits);
	const rates = Object.fromEntries(bound.map(({ name, simple }) => [name, (simple.limit * 60) / simple.period]));
	expect(rates).toEqual({
		LIMIT_REGISTER: LIMITS.registrations_per_minute,
		LIMIT_TOKEN: LIMITS.sign_ins_per_minute,
		LIMIT_ADDRESS: LIMITS.address_requests_per_minute,
		LIMIT_ACCOUNT: LIMITS.account_requests_per_minute,
		LIMIT_LOOKUP: LIMITS.lookups_per_minute,
		LIMIT_CLAIM: LIMITS.claims_per_minute,
		LIMIT_CLAIM_BATCH: LIMITS.claim_batches_per_minute,
		LIMIT_LINK: LIMITS.link_requests_per_minute,
	});
	// Counters of one number would count together.
	expect(new Set(bound.map(({ namespace_id }) => namespace_id)).size).toBe(bound.length);
});
