import { randomBytes } from "node:crypto";
import {
	appendFileSync,
	mkdtempSync,
	readFileSync,
	rmSync,
	statSync,
	truncateSync,
	utimesSync,
	writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { SourceChangedError } from "./blob.ts";
import { Spool, type SpoolOptions } from "./spool.ts";

const SIZE = 3_000_000;
let folder = "";
let options: SpoolOptions;
beforeEach(() => {
	folder = mkdtempSync(join(tmpdir(), "parley-spool-"));
	const path = join(folder, "file");
	writeFileSync(path, randomBytes(SIZE));
	options = {
		source: { path, size: SIZE, mtimeMs: Math.trunc(statSync(path).mtimeMs) },
		key: new Uint8Array(randomBytes(64)),
		iv: new Uint8Array(randomBytes(16)),
		path: join(folder, "copy"),
		signal: new AbortController().signal,
	};
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

async function readAll(spool: Spool, from = 0): Promise<Buffer> {
	const pieces: Buffer[] = [];
	for await (const piece of spool.read(from, spool.size)) pieces.push(Buffer.from(piece));
	return Buffer.concat(pieces);
}

test("ATTACH-5 what is encrypted can be read while the rest is being encrypted", async () => {
	const { spool, sealed } = Spool.start(options);
	const [blob, tail] = await Promise.all([readAll(spool), readAll(spool, SIZE), sealed]);
	expect(blob.length).toBe(spool.size);
	expect(blob.equals(readFileSync(options.path))).toBe(true);
	expect(tail.equals(blob.subarray(SIZE))).toBe(true);
});

test("ATTACH-5 after a kill while it was encrypted the copy gets the same bytes and the same seal", async () => {
	const first = await Spool.start(options).sealed;
	const blob = readFileSync(options.path);
	for (const bytes of [0, 1, 999_999, blob.length]) {
		truncateSync(options.path, bytes);
		expect(await Spool.start(options).sealed).toEqual(first);
		expect(readFileSync(options.path).equals(blob)).toBe(true);
	}
});

test("ATTACH-5 a file that has changed since it was queued never goes under the same key", async () => {
	await Spool.start(options).sealed;
	truncateSync(options.path, 1_000_000);
	const { path, mtimeMs } = options.source;
	const sneaky = readFileSync(path);
	sneaky[5] = (sneaky[5] ?? 0) ^ 1;
	writeFileSync(path, sneaky);
	await expect(Spool.start(options).sealed).rejects.toThrow(SourceChangedError);
	// Also where the clock says nothing.
	utimesSync(path, mtimeMs / 1000, mtimeMs / 1000);
	const { spool, sealed } = Spool.start({
		...options,
		source: { ...options.source, mtimeMs: Math.trunc(statSync(path).mtimeMs) },
	});
	await expect(sealed).rejects.toThrow(SourceChangedError);
	await expect(readAll(spool)).rejects.toThrow(SourceChangedError);
	appendFileSync(path, "x");
	await expect(Spool.start(options).sealed).rejects.toThrow(SourceChangedError);
	rmSync(path);
	await expect(Spool.start(options).sealed).rejects.toThrow("gone");
});
