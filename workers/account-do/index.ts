/** The Worker of accounts: their object, and its answer to whether it is well. */
import { WorkerEntrypoint } from "cloudflare:workers";

export { Account } from "./account.ts";

/** Answers for the room's health. */
export class Health extends WorkerEntrypoint {
	health(): "ok" {
		return "ok";
	}
}

/** No public door. */
export default {
	fetch: () => new Response(null, { status: 404 }),
} satisfies ExportedHandler;
