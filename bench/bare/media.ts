/**
 * The most that the platform can do with a file: a Worker that streams a request's body to R2 and R2's back. No
 * identity, no grant, no quota, and an upload that breaks begins anew. Downloads are of an object of parts, as Parley's
 * are: local R2 reads such an object much slower than one that was put at once.
 */
const PART_BYTES = 8 * 1024 * 1024;
const BLOCK_BYTES = 1024 * 1024;

interface BareMediaEnv {
	BLOBS: R2Bucket;
}

/** Makes an object of so many random bytes, in parts. */
async function makeParts(bucket: R2Bucket, key: string, bytes: number): Promise<void> {
	const upload = await bucket.createMultipartUpload(key);
	const part = new Uint8Array(PART_BYTES);
	for (let at = 0; at < BLOCK_BYTES; at += 65_536) crypto.getRandomValues(part.subarray(at, at + 65_536));
	for (let at = BLOCK_BYTES; at < PART_BYTES; at += BLOCK_BYTES) part.copyWithin(at, 0, BLOCK_BYTES);
	const parts: R2UploadedPart[] = [];
	for (let at = 0; at < bytes; at += PART_BYTES) {
		parts.push(await upload.uploadPart(parts.length + 1, part.subarray(0, bytes - at)));
	}
	await upload.complete(parts);
}

/** The path names the object. */
export default {
	async fetch(request, env) {
		const key = new URL(request.url).pathname.slice(1);
		switch (request.method) {
			case "PUT":
				await env.BLOBS.put(key, request.body);
				return new Response(null, { status: 204 });
			case "POST":
				await makeParts(env.BLOBS, key, Number(new URL(request.url).searchParams.get("bytes")));
				return new Response(null, { status: 204 });
		}
		const object = await env.BLOBS.get(key);
		return object === null ? new Response(null, { status: 404 }) : new Response(object.body);
	},
} satisfies ExportedHandler<BareMediaEnv>;
