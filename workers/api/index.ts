/** The only public door: stateless, at the location nearest to the caller. */
import { app } from "./app.ts";
import { consumeChanges } from "./changes.ts";
import type { ApiEnv } from "./env.ts";
import { sweep } from "./sweep.ts";

export default {
	fetch: (request, env, context) => app.fetch(request, env, context),
	queue: (batch, env) => consumeChanges(env, batch),
	scheduled: (_controller, env) => sweep(env, Date.now()),
} satisfies ExportedHandler<ApiEnv>;
