/** Encrypted blobs in R2: uploads by tus, downloads, holds. The api is the door to it. */
import { WorkerEntrypoint } from "cloudflare:workers";
import { answer } from "./door.ts";
import type { MediaEnv } from "./env.ts";
import type { MediaInterface } from "./interface.ts";

export { MediaQuota } from "./quota.ts";
export { StoredBlob } from "./stored-blob.ts";

/** The interface that the api is bound to. */
export class Media extends WorkerEntrypoint<MediaEnv> implements MediaInterface {
	async health(): Promise<"ok"> {
		await this.env.BLOBS.head("health");
		return "ok";
	}

	override fetch(request: Request): Promise<Response> {
		return answer(request, this.env);
	}

	async eraseSubject(subject: string): Promise<"done" | "more"> {
		return await this.env.MEDIA_QUOTA.getByName(subject).erase();
	}
}

/** No public door. */
export default {
	fetch: () => new Response(null, { status: 404 }),
} satisfies ExportedHandler;
