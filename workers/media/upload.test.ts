import { runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { createHash } from "node:crypto";
import { describe, expect, test } from "vitest";
import { LIMITS } from "../../protocol/limits.ts";
import { MEDIA_HEADERS } from "../../protocol/media.ts";
import { refusal } from "../../test/api-caller.ts";
import { broken, LARGE, noise, SMALL, started, TUS, Uploader } from "../../test/media-uploader.ts";
import { PART_BYTES } from "./records.ts";

const uploader = await Uploader.create();

const checksum = (algorithm: "sha1" | "sha256", bytes: Uint8Array) => ({
	"upload-checksum": `${algorithm} ${createHash(algorithm).update(bytes).digest("base64")}`,
});

describe("the protocol of uploads", () => {
	test("UPLOAD-1 OPTIONS tells what is spoken, without a token", async () => {
		const response = await uploader.ask("/v1/media/uploads", { method: "OPTIONS", token: "" });
		const names = ["tus-version", "tus-max-size", "tus-extension", "tus-checksum-algorithm"];
		expect(names.map((name) => response.headers.get(name))).toEqual([
			"1.0.0",
			"2147483648",
			"creation,creation-with-upload,creation-defer-length,termination,expiration,checksum",
			"sha1,sha256",
		]);
	});

	test("UPLOAD-1 an upload in pieces of any size becomes the blob, byte for byte", async () => {
		const { location, blob } = await uploader.start(LARGE.length);
		let offset = 0;
		for (const length of [1, 70_000, PART_BYTES - 70_002, 5, LARGE.length]) {
			const piece = LARGE.subarray(offset, offset + length);
			const response = await uploader.patch(location, offset, piece);
			offset += piece.length;
			expect([response.status, response.headers.get("upload-offset")]).toEqual([204, String(offset)]);
			expect(await uploader.offset(location)).toBe(offset);
		}
		expect(await uploader.holds(blob, LARGE)).toBe(true);
	});

	test("UPLOAD-1 bytes may come with the creation", async () => {
		const headers = { "upload-length": "5000", "content-type": "application/offset+octet-stream" };
		const whole = await uploader.create(headers, SMALL);
		expect([whole.status, whole.headers.get("upload-offset")]).toEqual([201, "5000"]);
		expect(await uploader.holds(started(whole).blob, SMALL)).toBe(true);

		const part = await uploader.create(headers, SMALL.subarray(0, 10));
		expect([part.status, part.headers.get("upload-offset")]).toEqual([201, "10"]);
		const { location, blob } = started(part);
		expect((await uploader.patch(location, 10, SMALL.subarray(10))).status).toBe(204);
		expect(await uploader.holds(blob, SMALL)).toBe(true);
	});

	test("UPLOAD-1 a length may be deferred and declared later", async () => {
		const { location, blob } = await uploader.start();
		expect((await uploader.head(location)).headers.get("upload-defer-length")).toBe("1");
		expect((await uploader.patch(location, 0, LARGE.subarray(0, PART_BYTES))).status).toBe(204);
		expect((await uploader.get(blob)).status).toBe(404);
		const tooShort = await uploader.patch(location, PART_BYTES, "", { "upload-length": "100" });
		expect(await refusal(tooShort)).toEqual([400, "malformed"]);
		const rest = LARGE.subarray(PART_BYTES);
		const length = { "upload-length": String(LARGE.length) };
		expect((await uploader.patch(location, PART_BYTES, rest, length)).status).toBe(204);
		expect(await uploader.holds(blob, LARGE)).toBe(true);
		const other = await uploader.patch(location, LARGE.length, "", { "upload-length": "9999999999" });
		expect(await refusal(other)).toEqual([413, "upload_too_large"]);
	});

	test("UPLOAD-1 a length that is declared when everything has come completes the blob", async () => {
		const { location, blob } = await uploader.start();
		expect((await uploader.patch(location, 0, SMALL)).status).toBe(204);
		expect((await uploader.patch(location, 5000, "", { "upload-length": "5000" })).status).toBe(204);
		expect(await uploader.holds(blob, SMALL)).toBe(true);
	});

	test("UPLOAD-1 a method may stand in a header", async () => {
		const { location } = await uploader.start(10);
		const response = await uploader.ask(location, {
			method: "POST",
			headers: { ...TUS, "x-http-method-override": "DELETE" },
		});
		expect(response.status).toBe(204);
		expect(await uploader.offset(location)).toBe("status 404");
	});

	test("UPLOAD-1 what is answered without a token does nothing, whatever its header says", async () => {
		const { location } = await uploader.start(10);
		for (const method of ["DELETE", "PATCH", "HEAD", "POST"]) {
			const headers = { ...TUS, "x-http-method-override": method };
			const response = await uploader.ask(location, { method: "OPTIONS", token: "", headers });
			expect([response.status, response.headers.get("upload-offset")]).toEqual([204, null]);
		}
		expect(await uploader.offset(location)).toBe(0);
	});

	test.each([
		["no version", { "tus-resumable": undefined }, 412, "tus_version_unsupported"],
		["another version", { "tus-resumable": "0.2.2" }, 412, "tus_version_unsupported"],
		["a file name", { "upload-metadata": "filename d29ybGQ=" }, 400, "metadata_refused"],
		["no length", { "upload-length": undefined }, 400, "malformed"],
		["a length and none", { "upload-defer-length": "1" }, 400, "malformed"],
		["a deferred length of 2", { "upload-length": undefined, "upload-defer-length": "2" }, 400, "malformed"],
		["a negative length", { "upload-length": "-1" }, 400, "malformed"],
		["half a byte", { "upload-length": "1.5" }, 400, "malformed"],
		["hexadecimal", { "upload-length": "0x10" }, 400, "malformed"],
		["a length beyond numbers", { "upload-length": "9".repeat(16) }, 400, "malformed"],
		["zero bytes", { "upload-length": "0" }, 400, "upload_empty"],
		["2 GiB and one byte", { "upload-length": String(LIMITS.media_bytes + 1) }, 413, "upload_too_large"],
		["a concatenation", { "upload-concat": "partial" }, 400, "malformed"],
		["no delete hash", { [MEDIA_HEADERS.deleteHash]: undefined }, 400, "malformed"],
		["a short delete hash", { [MEDIA_HEADERS.deleteHash]: "abc" }, 400, "malformed"],
	])("UPLOAD-1 UPLOAD-5 a creation with %s is refused", async (_what, headers, status, code) => {
		const response = await uploader.create({ "upload-length": "10", ...headers });
		expect(response.headers.get("tus-resumable")).toBe("1.0.0");
		expect(await refusal(response)).toEqual([status, code]);
	});

	test.each([
		["no version", { "tus-resumable": "2.0.0" }, 412, "tus_version_unsupported"],
		["another type", { "content-type": "application/octet-stream" }, 415, "content_type_unsupported"],
		["an offset of words", { "upload-offset": "three" }, 400, "malformed"],
		["md5", { "upload-checksum": "md5 XUFAKrxLKna5cZ2REBfFkg==" }, 400, "checksum_unsupported"],
		["half a checksum", { "upload-checksum": "sha1 XUFA" }, 400, "malformed"],
		["a checksum of words", { "upload-checksum": "sha1" }, 400, "malformed"],
	])("UPLOAD-1 a PATCH with %s is refused and changes nothing", async (_what, headers, status, code) => {
		const { location } = await uploader.start(10);
		expect(await refusal(await uploader.patch(location, 0, "0123456789", headers))).toEqual([status, code]);
		expect(await uploader.offset(location)).toBe(0);
	});

	test("UPLOAD-3 another offset is refused with the right one, and changes nothing", async () => {
		const { location, blob } = await uploader.start(SMALL.length);
		await uploader.patch(location, 0, SMALL.subarray(0, 1000));
		for (const offset of [0, 999, 1001, 4000]) {
			const response = await uploader.patch(location, offset, SMALL.subarray(offset));
			expect(response.headers.get("upload-offset")).toBe("1000");
			expect(await refusal(response)).toEqual([409, "offset_conflict"]);
		}
		await uploader.patch(location, 1000, SMALL.subarray(1000));
		expect(await refusal(await uploader.patch(location, 0, SMALL))).toEqual([409, "offset_conflict"]);
		expect(await uploader.holds(blob, SMALL)).toBe(true);
	});

	test("UPLOAD-5 more bytes than were declared are refused", async () => {
		const { location } = await uploader.start(10);
		const response = await uploader.patch(location, 0, new Uint8Array(11));
		expect(await refusal(response)).toEqual([413, "body_too_large"]);
		expect(await uploader.offset(location)).toBe(0);
	});

	test("UPLOAD-5 a stream that goes on beyond the declared length is refused", async () => {
		const { location } = await uploader.start(100_000);
		const response = await uploader.patch(location, 0, broken(noise(200_000), "break"));
		expect(await refusal(response)).toEqual([413, "body_too_large"]);
		expect(await uploader.offset(location)).toBeLessThan(100_000);
	});
});

describe("checksums", () => {
	test.each(["sha1", "sha256"] as const)("UPLOAD-6 %s: a body that matches is kept", async (algorithm) => {
		const { location, blob } = await uploader.start(LARGE.length);
		const half = PART_BYTES + 77;
		for (const piece of [LARGE.subarray(0, half), LARGE.subarray(half)]) {
			const offset = piece.byteOffset - LARGE.byteOffset;
			expect((await uploader.patch(location, offset, piece, checksum(algorithm, piece))).status).toBe(204);
		}
		expect(await uploader.holds(blob, LARGE)).toBe(true);
	});

	test("UPLOAD-6 a body that doesn't match leaves nothing, also when whole parts of it have gone to R2", async () => {
		const { location, blob } = await uploader.start(LARGE.length);
		await uploader.patch(location, 0, LARGE.subarray(0, 1000));
		const wrong = await uploader.patch(location, 1000, noise(LARGE.length - 1000, 2), checksum("sha1", LARGE));
		expect(await refusal(wrong)).toEqual([460, "checksum_mismatch"]);
		expect(await uploader.offset(location)).toBe(1000);
		await uploader.patch(location, 1000, LARGE.subarray(1000));
		expect(await uploader.holds(blob, LARGE)).toBe(true);
	});

	test("UPLOAD-6 a body that breaks off before it could be verified leaves nothing", async () => {
		const { location } = await uploader.start(LARGE.length);
		const body = broken(LARGE.subarray(0, PART_BYTES + 5), "break");
		await uploader.patch(location, 0, body, checksum("sha1", LARGE)).catch(() => undefined);
		expect(await uploader.offset(location)).toBe(0);
	});

	test("UPLOAD-6 a creation whose bytes don't match creates nothing", async () => {
		const headers = { "upload-length": "5000", "content-type": "application/offset+octet-stream" };
		const quota = env.MEDIA_QUOTA.getByName(await uploader.subject());
		const counted = () =>
			runInDurableObject(quota, (_, { storage }) => storage.sql.exec("SELECT blob FROM blobs").toArray().length);
		const before = await counted();
		const response = await uploader.create({ ...headers, ...checksum("sha1", LARGE) }, SMALL);
		expect([response.headers.get("location"), await refusal(response)]).toEqual([null, [460, "checksum_mismatch"]]);
		expect(await counted()).toBe(before);
		const other = await uploader.create({ ...headers, "content-type": "text/plain" }, SMALL);
		expect(await refusal(other)).toEqual([415, "content_type_unsupported"]);
		expect(await counted()).toBe(before);
	});
});
