import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { open } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import sharp, { type Sharp } from "sharp";
import { thumbHashToAverageRGBA } from "thumbhash";
import { afterEach, beforeEach, expect, test } from "vitest";
import { inspect, typeOnly, UnshowableError } from "./inspect.ts";
import { assertShowable } from "./safety.ts";
import { mp4Head, png, wav } from "./testing.ts";

let folder = "";
beforeEach(() => {
	folder = mkdtempSync(join(tmpdir(), "parley-inspect-"));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

function written(bytes: Uint8Array): string {
	const path = join(folder, "file");
	writeFileSync(path, bytes);
	return path;
}

async function facts(bytes: Uint8Array) {
	const file = await open(written(bytes));
	try {
		return await inspect(file, bytes.length);
	} finally {
		await file.close();
	}
}

const picture = (): Sharp => sharp({ create: { width: 320, height: 200, channels: 3, background: "#246" } });

test.each(["jpeg", "png", "webp", "gif"] as const)(
	"ATTACH-7 a preview is made of a %s, and it may be shown",
	async (kind) => {
		const bytes = await picture().toFormat(kind).toBuffer();
		const found = await facts(bytes);
		expect(found).toMatchObject({ contentType: `image/${kind}`, width: 320, height: 200 });
		expect(found.thumbHash.length).toBeGreaterThan(4);
		expect(found.thumbHash.length).toBeLessThan(64);
		await assertShowable(written(bytes), `image/${kind}`);
	},
);

test("ATTACH-7 decompression bombs are refused by their header, before anything is decoded", async () => {
	// The second is within what the decoder itself allows.
	const bomb = png(60_000, 60_000, 1);
	for (const bytes of [bomb, png(12_000, 12_000, 1)]) {
		expect(bytes.length).toBeLessThan(10_000);
		await expect(facts(bytes)).rejects.toThrow(UnshowableError);
		await expect(assertShowable(written(bytes), "image/png")).rejects.toThrow(/pixel/i);
	}
	// As a document it goes as it is: nobody decodes it.
	const file = await open(written(bomb));
	expect(await typeOnly(file)).toMatchObject({ contentType: "image/png", width: 0 });
	await file.close();
});

test("ATTACH-7 malformed images are refused, when they are sent and when they are saved", async () => {
	const jpeg = await picture().jpeg().toBuffer();
	const webp = await picture().webp().toBuffer();
	const overlong = Buffer.from(webp);
	overlong.writeUInt32LE(0x7fffffff, 4);
	for (const bytes of [jpeg.subarray(0, 300), Buffer.concat([jpeg.subarray(0, 20), Buffer.alloc(500)]), overlong]) {
		await expect(facts(bytes)).rejects.toThrow(UnshowableError);
	}
	await expect(assertShowable(written(overlong), "image/webp")).rejects.toThrow(UnshowableError);
	await expect(assertShowable(written(Buffer.from("<html>")), "image/png")).rejects.toThrow("is not");
});

test("ATTACH-7 a video passes libsignal's sanitizer, or isn't shown", async () => {
	const video = Buffer.concat([mp4Head(1000), Buffer.alloc(1000, 7)]);
	expect(await facts(video)).toMatchObject({ contentType: "video/mp4", width: 640, height: 360, durationMs: 1000 });
	await assertShowable(written(video), "video/mp4");
	await expect(assertShowable(written(video.subarray(0, -1)), "video/mp4")).rejects.toThrow(UnshowableError);
	await expect(assertShowable(written(video.subarray(0, 60)), "video/mp4")).rejects.toThrow(UnshowableError);
});

test.each(["mp4", "webm"])("ATTACH-1 a blurred preview is made of a %s, with its size and length", async (kind) => {
	const found = await facts(readFileSync(new URL(`./fixtures/red.${kind}`, import.meta.url)));
	expect(found).toMatchObject({ contentType: `video/${kind}`, width: 320, height: 180, durationMs: 2_000 });
	const { r, g, b } = thumbHashToAverageRGBA(found.thumbHash);
	expect(r).toBeGreaterThan(0.6);
	expect(Math.max(g, b)).toBeLessThan(0.3);
});

test("ATTACH-1 a video in VP9 is sent as what it is, and so is one whose codec nobody here knows", async () => {
	const vp9 = readFileSync(new URL("./fixtures/vp9.webm", import.meta.url));
	expect(await facts(vp9)).toMatchObject({ contentType: "video/webm", width: 64, height: 36, durationMs: 1_000 });
	const unknown = Buffer.from(vp9.toString("latin1").replace("V_VP9", "V_XYZ"), "latin1");
	expect(await facts(unknown)).toMatchObject({ contentType: "video/webm", thumbHash: new Uint8Array() });
	const h264 = readFileSync(new URL("./fixtures/red.mp4", import.meta.url));
	const hevc = Buffer.from(h264.toString("latin1").replaceAll("avc1", "hvc1").replaceAll("avcC", "hvcC"), "latin1");
	expect(await facts(hevc)).toMatchObject({ contentType: "video/mp4", width: 320, height: 180, durationMs: 2_000 });
});

test("ATTACH-1 a video that can't be decoded goes without a preview", async () => {
	const whole = readFileSync(new URL("./fixtures/red.mp4", import.meta.url));
	const media = whole.indexOf("mdat") + 4;
	const broken = Buffer.from(whole).fill(0x5a, media, media + 300);
	for (const video of [broken, Buffer.concat([mp4Head(1000), Buffer.alloc(1000, 7)])]) {
		const found = await facts(video);
		expect(found).toMatchObject({ contentType: "video/mp4" });
		expect(found.width).toBeGreaterThan(0);
		expect(found.thumbHash.length).toBe(0);
	}
	expect(await facts(Buffer.from("\x1aE\xdf\xa3 no video", "latin1"))).toMatchObject({
		contentType: "video/webm",
		width: 0,
	});
});

test("ATTACH-1 a voice message's length and loudness are found out", async () => {
	const samples = new Int16Array(8_000).map((_, index) => (index < 4_000 ? 0 : Math.round(16_384 * Math.sin(index))));
	const found = await facts(wav(samples));
	expect(found).toMatchObject({ contentType: "audio/wav", durationMs: 1000 });
	expect(found.waveform.length).toBe(128);
	expect(Math.max(...found.waveform.subarray(0, 60))).toBe(0);
	expect(Math.min(...found.waveform.subarray(70))).toBeGreaterThan(100);
	expect(await facts(wav(samples).subarray(0, 30))).toMatchObject({ durationMs: 0 });
});
