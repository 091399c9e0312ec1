/** What is answered where an account's quota has no room. */
import { LIMITS } from "../../protocol/limits.ts";
import type { QuotaAnswer } from "./quota.ts";
import { notFound, Refusal } from "./refusal.ts";

/** Rule QUOTA-1. A deleted account's grant is good for nothing. */
export function quotaRefusal(answer: Exclude<QuotaAnswer, "ok">): Refusal {
	switch (answer) {
		case "day":
			return new Refusal("quota_day_exceeded", "no more can be uploaded today", LIMITS.media_day_bytes);
		case "kept":
			return new Refusal("quota_kept_exceeded", "no more can be kept: delete something", LIMITS.media_kept_bytes);
		case "erased":
			return notFound();
		default:
			return answer satisfies never;
	}
}
