import { env } from "cloudflare:workers";
import { expect, test } from "vitest";

test("the media room answers for its bucket", async () => {
	expect(await env.MEDIA.health()).toBe("ok");
});
