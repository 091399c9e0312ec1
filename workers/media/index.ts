/**
 * Encrypted blobs in R2. The room stands and answers for its health; uploads and downloads come with media messages.
 */
import { WorkerEntrypoint } from "cloudflare:workers";
import type { MediaInterface } from "./interface.ts";

interface MediaEnv {
	BLOBS: R2Bucket;
}

/** The interface that the api is bound to. */
export class Media extends WorkerEntrypoint<MediaEnv> implements MediaInterface {
	async health(): Promise<"ok"> {
		await this.env.BLOBS.head("health");
		return "ok";
	}
}

/** No public door. */
export default {
	fetch: () => new Response(null, { status: 404 }),
} satisfies ExportedHandler;
