import { expect, test } from "vitest";
import { HTTP_STATUS, HttpErrorCode, MediaGrant, MediaHold } from "./http.ts";
import { LIMITS } from "./limits.ts";
import {
	blobIdOf,
	deleteHash,
	MEDIA_HEADERS,
	MEDIA_HOLD_MS,
	MEDIA_ID_PATTERN,
	MEDIA_PATHS,
	MEDIA_UPLOAD_MS,
	TUS_CHECKSUM_ALGORITHMS,
	TUS_CONTENT_TYPE,
	TUS_EXTENSIONS,
	TUS_VERSION,
} from "./media.ts";

const UPLOAD = "A".repeat(43);

test("a blob id says nothing about the upload id, and a delete hash is no blob id", async () => {
	const blob = await blobIdOf(UPLOAD);
	expect(blob).toMatch(MEDIA_ID_PATTERN);
	expect(blob).not.toBe(UPLOAD);
	expect(await blobIdOf(UPLOAD)).toBe(blob);
	expect(await deleteHash(UPLOAD)).toMatch(MEDIA_ID_PATTERN);
	expect(await deleteHash(UPLOAD)).not.toBe(blob);
});

test("paths and headers are those that the specification prints", () => {
	expect([MEDIA_PATHS.grants, MEDIA_PATHS.uploads, MEDIA_PATHS.blob("b"), MEDIA_PATHS.hold("b")]).toEqual([
		"/v1/media/grants",
		"/v1/media/uploads",
		"/v1/media/blobs/b",
		"/v1/media/blobs/b/hold",
	]);
	expect(Object.values(MEDIA_HEADERS).every((name) => name.startsWith("Parley-"))).toBe(true);
	expect([TUS_VERSION, TUS_CONTENT_TYPE]).toEqual(["1.0.0", "application/offset+octet-stream"]);
	expect([...TUS_EXTENSIONS, ...TUS_CHECKSUM_ALGORITHMS]).toContain("creation-defer-length");
});

test("a blob outlives a message that waits, and a grant outlives no upload", () => {
	expect(LIMITS.media_days).toBeGreaterThan(LIMITS.retention_days);
	expect(MEDIA_HOLD_MS).toBeGreaterThan(MEDIA_UPLOAD_MS);
	expect(LIMITS.media_bytes).toBeLessThanOrEqual(LIMITS.media_day_bytes);
	expect(LIMITS.media_day_bytes).toBeLessThanOrEqual(LIMITS.media_kept_bytes);
	// 100 MB is where Cloudflare's edge refuses a body.
	expect(LIMITS.media_patch_bytes).toBeLessThan(100_000_000);
});

test("each code of a refusal has a status of a refusal", () => {
	for (const code of HttpErrorCode.options) expect(HTTP_STATUS[code], code).toBeGreaterThanOrEqual(400);
});

test("the media answers have no room for anything else", () => {
	expect(MediaGrant.safeParse({ grant: "g", expiresAtMs: 1, uploadBytesMax: 1, account: "a" }).success).toBe(false);
	expect(MediaHold.safeParse({ expiresAtMs: 1, account: "a" }).success).toBe(false);
});
