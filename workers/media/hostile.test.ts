/** Bodies, lengths and holds that don't fit, and an R2 that fails at a bad moment. */
import { runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { describe, expect, test } from "vitest";
import { LIMITS } from "../../protocol/limits.ts";
import { MEDIA_HEADERS, MEDIA_PATHS, storageKeyOf, TUS_CONTENT_TYPE } from "../../protocol/media.ts";
import { refusal } from "../../test/api-caller.ts";
import { broken, newDeleteKey, noise, objectOf, SMALL, TUS, Uploader, wrapBucket } from "../../test/media-uploader.ts";
import { Intake } from "./intake.ts";
import { PART_BYTES, Records } from "./records.ts";

const DAY_MS = 86_400_000;
const uploader = await Uploader.create();
const other = await Uploader.create();

function hold(holder: Uploader, blob: string, hash: string): Promise<Response> {
	const headers = { [MEDIA_HEADERS.grant]: holder.grant, [MEDIA_HEADERS.deleteHash]: hash };
	return holder.ask(MEDIA_PATHS.hold(blob), { method: "PUT", headers });
}

const remove = (blob: string, deleteKey: string) =>
	other.ask(MEDIA_PATHS.blob(blob), { method: "DELETE", headers: { [MEDIA_HEADERS.deleteKey]: deleteKey } });

const stored = async (blob: string) => (await env.BLOBS.head(await storageKeyOf(blob))) !== null;

async function quotaOf(account: Uploader) {
	return env.MEDIA_QUOTA.getByName(await account.subject());
}

describe("bodies", () => {
	test("UPLOAD-2 a body that broke off is never answered as a whole one", async () => {
		const { location, blob } = await uploader.start();
		const stub = await objectOf(blob);
		const status = await runInDurableObject(stub, async (object) => {
			const headers = { ...TUS, "content-type": TUS_CONTENT_TYPE, "upload-offset": "0" };
			const body = broken(SMALL, "break");
			const response = await object.fetch(new Request("https://blob/", { method: "PATCH", headers, body }));
			return [...(await refusal(response)), response.headers.get("upload-offset")];
		});
		expect(status).toEqual([400, "malformed", String(SMALL.length)]);
		expect(await uploader.offset(location)).toBe(SMALL.length);
	});

	test.each(["arrives", "fails"] as const)(
		"UPLOAD-2 what is on its way to R2 is written down only where it %s",
		async (outcome) => {
			const { blob } = await uploader.start(3 * PART_BYTES);
			const bytes = noise(PART_BYTES + 3000);
			await runInDurableObject(await objectOf(blob), async (_object, { storage }) => {
				const records = new Records(storage);
				const sent = Promise.withResolvers<R2UploadedPart>();
				let now_ms = 0;
				const context = { records, end: 3 * PART_BYTES, whole: false, sendPart: () => sent.promise, now: () => now_ms };
				const intake = await Intake.resume(context);
				await intake.add(bytes.subarray(0, PART_BYTES + 1000));
				now_ms += 60_000;
				await intake.add(bytes.subarray(PART_BYTES + 1000, PART_BYTES + 2000));
				// A whole part in rows, every few seconds, would cost more than a crash.
				expect([records.tailRows(), records.offset()]).toEqual([0, 0]);
				if (outcome === "arrives") {
					sent.resolve({ partNumber: 1, etag: "first" });
					await intake.settle();
					await intake.add(bytes.subarray(PART_BYTES + 2000));
				} else {
					sent.reject(new Error("injected"));
					await intake.keep();
				}
				const end = outcome === "arrives" ? bytes.length : PART_BYTES + 2000;
				const from = outcome === "arrives" ? PART_BYTES : 0;
				expect([records.partsEnd(), records.offset()]).toEqual([from, end]);
				expect(Buffer.concat([...records.tail()]).equals(bytes.subarray(from, end))).toBe(true);
			});
		},
	);

	test("UPLOAD-2 one upload after the other is taken with the memory of one: two parts", async () => {
		const part = noise(PART_BYTES);
		const used = new Set<ArrayBufferLike>();
		for (let upload = 0; upload < 3; upload++) {
			const { blob } = await uploader.start(3 * PART_BYTES + 1000);
			await runInDurableObject(await objectOf(blob), async (_object, { storage }) => {
				const intake = await Intake.resume({
					records: new Records(storage),
					end: 3 * PART_BYTES + 1000,
					whole: false,
					async sendPart(number, bytes) {
						used.add(bytes.buffer);
						return { partNumber: number, etag: String(number) };
					},
					now: () => 0,
				});
				for (let number = 1; number <= 3; number++) await intake.add(part);
				await intake.add(part.subarray(0, 1000));
				await intake.settle();
				intake.release();
			});
		}
		expect(used.size).toBe(2);
	});

	test("UPLOAD-5 a body that says that it is too long is refused before any of it is taken", async () => {
		const { location } = await uploader.start(300_000);
		const response = await uploader.patch(location, 0, noise(1_000_000));
		expect(await refusal(response)).toEqual([413, "body_too_large"]);
		expect(await uploader.offset(location)).toBe(0);
	});

	test("UPLOAD-5 more bytes for a complete upload are refused, and nothing for it is taken as that", async () => {
		const { location, blob } = await uploader.upload(SMALL);
		expect(await refusal(await uploader.patch(location, SMALL.length, "more"))).toEqual([413, "body_too_large"]);
		expect((await uploader.patch(location, SMALL.length, "")).status).toBe(204);
		expect(await uploader.holds(blob, SMALL)).toBe(true);
	});

	test("UPLOAD-1 a length that was declared is not declared anew, unless it is the same", async () => {
		const { location, blob } = await uploader.start();
		const declare = (length: number) => uploader.patch(location, 0, "", { "upload-length": String(length) });
		expect((await declare(SMALL.length)).status).toBe(204);
		for (const length of [SMALL.length + 1, SMALL.length - 1]) {
			expect(await refusal(await declare(length))).toEqual([400, "malformed"]);
		}
		expect((await declare(SMALL.length)).status).toBe(204);
		expect((await uploader.head(location)).headers.get("upload-length")).toBe(String(SMALL.length));
		expect((await uploader.patch(location, 0, SMALL)).status).toBe(204);
		expect(await uploader.holds(blob, SMALL)).toBe(true);
	});
});

test("QUOTA-1 what is given up on another day than it was declared on gives that day nothing back", async () => {
	const quota = await quotaOf(await Uploader.create());
	const until = Date.now() + 9 * DAY_MS;
	const today = () =>
		runInDurableObject(quota, (_, { storage }) => storage.sql.exec("SELECT bytes FROM usage").one().bytes);
	expect(await quota.reserve("yesterday's", 1000, until)).toBe("ok");
	await runInDurableObject(quota, (object) => {
		object.now = () => Date.now() + DAY_MS;
	});
	expect(await quota.reserve("today's", 600, until)).toBe("ok");
	await quota.release("yesterday's", 0);
	expect(await today()).toBe(600);
	await quota.release("today's", 100);
	expect(await today()).toBe(100);
	// Nor does it twice.
	await quota.release("today's", 0);
	expect(await today()).toBe(100);
});

describe("holds", () => {
	test("UPLOAD-7 BLOB-3 tus's DELETE of a complete upload leaves the blob to whoever else holds it", async () => {
		const { location, blob, deleteKey } = await uploader.upload(SMALL);
		const { key, hash } = await newDeleteKey();
		await hold(other, blob, hash);
		expect((await uploader.ask(location, { method: "DELETE", headers: TUS })).status).toBe(204);
		expect(await other.get(blob).then(({ status }) => status)).toBe(200);
		expect((await remove(blob, deleteKey)).status).toBe(404);
		expect((await uploader.ask(location, { method: "DELETE", headers: TUS })).status).toBe(404);
		expect(await stored(blob)).toBe(true);
		await remove(blob, key);
		expect(await stored(blob)).toBe(false);
	});

	test.each([SMALL.length, undefined])(
		"BLOB-3 an upload that is not complete can't be held, nor its hold be ended: %s bytes",
		async (length) => {
			const { location, blob, deleteKey } = await uploader.start(length);
			await uploader.patch(location, 0, SMALL.subarray(0, 1000));
			const { hash } = await newDeleteKey();
			expect(await refusal(await hold(other, blob, hash))).toEqual([404, "not_found"]);
			expect(await refusal(await remove(blob, deleteKey))).toEqual([404, "not_found"]);
			const rest = { "upload-length": String(SMALL.length) };
			expect((await uploader.patch(location, 1000, SMALL.subarray(1000), rest)).status).toBe(204);
			expect(await uploader.holds(blob, SMALL)).toBe(true);
			expect((await remove(blob, deleteKey)).status).toBe(204);
		},
	);

	test("BLOB-3 two accounts' holds under one hash are two: the end of one is not the other's", async () => {
		const { blob, deleteKey } = await uploader.upload(SMALL);
		const { key, hash } = await newDeleteKey();
		const leaving = await Uploader.create();
		expect((await hold(uploader, blob, hash)).status).toBe(200);
		expect((await hold(leaving, blob, hash)).status).toBe(200);
		await remove(blob, deleteKey);
		expect(await (await quotaOf(leaving)).erase()).toBe("done");
		expect(await stored(blob)).toBe(true);
		await remove(blob, key);
		expect(await stored(blob)).toBe(false);
	});

	test("BLOB-3 QUOTA-1 a hold for which there is no room takes nobody else's with it", async () => {
		const { blob, deleteKey } = await uploader.upload(SMALL);
		const { key, hash } = await newDeleteKey();
		const full = await Uploader.create();
		const quota = await quotaOf(full);
		for (let sum = LIMITS.media_bytes; sum <= LIMITS.media_kept_bytes; sum += LIMITS.media_bytes) {
			await quota.hold(`blob ${sum}`, LIMITS.media_bytes, Date.now() + DAY_MS);
		}
		expect((await hold(uploader, blob, hash)).status).toBe(200);
		expect(await refusal(await hold(full, blob, hash))).toEqual([413, "quota_kept_exceeded"]);
		const holders = await runInDurableObject(await objectOf(blob), (_object, { storage }) =>
			storage.sql.exec("SELECT DISTINCT subject FROM holds").toArray(),
		);
		expect(holders).toEqual([{ subject: await uploader.subject() }]);
		await remove(blob, deleteKey);
		expect(await stored(blob)).toBe(true);
		await remove(blob, key);
		expect(await stored(blob)).toBe(false);
	});

	test.each(["a blob", "an upload"])(
		"BLOB-5 a deletion for which R2 fails is not done, and is finished: %s",
		async (what) => {
			const leaving = await Uploader.create();
			const { blob, location } =
				what === "a blob" ? await leaving.upload(SMALL) : await leaving.start(PART_BYTES + SMALL.length);
			if (what === "an upload") await leaving.patch(location, 0, noise(PART_BYTES + 1));
			const stub = await objectOf(blob);
			let down = true;
			const asked = await wrapBucket(blob, () => down);
			// Inside, where nobody else hears of its failure.
			const failure = await runInDurableObject(await quotaOf(leaving), (quota) =>
				quota.erase().catch((error) => error),
			);
			expect(failure).toMatchObject({ code: "storage_unavailable" });
			expect(await leaving.offset(location)).toBe("status 404");
			down = false;
			expect(await env.MEDIA.eraseSubject(await leaving.subject())).toBe("done");
			await runDurableObjectAlarm(stub);
			expect(asked.at(-1)).toBe("delete");
			expect(await stored(blob)).toBe(false);
			await runInDurableObject(stub, (_object, { storage }) => {
				expect(storage.sql.exec("SELECT name FROM sqlite_master WHERE name = 'blob'").toArray()).toEqual([]);
			});
		},
	);
});
