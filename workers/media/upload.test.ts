import { evictDurableObject, runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { createHash } from "node:crypto";
import { describe, expect, test, vi } from "vitest";
import { LIMITS } from "../../protocol/limits.ts";
import { MEDIA_HEADERS, MEDIA_UPLOAD_MS, storageKeyOf } from "../../protocol/media.ts";
import { refusal } from "../../test/api-caller.ts";
import { later, noise, objectOf, started, TUS, Uploader, wrapBucket } from "../../test/media-uploader.ts";
import { PART_BYTES } from "./records.ts";

const uploader = await Uploader.create();

/** A whole part and a piece of the next. */
const LARGE = noise(PART_BYTES + 200_000);
const SMALL = noise(5000);

/** Whether the blob holds exactly these bytes; comparing numbers keeps a failure's message short. */
async function holds(blob: string, bytes: Uint8Array): Promise<boolean> {
	const response = await uploader.get(blob);
	return response.status === 200 && Buffer.from(await response.arrayBuffer()).equals(bytes);
}

/** A body that brings some bytes and then breaks, or stalls. */
function broken(bytes: Uint8Array, end: "break" | "stall"): ReadableStream {
	return new ReadableStream({
		type: "bytes",
		async pull(controller) {
			if (bytes.length > 0) {
				controller.enqueue(bytes.slice(0, 65536));
				bytes = bytes.subarray(65536);
			} else if (end === "break") controller.error(new Error("the train is in a tunnel"));
			else await new Promise(() => undefined);
		},
	});
}

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
		expect(await holds(blob, LARGE)).toBe(true);
	});

	test("UPLOAD-1 bytes may come with the creation", async () => {
		const headers = { "upload-length": "5000", "content-type": "application/offset+octet-stream" };
		const whole = await uploader.create(headers, SMALL);
		expect([whole.status, whole.headers.get("upload-offset")]).toEqual([201, "5000"]);
		expect(await holds(started(whole).blob, SMALL)).toBe(true);

		const part = await uploader.create(headers, SMALL.subarray(0, 10));
		expect([part.status, part.headers.get("upload-offset")]).toEqual([201, "10"]);
		const { location, blob } = started(part);
		expect((await uploader.patch(location, 10, SMALL.subarray(10))).status).toBe(204);
		expect(await holds(blob, SMALL)).toBe(true);
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
		expect(await holds(blob, LARGE)).toBe(true);
		const other = await uploader.patch(location, LARGE.length, "", { "upload-length": "9999999999" });
		expect(await refusal(other)).toEqual([413, "upload_too_large"]);
	});

	test("UPLOAD-1 a length that is declared when everything has come completes the blob", async () => {
		const { location, blob } = await uploader.start();
		expect((await uploader.patch(location, 0, SMALL)).status).toBe(204);
		expect((await uploader.patch(location, 5000, "", { "upload-length": "5000" })).status).toBe(204);
		expect(await holds(blob, SMALL)).toBe(true);
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
		expect(await holds(blob, SMALL)).toBe(true);
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
		expect(await holds(blob, LARGE)).toBe(true);
	});

	test("UPLOAD-6 a body that doesn't match leaves nothing, also when whole parts of it have gone to R2", async () => {
		const { location, blob } = await uploader.start(LARGE.length);
		await uploader.patch(location, 0, LARGE.subarray(0, 1000));
		const wrong = await uploader.patch(location, 1000, noise(LARGE.length - 1000, 2), checksum("sha1", LARGE));
		expect(await refusal(wrong)).toEqual([460, "checksum_mismatch"]);
		expect(await uploader.offset(location)).toBe(1000);
		await uploader.patch(location, 1000, LARGE.subarray(1000));
		expect(await holds(blob, LARGE)).toBe(true);
	});

	test("UPLOAD-6 a body that breaks off before it could be verified leaves nothing", async () => {
		const { location } = await uploader.start(LARGE.length);
		const body = broken(LARGE.subarray(0, PART_BYTES + 5), "break");
		await uploader.patch(location, 0, body, checksum("sha1", LARGE)).catch(() => undefined);
		expect(await uploader.offset(location)).toBe(0);
	});

	test("UPLOAD-6 a creation whose bytes don't match creates nothing", async () => {
		const headers = { "upload-length": "5000", "content-type": "application/offset+octet-stream" };
		const response = await uploader.create({ ...headers, ...checksum("sha1", LARGE) }, SMALL);
		expect([response.headers.get("location"), await refusal(response)]).toEqual([null, [460, "checksum_mismatch"]]);
	});
});

describe("bad days", () => {
	test("UPLOAD-2 what arrived before a connection broke is kept, to the byte", async () => {
		const { location, blob } = await uploader.start(LARGE.length);
		const arrived = PART_BYTES + 100_000;
		await uploader.patch(location, 0, broken(LARGE.subarray(0, arrived), "break")).catch(() => undefined);
		expect(await uploader.offset(location)).toBe(arrived);
		await uploader.patch(location, arrived, LARGE.subarray(arrived));
		expect(await holds(blob, LARGE)).toBe(true);
	});

	test("UPLOAD-2 an upload goes on after its object was evicted", async () => {
		const { location, blob } = await uploader.start(LARGE.length);
		const half = PART_BYTES + 3;
		await uploader.patch(location, 0, LARGE.subarray(0, half));
		await evictDurableObject(await objectOf(blob));
		expect(await uploader.offset(location)).toBe(half);
		await uploader.patch(location, half, LARGE.subarray(half));
		await evictDurableObject(await objectOf(blob));
		expect(await holds(blob, LARGE)).toBe(true);
		expect(await uploader.offset(location)).toBe(LARGE.length);
	});

	test("UPLOAD-4 a PATCH that is stuck is taken over where it stands, and what it brought is kept", async () => {
		const { location, blob } = await uploader.start(LARGE.length);
		const asked = await wrapBucket(blob, () => false);
		const stuck = uploader.patch(location, 0, broken(LARGE.subarray(0, PART_BYTES + 65536), "stall"));
		await vi.waitFor(() => expect(asked).toContain("part"));
		await vi.waitFor(async () => expect(await uploader.offset(location)).toBe(PART_BYTES + 65536));
		const elsewhere = await uploader.patch(location, PART_BYTES, LARGE.subarray(PART_BYTES));
		expect([elsewhere.headers.get("upload-offset"), await refusal(elsewhere)]).toEqual([
			String(PART_BYTES + 65536),
			[409, "offset_conflict"],
		]);
		const rest = LARGE.subarray(PART_BYTES + 65536);
		expect((await uploader.patch(location, PART_BYTES + 65536, rest)).status).toBe(204);
		expect(await refusal(await stuck)).toEqual([409, "upload_superseded"]);
		expect(await holds(blob, LARGE)).toBe(true);
	});

	test("UPLOAD-4 two uploads that race on one id never mix their bytes", async () => {
		const racer = await Uploader.create();
		const { location, blob } = await racer.start(LARGE.length);
		const answers: number[] = [];
		/** Sends from where the upload is, until somebody has finished it. */
		const race = async () => {
			for (;;) {
				const offset = Number(await racer.offset(location));
				if (offset === LARGE.length) return;
				const response = await racer.patch(location, offset, LARGE.subarray(offset, offset + 2_000_000));
				answers.push(response.status);
			}
		};
		await Promise.all([race(), race()]);
		expect(new Set(answers)).toEqual(new Set([204, 409]));
		expect(await holds(blob, LARGE)).toBe(true);
	});

	test("UPLOAD-8 a short failure of R2 is not noticed", async () => {
		const { location, blob } = await uploader.start(LARGE.length);
		const asked = await wrapBucket(blob, (_operation, count) => count === 1);
		expect((await uploader.patch(location, 0, LARGE)).status).toBe(204);
		expect(asked.sort()).toEqual(["begin", "begin", "complete", "complete", "part", "part", "part"]);
		expect(await holds(blob, LARGE)).toBe(true);
	});

	test("UPLOAD-8 UPLOAD-2 when R2 fails in the middle, what arrived is kept and goes on", async () => {
		const { location, blob } = await uploader.start(LARGE.length);
		let down = true;
		await wrapBucket(blob, (operation) => down && operation === "part");
		const arrived = PART_BYTES + 100_000;
		const response = await uploader.patch(location, 0, LARGE.subarray(0, arrived));
		expect(await refusal(response)).toEqual([503, "storage_unavailable"]);
		expect(await uploader.offset(location)).toBe(arrived);
		await evictDurableObject(await objectOf(blob));
		down = false;
		expect((await uploader.patch(location, arrived, LARGE.subarray(arrived))).status).toBe(204);
		expect(await holds(blob, LARGE)).toBe(true);
	});

	test.each(["complete", "put"] as const)(
		"UPLOAD-8 the length is told as offset only once the blob can be read: R2 fails at %s",
		async (operation) => {
			const bytes = operation === "put" ? SMALL : LARGE;
			const { location, blob } = await uploader.start(bytes.length);
			let down = true;
			await wrapBucket(blob, (each) => down && each === operation);
			expect(await refusal(await uploader.patch(location, 0, bytes))).toEqual([503, "storage_unavailable"]);
			expect(await uploader.offset(location)).toBe("status 503");
			expect((await uploader.get(blob)).status).toBe(404);
			down = false;
			expect(await uploader.offset(location)).toBe(bytes.length);
			expect(await holds(blob, bytes)).toBe(true);
		},
	);

	test("UPLOAD-8 a blob that R2 had completed before the object could note it is found", async () => {
		const { location, blob } = await uploader.start(LARGE.length);
		let down = true;
		await wrapBucket(blob, (operation) => down && operation === "complete");
		await uploader.patch(location, 0, LARGE);
		await runInDurableObject(await objectOf(blob), async (object, state) => {
			const { multipart } = state.storage.sql.exec<{ multipart: string }>("SELECT multipart FROM blob").one();
			const upload = env.BLOBS.resumeMultipartUpload(await storageKeyOf(blob), multipart);
			const parts = state.storage.sql.exec<{ number: number; etag: string }>("SELECT * FROM parts").toArray();
			const last = await upload.uploadPart(parts.length + 1, LARGE.subarray(parts.length * PART_BYTES));
			await upload.complete([...parts.map(({ number, etag }) => ({ partNumber: number, etag })), last]);
			object.bucket = env.BLOBS;
		});
		down = false;
		expect(await uploader.offset(location)).toBe(LARGE.length);
		expect(await holds(blob, LARGE)).toBe(true);
	});
});

describe("the end of unfinished uploads", () => {
	test("UPLOAD-7 an upload that isn't complete in time is swept, its parts too", async () => {
		const { location, blob } = await uploader.start(LARGE.length);
		await uploader.patch(location, 0, LARGE.subarray(0, PART_BYTES));
		const asked = await wrapBucket(blob, () => false);
		await later(blob, MEDIA_UPLOAD_MS);
		expect(await uploader.offset(location)).toBe("status 404");
		expect(await runDurableObjectAlarm(await objectOf(blob))).toBe(true);
		expect(asked).toEqual(["abort", "delete"]);
		await runInDurableObject(await objectOf(blob), async (_object, state) => {
			expect(state.storage.sql.exec("SELECT name FROM sqlite_master WHERE name = 'blob'").toArray()).toEqual([]);
			expect(await state.storage.getAlarm()).toBe(null);
		});
	});

	test("UPLOAD-7 an upload in time is not swept", async () => {
		const { location, blob } = await uploader.start(10);
		await later(blob, MEDIA_UPLOAD_MS - 60_000);
		await runDurableObjectAlarm(await objectOf(blob));
		expect(await uploader.offset(location)).toBe(0);
	});

	test("UPLOAD-7 DELETE removes an upload at once, also one that is running", async () => {
		const { location, blob } = await uploader.start(LARGE.length);
		const asked = await wrapBucket(blob, () => false);
		const stuck = uploader.patch(location, 0, broken(LARGE.subarray(0, PART_BYTES + 5), "stall"));
		await vi.waitFor(() => expect(asked).toContain("part"));
		const removed = await uploader.ask(location, { method: "DELETE", headers: TUS });
		expect(removed.status).toBe(204);
		expect((await stuck).status).toBeGreaterThanOrEqual(400);
		expect(await uploader.offset(location)).toBe("status 404");
		expect((await uploader.get(blob)).status).toBe(404);
	});

	test("UPLOAD-7 what R2 could not remove is tried again by the alarm", async () => {
		const { location, blob } = await uploader.start(LARGE.length);
		await uploader.patch(location, 0, LARGE.subarray(0, PART_BYTES));
		let down = true;
		const asked = await wrapBucket(blob, () => down);
		const response = await uploader.ask(location, { method: "DELETE", headers: TUS });
		expect(await refusal(response)).toEqual([503, "storage_unavailable"]);
		expect(await uploader.offset(location)).toBe("status 404");
		down = false;
		await runDurableObjectAlarm(await objectOf(blob));
		expect(asked.slice(-2)).toEqual(["abort", "delete"]);
	});
});
