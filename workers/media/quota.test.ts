import { runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { describe, expect, test } from "vitest";
import { LIMITS } from "../../protocol/limits.ts";
import { MEDIA_HEADERS, MEDIA_PATHS, storageKeyOf } from "../../protocol/media.ts";
import { refusal } from "../../test/api-caller.ts";
import { newDeleteKey, noise, TUS, Uploader } from "../../test/media-uploader.ts";
import { consumeChanges } from "../api/changes.ts";
import { PART_BYTES } from "./records.ts";

const DAY_MS = 86_400_000;
const FILES_A_DAY = LIMITS.media_day_bytes / LIMITS.media_bytes;

async function quotaOf(uploader: Uploader) {
	return env.MEDIA_QUOTA.getByName(await uploader.subject());
}

/** Bytes that count as kept, and as uploaded today. */
async function counted(uploader: Uploader): Promise<{ kept: number; today: number }> {
	return runInDurableObject(await quotaOf(uploader), (_object, state) => {
		const sum = (text: string) => state.storage.sql.exec<{ bytes: number | null }>(text).one().bytes ?? 0;
		return { kept: sum("SELECT SUM(bytes) AS bytes FROM blobs"), today: sum("SELECT SUM(bytes) AS bytes FROM usage") };
	});
}

/** Fills the day's quota but for so many bytes, with declarations. */
async function fillDay(uploader: Uploader, left: number): Promise<void> {
	for (let count = 1; count < FILES_A_DAY; count++) await uploader.start(LIMITS.media_bytes);
	await uploader.start(LIMITS.media_bytes - left);
}

describe("quotas", () => {
	test("QUOTA-1 an account uploads so many bytes a day, and more the next day", async () => {
		const uploader = await Uploader.create();
		await fillDay(uploader, 100);
		const response = await uploader.create({ "upload-length": "101" });
		expect(await refusal(response)).toEqual([429, "quota_day_exceeded"]);
		expect((await uploader.create({ "upload-length": "100" })).status).toBe(201);
		await runInDurableObject(await quotaOf(uploader), (object) => {
			object.now = () => Date.now() + DAY_MS;
		});
		expect((await uploader.create({ "upload-length": "101" })).status).toBe(201);
		// Another account has a quota of its own.
		expect((await (await Uploader.create()).create({ "upload-length": "101" })).status).toBe(201);
	});

	test("QUOTA-1 an account holds so many bytes, and room comes back with what it deletes", async () => {
		const uploader = await Uploader.create();
		const quota = await quotaOf(uploader);
		const expires_ms = Date.now() + 30 * DAY_MS;
		for (let sum = LIMITS.media_bytes; sum <= LIMITS.media_kept_bytes; sum += LIMITS.media_bytes) {
			expect(await quota.hold(`blob ${sum}`, LIMITS.media_bytes, expires_ms)).toBe("ok");
		}
		const response = await uploader.create({ "upload-length": "1" });
		expect(await refusal(response)).toEqual([413, "quota_kept_exceeded"]);
		await quota.release(`blob ${LIMITS.media_bytes}`);
		expect((await uploader.create({ "upload-length": "1" })).status).toBe(201);
	});

	test("QUOTA-1 an account holds so many blobs", async () => {
		const uploader = await Uploader.create();
		const quota = await quotaOf(uploader);
		await runInDurableObject(quota, (_object, state) => {
			state.storage.sql.exec(
				`WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?)
				INSERT INTO blobs SELECT 'blob ' || i, 1, 0, ? FROM n`,
				...[LIMITS.media_kept_blobs, Date.now() + DAY_MS],
			);
		});
		const response = await uploader.create({ "upload-length": "1" });
		expect(await refusal(response)).toEqual([413, "quota_kept_exceeded"]);
	});

	test("QUOTA-1 a deferred length meets the quota half way, and what was within it is kept", async () => {
		const uploader = await Uploader.create();
		await fillDay(uploader, PART_BYTES);
		const { location } = await uploader.start();
		const bytes = noise(PART_BYTES + 500_000);
		const response = await uploader.patch(location, 0, bytes);
		expect(await refusal(response)).toEqual([429, "quota_day_exceeded"]);
		const offset = Number(await uploader.offset(location));
		expect(offset).toBeGreaterThan(PART_BYTES / 2);
		expect(offset).toBeLessThanOrEqual(PART_BYTES);
		const declared = await uploader.patch(location, offset, "", { "upload-length": String(bytes.length) });
		expect(await refusal(declared)).toEqual([429, "quota_day_exceeded"]);
		expect((await uploader.patch(location, offset, "", { "upload-length": String(offset) })).status).toBe(204);
		expect((await counted(uploader)).today).toBe(LIMITS.media_day_bytes - PART_BYTES + offset);
	});

	test("QUOTA-1 of an upload that was given up only what arrived counts for the day", async () => {
		const uploader = await Uploader.create();
		const { location } = await uploader.start(1_000_000);
		await uploader.patch(location, 0, noise(1000));
		expect(await counted(uploader)).toEqual({ kept: 1_000_000, today: 1_000_000 });
		await uploader.ask(location, { method: "DELETE", headers: TUS });
		expect(await counted(uploader)).toEqual({ kept: 0, today: 1000 });
	});

	test("QUOTA-1 a blob counts until its hold ends, and for each of its holders", async () => {
		const [uploader, holder] = [await Uploader.create(), await Uploader.create()];
		const { blob, deleteKey } = await uploader.upload(noise(5000));
		const { key, hash } = await newDeleteKey();
		const headers = { [MEDIA_HEADERS.grant]: holder.grant, [MEDIA_HEADERS.deleteHash]: hash };
		await holder.ask(MEDIA_PATHS.hold(blob), { method: "PUT", headers });
		const remove = (with_key: string) =>
			holder.ask(MEDIA_PATHS.blob(blob), { method: "DELETE", headers: { [MEDIA_HEADERS.deleteKey]: with_key } });
		expect(await counted(holder)).toEqual({ kept: 5000, today: 0 });
		await remove(deleteKey);
		expect([await counted(uploader), await counted(holder)]).toEqual([
			{ kept: 0, today: 5000 },
			{ kept: 5000, today: 0 },
		]);
		await remove(key);
		expect(await counted(holder)).toEqual({ kept: 0, today: 0 });
	});

	test("QUOTA-1 a blob that one account holds twice counts once, until the second hold ends", async () => {
		const uploader = await Uploader.create();
		const { blob, deleteKey } = await uploader.upload(noise(5000));
		const { key, hash } = await newDeleteKey();
		const headers = { [MEDIA_HEADERS.grant]: uploader.grant, [MEDIA_HEADERS.deleteHash]: hash };
		await uploader.ask(MEDIA_PATHS.hold(blob), { method: "PUT", headers });
		for (const [ended, kept] of [
			[deleteKey, 5000],
			[key, 0],
		] as const) {
			expect((await counted(uploader)).kept).toBe(5000);
			const with_key = { [MEDIA_HEADERS.deleteKey]: ended };
			await uploader.ask(MEDIA_PATHS.blob(blob), { method: "DELETE", headers: with_key });
			expect((await counted(uploader)).kept).toBe(kept);
		}
	});

	test("QUOTA-1 a row whose blob was lost goes by itself", async () => {
		const uploader = await Uploader.create();
		const quota = await quotaOf(uploader);
		await quota.reserve("lost", 1000, Date.now() + DAY_MS);
		await runInDurableObject(quota, (object) => {
			object.now = () => Date.now() + 2 * DAY_MS;
		});
		await runDurableObjectAlarm(quota);
		expect(await counted(uploader)).toEqual({ kept: 0, today: 0 });
	});
});

describe("the deletion of an account", () => {
	/** What the queue does. */
	async function erase(uploader: Uploader): Promise<void> {
		const outcomes: string[] = [];
		const message = {
			id: "1",
			timestamp: new Date(),
			attempts: 1,
			body: { type: "account-deleted", accountId: uploader.accountId },
			ack: () => outcomes.push("done"),
			retry: () => outcomes.push("retry"),
		};
		const batch = { queue: "q", messages: [message], metadata: { metrics: { backlogCount: 0, backlogBytes: 0 } } };
		await consumeChanges(env, { ...batch, ackAll: () => undefined, retryAll: () => undefined });
		expect(outcomes).toEqual(["done"]);
	}

	test("BLOB-5 ends its uploads and holds, and leaves what others hold", async () => {
		const [leaving, staying] = [await Uploader.create(), await Uploader.create()];
		const bytes = noise(5000);
		const [own, shared, open] = [await leaving.upload(bytes), await leaving.upload(bytes), await leaving.start(10)];
		const foreign = await staying.upload(bytes);
		const hold = async (holder: Uploader, blob: string) => {
			const { hash } = await newDeleteKey();
			const headers = { [MEDIA_HEADERS.grant]: holder.grant, [MEDIA_HEADERS.deleteHash]: hash };
			return holder.ask(MEDIA_PATHS.hold(blob), { method: "PUT", headers });
		};
		await hold(staying, shared.blob);
		await hold(leaving, foreign.blob);

		await erase(leaving);
		const kept = async (blob: string) => (await env.BLOBS.head(await storageKeyOf(blob))) !== null;
		expect([await kept(own.blob), await kept(shared.blob), await kept(foreign.blob)]).toEqual([false, true, true]);
		expect(await staying.offset(open.location)).toBe("status 404");
		// Its grant is still good for minutes, and for nothing.
		expect(await refusal(await leaving.create({ "upload-length": "10" }))).toEqual([404, "not_found"]);
		expect((await hold(leaving, foreign.blob)).status).toBe(404);
		await erase(leaving);

		const quota = await quotaOf(leaving);
		await runDurableObjectAlarm(quota);
		await runInDurableObject(quota, async (_object, state) => {
			expect(state.storage.sql.exec("SELECT name FROM sqlite_master WHERE name = 'tombstone'").toArray()).toEqual([]);
		});
	});

	test("BLOB-5 goes on by pages, and after R2 has failed", async () => {
		const leaving = await Uploader.create();
		const quota = await quotaOf(leaving);
		for (let count = 0; count < 101; count++) await quota.reserve(`lost ${count}`, 1, Date.now() + DAY_MS);
		expect(await quota.erase()).toBe("more");
		expect(await quota.erase()).toBe("done");
		expect(await counted(leaving)).toEqual({ kept: 0, today: 0 });
	});
});
