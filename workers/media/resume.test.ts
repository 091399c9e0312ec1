/** Uploads on bad days: connections that break, crashes, races, an R2 that fails, and uploads that nobody finishes. */
import { abortAllDurableObjects, evictDurableObject, runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { describe, expect, test, vi } from "vitest";
import { LIMITS } from "../../protocol/limits.ts";
import { MEDIA_UPLOAD_MS, storageKeyOf } from "../../protocol/media.ts";
import { refusal } from "../../test/api-caller.ts";
import { broken, LARGE, later, noise, objectOf, SMALL, TUS, Uploader, wrapBucket } from "../../test/media-uploader.ts";
import { PART_BYTES } from "./records.ts";

const uploader = await Uploader.create();

describe("bad days", () => {
	test("UPLOAD-2 what arrived before a connection broke is kept, to the byte", async () => {
		const { location, blob } = await uploader.start(LARGE.length);
		const arrived = PART_BYTES + 100_000;
		await uploader.patch(location, 0, broken(LARGE.subarray(0, arrived), "break")).catch(() => undefined);
		expect(await uploader.offset(location)).toBe(arrived);
		await uploader.patch(location, arrived, LARGE.subarray(arrived));
		expect(await uploader.holds(blob, LARGE)).toBe(true);
	});

	test("UPLOAD-2 an upload goes on after its object was evicted", async () => {
		const { location, blob } = await uploader.start(LARGE.length);
		const half = PART_BYTES + 3;
		await uploader.patch(location, 0, LARGE.subarray(0, half));
		await evictDurableObject(await objectOf(blob));
		expect(await uploader.offset(location)).toBe(half);
		await uploader.patch(location, half, LARGE.subarray(half));
		await evictDurableObject(await objectOf(blob));
		expect(await uploader.holds(blob, LARGE)).toBe(true);
		expect(await uploader.offset(location)).toBe(LARGE.length);
	});

	test("UPLOAD-2 an upload that comes byte by byte leaves few rows, and becomes the blob", async () => {
		const bytes = noise(150);
		const { location, blob } = await uploader.start(bytes.length);
		let most = 0;
		for (let at = 0; at < bytes.length; at++) {
			await uploader.patch(location, at, bytes.slice(at, at + 1));
			const rows = await runInDurableObject(await objectOf(blob), (_object, state) =>
				at === bytes.length - 1 ? 0 : state.storage.sql.exec("SELECT 1 FROM tail").toArray().length,
			);
			most = Math.max(most, rows);
		}
		expect(most).toBeGreaterThan(1);
		expect(most).toBeLessThan(70);
		expect(await uploader.holds(blob, bytes)).toBe(true);
	});

	test("UPLOAD-2 a slow part is written down every few seconds, so that a crash costs no more", async () => {
		const { location, blob } = await uploader.start(SMALL.length);
		const clock = { ahead_ms: 0 };
		await runInDurableObject(await objectOf(blob), (object) => {
			object.now = () => Date.now() + clock.ahead_ms;
		});
		const goOn = Promise.withResolvers<void>();
		const body = new ReadableStream({
			type: "bytes",
			async start(controller) {
				controller.enqueue(SMALL.slice(0, 1000));
				await goOn.promise;
				controller.enqueue(SMALL.slice(1000, 1500));
			},
		});
		const lost = uploader.patch(location, 0, body).catch(() => undefined);
		await vi.waitFor(async () => expect(await uploader.offset(location)).toBe(1000));
		clock.ahead_ms = 6_000;
		goOn.resolve();
		await vi.waitFor(async () => expect(await uploader.offset(location)).toBe(1500));
		await abortAllDurableObjects();
		await lost;
		expect(await uploader.offset(location)).toBe(1500);
		await uploader.patch(location, 1500, SMALL.subarray(1500));
		expect(await uploader.holds(blob, SMALL)).toBe(true);
	});

	test("UPLOAD-4 a running PATCH goes on beside wrong ones, and is taken over where it stands", async () => {
		const { location, blob } = await uploader.start(LARGE.length);
		const [first, second] = [PART_BYTES + 65_536, PART_BYTES + 66_000];
		const goOn = Promise.withResolvers<void>();
		const body = new ReadableStream({
			type: "bytes",
			async start(controller) {
				controller.enqueue(LARGE.slice(0, first));
				await goOn.promise;
				controller.enqueue(LARGE.slice(first, second));
			},
		});
		const stuck = uploader.patch(location, 0, body);
		await vi.waitFor(async () => expect(await uploader.offset(location)).toBe(first), 10_000);
		const elsewhere = await uploader.patch(location, PART_BYTES, LARGE.subarray(PART_BYTES));
		expect([elsewhere.headers.get("upload-offset"), await refusal(elsewhere)]).toEqual([
			String(first),
			[409, "offset_conflict"],
		]);
		goOn.resolve();
		await vi.waitFor(async () => expect(await uploader.offset(location)).toBe(second), 10_000);
		expect((await uploader.patch(location, second, LARGE.subarray(second))).status).toBe(204);
		expect(await refusal(await stuck)).toEqual([409, "upload_superseded"]);
		expect(await uploader.holds(blob, LARGE)).toBe(true);
	});

	test("UPLOAD-9 an account has few bodies arriving at once; when one ends, another may", async () => {
		const greedy = await Uploader.create();
		const stalled = await Promise.all(
			Array.from({ length: LIMITS.media_patches }, async () => {
				const { location } = await greedy.start(SMALL.length);
				const answer = greedy.patch(location, 0, broken(SMALL.slice(0, 1000), "stall"));
				await vi.waitFor(async () => expect(await greedy.offset(location)).toBe(1000), 10_000);
				return { location, answer };
			}),
		);
		const { location, blob } = await greedy.start(SMALL.length);
		expect(await refusal(await greedy.patch(location, 0, SMALL))).toEqual([429, "too_many_uploads"]);
		expect(await greedy.offset(location)).toBe(0);
		const [one, ...others] = stalled;
		// Who takes one over needs no other place (UPLOAD-4); neither do other accounts.
		const taken = await greedy.patch(one?.location ?? "", 1000, SMALL.subarray(1000));
		expect(taken.status).toBe(204);
		expect(await refusal((await one?.answer) ?? new Response())).toEqual([409, "upload_superseded"]);
		await vi.waitFor(async () => expect((await greedy.patch(location, 0, SMALL)).status).toBe(204), 10_000);
		expect(await uploader.holds(blob, SMALL)).toBe(true);
		for (const { location: other, answer } of others) {
			await greedy.ask(other, { method: "DELETE", headers: TUS });
			await answer;
		}
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
		expect(await uploader.holds(blob, LARGE)).toBe(true);
	});

	test("UPLOAD-8 a short failure of R2 is not noticed", async () => {
		const { location, blob } = await uploader.start(LARGE.length);
		const asked = await wrapBucket(blob, (_operation, count) => count === 1);
		expect((await uploader.patch(location, 0, LARGE)).status).toBe(204);
		expect(asked.sort()).toEqual(["begin", "begin", "complete", "complete", "part", "part", "part"]);
		expect(await uploader.holds(blob, LARGE)).toBe(true);
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
		expect(await uploader.holds(blob, LARGE)).toBe(true);
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
			expect(await uploader.holds(blob, bytes)).toBe(true);
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
		expect(await uploader.holds(blob, LARGE)).toBe(true);
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
