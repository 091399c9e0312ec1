import { runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { describe, expect, test } from "vitest";
import { MediaHold } from "../../protocol/http.ts";
import { LIMITS } from "../../protocol/limits.ts";
import { blobIdOf, deleteHash, MEDIA_HEADERS, MEDIA_HOLD_MS, MEDIA_PATHS, storageKeyOf } from "../../protocol/media.ts";
import { refusal } from "../../test/api-caller.ts";
import { later, newDeleteKey, noise, objectOf, TUS, Uploader, wrapBucket } from "../../test/media-uploader.ts";
import { download } from "./download.ts";
import { PART_BYTES } from "./records.ts";

const uploader = await Uploader.create();
const other = await Uploader.create();
const BYTES = noise(10_000);
const NOBODYS = "x".repeat(43);

const remove = (blob: string, deleteKey: string) =>
	other.ask(MEDIA_PATHS.blob(blob), { method: "DELETE", headers: { [MEDIA_HEADERS.deleteKey]: deleteKey } });

function hold(holder: Uploader, blob: string, hash: string): Promise<Response> {
	const headers = { [MEDIA_HEADERS.grant]: holder.grant, [MEDIA_HEADERS.deleteHash]: hash };
	return holder.ask(MEDIA_PATHS.hold(blob), { method: "PUT", headers });
}

/** Whether R2 has anything for a blob. */
async function stored(blob: string): Promise<boolean> {
	return (await env.BLOBS.head(await storageKeyOf(blob))) !== null;
}

async function bytesOf(response: Response): Promise<Buffer> {
	return Buffer.from(await response.arrayBuffer());
}

describe("who may read and write", () => {
	test("BLOB-1 any account that knows the id reads a blob, and finds no upload with it", async () => {
		const { location, blob } = await uploader.upload(BYTES);
		expect(blob).toBe(await blobIdOf(location.split("/").at(-1) ?? ""));
		expect((await bytesOf(await other.get(blob))).equals(BYTES)).toBe(true);
		expect(await other.offset(`${MEDIA_PATHS.uploads}/${blob}`)).toBe("status 404");
		expect((await other.patch(`${MEDIA_PATHS.uploads}/${blob}`, 0, BYTES)).status).toBe(404);
		expect((await other.ask(`${MEDIA_PATHS.uploads}/${blob}`, { method: "DELETE", headers: TUS })).status).toBe(404);
	});

	test("BLOB-1 without a good token there is nothing to see", async () => {
		const { location, blob } = await uploader.upload(BYTES);
		for (const token of ["", "forged.token.here"]) {
			expect((await refusal(await uploader.ask(MEDIA_PATHS.blob(blob), { token })))[0]).toBe(401);
			expect((await uploader.ask(location, { method: "HEAD", token, headers: TUS })).status).toBe(401);
		}
	});

	test("BLOB-1 what doesn't exist, isn't complete, was deleted, and wrong keys have one answer", async () => {
		const open = await uploader.start(10);
		const deleted = await uploader.upload(BYTES);
		await remove(deleted.blob, deleted.deleteKey);
		const kept = await uploader.upload(BYTES);
		const { key, hash } = await newDeleteKey();
		const answers = await Promise.all([
			...[NOBODYS, open.blob, deleted.blob].flatMap((blob) => [
				uploader.get(blob),
				uploader.get(blob, { range: "bytes=5-" }),
				uploader.get(blob, { "if-none-match": "*" }),
				hold(uploader, blob, hash),
				remove(blob, key),
			]),
			remove(kept.blob, key),
			uploader.patch(`${MEDIA_PATHS.uploads}/${NOBODYS}`, 0, "x"),
		]);
		const texts = new Set<string>();
		for (const answer of answers) texts.add(`${answer.status} ${await answer.text()}`);
		expect([...texts]).toEqual(['404 {"code":"not_found","message":"there is no such upload or blob"}']);
		expect((await uploader.get(kept.blob)).status).toBe(200);
	});

	test.each([
		"../health",
		"..%2f..%2fhealth",
		`${NOBODYS}x`,
		NOBODYS.slice(1),
		`${NOBODYS.slice(1)}.`,
		`${NOBODYS}/`,
		`${NOBODYS}/hold/x`,
		"%00",
		"*",
	])("BLOB-1 tricks with paths find nothing: %s", async (path) => {
		for (const folder of ["blobs", "uploads"]) {
			for (const method of ["GET", "PUT", "PATCH", "POST"]) {
				const response = await uploader.ask(`/v1/media/${folder}/${path}`, { method, headers: TUS });
				expect([404, 400, 415], `${method} ${folder}`).toContain(response.status);
			}
		}
	});

	test("BLOB-1 guessing ids leaves nothing behind in the objects that it wakes", async () => {
		const { key, hash } = await newDeleteKey();
		await Promise.all([
			uploader.head(`${MEDIA_PATHS.uploads}/${key}`),
			uploader.patch(`${MEDIA_PATHS.uploads}/${key}`, 0, "x"),
			uploader.ask(`${MEDIA_PATHS.uploads}/${key}`, { method: "DELETE", headers: TUS }),
			hold(uploader, key, hash),
			remove(key, key),
		]);
		for (const blob of [key, await blobIdOf(key)]) {
			await runInDurableObject(await objectOf(blob), async (_object, state) => {
				expect(state.storage.sql.exec("SELECT name FROM sqlite_master").toArray()).toEqual([]);
				expect(await state.storage.getAlarm()).toBe(null);
			});
		}
	});
});

describe("downloads", () => {
	const size = BYTES.length;
	test.each([
		["bytes=0-9", 0, 10],
		["bytes=9990-", 9990, 10],
		["bytes=9990-99999", 9990, 10],
		["bytes=-7", 9993, 7],
		["bytes=-99999", 0, size],
		["bytes=0-", 0, size],
	])("BLOB-2 the range %s", async (range, offset, length) => {
		const { blob } = await uploader.upload(BYTES);
		const response = await uploader.get(blob, { range });
		const end = offset + length;
		expect([response.status, response.headers.get("content-range"), response.headers.get("content-length")]).toEqual([
			206,
			`bytes ${offset}-${end - 1}/${size}`,
			String(length),
		]);
		expect((await bytesOf(response)).equals(BYTES.subarray(offset, end))).toBe(true);
	});

	test.each(["bytes=10000-", "bytes=10000-10001", "bytes=-0"])(
		"BLOB-2 the range %s is beyond the end",
		async (range) => {
			const { blob } = await uploader.upload(BYTES);
			const response = await uploader.get(blob, { range });
			expect(response.headers.get("content-range")).toBe("bytes */10000");
			expect(await refusal(response)).toEqual([416, "range_not_satisfiable"]);
		},
	);

	test.each(["bytes=0-1,5-6", "lines=1-2", "bytes=5-1", "bytes=-", "bytes=a-b"])(
		"BLOB-2 a range that can't be served is no range: %s",
		async (range) => {
			const { blob } = await uploader.upload(BYTES);
			const response = await uploader.get(blob, { range });
			expect([response.status, (await bytesOf(response)).length]).toEqual([200, size]);
		},
	);

	test("BLOB-2 a range across parts of a large blob", async () => {
		const large = noise(PART_BYTES + 50_000, 7);
		const { blob } = await uploader.upload(large);
		const response = await uploader.get(blob, { range: `bytes=${PART_BYTES - 1000}-${PART_BYTES + 999}` });
		expect((await bytesOf(response)).equals(large.subarray(PART_BYTES - 1000, PART_BYTES + 1000))).toBe(true);
	});

	test.each(["GET", "HEAD"] as const)("UPLOAD-8 a %s that R2 fails is answered as that", async (method) => {
		const { blob } = await uploader.upload(BYTES);
		const fails = () => Promise.reject(new Error("injected"));
		const key = await storageKeyOf(blob);
		await expect(download({ get: fails, head: fails }, key, method, new Headers())).rejects.toMatchObject({
			code: "storage_unavailable",
		});
		// The range is good, so it was R2 that failed.
		const bucket = { get: fails, head: (name: string) => env.BLOBS.head(name) };
		await expect(download(bucket, key, "GET", new Headers({ range: "bytes=0-1" }))).rejects.toMatchObject({
			code: "storage_unavailable",
		});
	});

	test("BLOB-2 caches may keep it, privately, and ask by its tag", async () => {
		const { blob } = await uploader.upload(BYTES);
		const first = await uploader.get(blob);
		await first.arrayBuffer();
		const tag = first.headers.get("etag") ?? "";
		const names = ["accept-ranges", "cache-control", "content-type", "content-length", "x-content-type-options"];
		expect(names.map((name) => first.headers.get(name))).toEqual([
			"bytes",
			"private, max-age=5184000, immutable",
			"application/octet-stream",
			"10000",
			"nosniff",
		]);
		const status = async (headers: Record<string, string>, method = "GET") => {
			const response = await uploader.get(blob, headers, method);
			return [response.status, (await response.arrayBuffer()).byteLength];
		};
		expect(await status({ "if-none-match": tag })).toEqual([304, 0]);
		expect(await status({ "if-none-match": `"other", W/${tag}` })).toEqual([304, 0]);
		expect(await status({ "if-none-match": '"other"' })).toEqual([200, size]);
		expect(await status({ "if-match": tag })).toEqual([200, size]);
		expect((await status({ "if-match": '"other"' }))[0]).toBe(412);
		expect(await status({ "if-range": tag, range: "bytes=0-4" })).toEqual([206, 5]);
		expect(await status({ "if-range": '"other"', range: "bytes=0-4" })).toEqual([200, size]);
		expect(await status({}, "HEAD")).toEqual([200, 0]);
		expect((await uploader.get(blob, {}, "HEAD")).headers.get("content-length")).toBe("10000");
	});
});

describe("holds", () => {
	test("BLOB-4 who has the delete key removes the blob at once, from wherever", async () => {
		const { blob, deleteKey, location } = await uploader.upload(BYTES);
		expect((await remove(blob, deleteKey)).status).toBe(204);
		expect(await stored(blob)).toBe(false);
		expect(await uploader.offset(location)).toBe("status 404");
		expect((await remove(blob, deleteKey)).status).toBe(404);
	});

	test("BLOB-4 tus's DELETE of a complete upload ends the uploader's hold", async () => {
		const { blob, location } = await uploader.upload(BYTES);
		expect((await uploader.ask(location, { method: "DELETE", headers: TUS })).status).toBe(204);
		expect(await stored(blob)).toBe(false);
	});

	test("BLOB-3 a forwarded file outlives the first message, until its last hold ends", async () => {
		const { blob, deleteKey } = await uploader.upload(BYTES);
		const { key, hash } = await newDeleteKey();
		expect((await hold(other, blob, hash)).status).toBe(200);
		expect((await remove(blob, deleteKey)).status).toBe(204);
		expect((await other.get(blob)).status).toBe(200);
		expect((await remove(blob, key)).status).toBe(204);
		expect(await stored(blob)).toBe(false);
	});

	test("BLOB-3 a blob is held for 60 days, and longer when it is sent again", async () => {
		const { blob } = await uploader.upload(BYTES);
		const { hash } = await newDeleteKey();
		const half = MEDIA_HOLD_MS / 2;
		await later(blob, half);
		const { expiresAtMs } = MediaHold.parse(await (await hold(uploader, blob, hash)).json());
		expect(expiresAtMs).toBeGreaterThan(Date.now() + half + MEDIA_HOLD_MS - 60_000);
		await later(blob, MEDIA_HOLD_MS);
		await runDurableObjectAlarm(await objectOf(blob));
		expect(await stored(blob)).toBe(true);
		await later(blob, half + MEDIA_HOLD_MS);
		await runDurableObjectAlarm(await objectOf(blob));
		expect(await stored(blob)).toBe(false);
		await runInDurableObject(await objectOf(blob), async (_object, state) => {
			expect(await state.storage.getAlarm()).toBe(null);
		});
	});

	test("BLOB-3 the same hold twice is one hold", async () => {
		const { blob, deleteKey } = await uploader.upload(BYTES);
		const { key, hash } = await newDeleteKey();
		await hold(uploader, blob, hash);
		await hold(uploader, blob, hash);
		await remove(blob, deleteKey);
		await remove(blob, key);
		expect(await stored(blob)).toBe(false);
	});

	test("BLOB-3 a hold that begins while the last one ends keeps the blob", async () => {
		const { blob, deleteKey } = await uploader.upload(BYTES);
		const { key, hash } = await newDeleteKey();
		const stub = await objectOf(blob);
		const subject = await other.subject();
		await runInDurableObject(stub, async (object) => {
			// Both in one turn: the hold has asked its quota, and the answer is not here yet.
			const holding = object.hold(hash, subject);
			const ending = object.endHold(await deleteHash(deleteKey));
			expect(await Promise.all([holding, ending])).toEqual([expect.any(Number), "ok"]);
		});
		expect(await stored(blob)).toBe(true);
		expect((await remove(blob, key)).status).toBe(204);
		expect(await stored(blob)).toBe(false);
	});

	test("BLOB-3 QUOTA-1 who holds a blob anew while the older hold ends is still counted", async () => {
		const { blob, deleteKey } = await uploader.upload(BYTES);
		const others = await newDeleteKey();
		await hold(other, blob, others.hash);
		const { hash } = await newDeleteKey();
		const subject = await uploader.subject();
		await runInDurableObject(await objectOf(blob), async (object) => {
			const ended = await deleteHash(deleteKey);
			await Promise.all([object.hold(hash, subject), object.endHold(ended)]);
		});
		const name = await storageKeyOf(blob);
		const rows = await runInDurableObject(env.MEDIA_QUOTA.getByName(subject), (_object, state) =>
			state.storage.sql.exec("SELECT 1 FROM blobs WHERE blob = ?", name).toArray(),
		);
		expect(rows.length).toBe(1);
	});

	test("BLOB-3 a blob has room for so many holds", async () => {
		const { blob } = await uploader.upload(BYTES);
		await runInDurableObject(await objectOf(blob), (_object, state) => {
			for (let count = 1; count < LIMITS.media_holds; count++) {
				state.storage.sql.exec("INSERT INTO holds VALUES (?, 'somebody', ?)", `hash-${count}`, Date.now() + 1e9);
			}
		});
		const { hash } = await newDeleteKey();
		expect(await refusal(await hold(other, blob, hash))).toEqual([409, "too_many_holds"]);
	});

	test("BLOB-4 a removal that R2 fails is finished by the alarm, and hidden from clients at its object", async () => {
		const { blob, deleteKey } = await uploader.upload(BYTES);
		let down = true;
		await wrapBucket(blob, (operation) => down && operation === "delete");
		expect(await refusal(await remove(blob, deleteKey))).toEqual([503, "storage_unavailable"]);
		const { hash } = await newDeleteKey();
		expect((await hold(other, blob, hash)).status).toBe(404);
		down = false;
		await runDurableObjectAlarm(await objectOf(blob));
		expect(await stored(blob)).toBe(false);
	});

	test("BLOB-4 a deletion without a key in the right form is malformed", async () => {
		const { blob } = await uploader.upload(BYTES);
		expect(await refusal(await remove(blob, "short"))).toEqual([400, "malformed"]);
	});
});
