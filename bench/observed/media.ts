/** The media Worker as it is deployed, with counters around its bucket. Its own socket answers with them. */
import { StoredBlob as ProductBlob, Media as ProductMedia } from "../../workers/media/index.ts";

export { MediaQuota } from "../../workers/media/index.ts";

/** Operations of R2 by name; those that are free (delete, abort) too. */
const operations: Record<string, number> = {};

/** Counts each call before it is made, also on multipart uploads, which a bucket hands out. */
function observed<T extends object>(target: T): T {
	return new Proxy(target, {
		get(inner, key) {
			const value: unknown = Reflect.get(inner, key, inner);
			if (typeof value !== "function" || typeof key !== "string") return value;
			return (...given: unknown[]) => {
				// It makes a handle and asks R2 nothing.
				if (key === "resumeMultipartUpload") return observed(Object(Reflect.apply(value, inner, given)));
				operations[key] = (operations[key] ?? 0) + 1;
				return Reflect.apply(value, inner, given);
			};
		},
	});
}

export class Media extends ProductMedia {
	constructor(...[ctx, env]: ConstructorParameters<typeof ProductMedia>) {
		super(ctx, { ...env, BLOBS: observed(env.BLOBS) });
	}
}

export class StoredBlob extends ProductBlob {
	constructor(...[ctx, env]: ConstructorParameters<typeof ProductBlob>) {
		super(ctx, { ...env, BLOBS: observed(env.BLOBS) });
	}
}

export default { fetch: () => Response.json(operations) } satisfies ExportedHandler;
