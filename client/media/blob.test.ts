import { randomBytes } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { type FileHandle, open as openFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DigestingPassThrough } from "@signalapp/libsignal-client/dist/incremental_mac.js";
import { afterAll, expect, test } from "vitest";
import { LIMITS } from "../../protocol/limits.ts";
import {
	type BlobSeal,
	blobSize,
	chunkBytesFor,
	chunkChoice,
	incrementalMacSize,
	paddedSize,
	TamperedError,
} from "./blob.ts";
import { IncrementalMac } from "./incremental_mac.ts";
import { openBlob } from "./open.ts";
import { sealBlob } from "./seal.ts";

const LONG = 300 * 1024;
const folder = mkdtempSync(join(tmpdir(), "parley-blob-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

async function* inPieces(bytes: Uint8Array, pieceBytes: number): AsyncGenerator<Uint8Array> {
	for (let at = 0; at < bytes.length; at += pieceBytes) yield bytes.subarray(at, at + pieceBytes);
}

async function seal(file: Uint8Array, pieceBytes = 10_000): Promise<{ blob: Buffer; seal: BlobSeal }> {
	const key = new Uint8Array(randomBytes(64));
	const sealing = sealBlob(inPieces(file, pieceBytes), { key, iv: new Uint8Array(randomBytes(16)), size: file.length });
	const pieces: Uint8Array[] = [];
	for (;;) {
		const next = await sealing.next();
		if (next.done === true) return { blob: Buffer.concat(pieces), seal: next.value };
		pieces.push(next.value);
	}
}

/** Hands a blob's pieces on when they are in the copy, as a download does. */
async function* arriving(copy: FileHandle, pieces: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
	for await (const piece of pieces) {
		await copy.write(piece);
		yield piece;
	}
}

async function withCopy<T>(use: (copy: FileHandle) => Promise<T>): Promise<T> {
	const copy = await openFile(join(folder, "copy"), "w+");
	try {
		return await use(copy);
	} finally {
		await copy.close();
	}
}

/** What was handed out of a blob, and how that ended. */
function open(blob: Uint8Array, blobSeal: BlobSeal, pieceBytes = 7_000): Promise<{ got: Buffer; error: unknown }> {
	return withCopy(async (copy) => {
		const got: Uint8Array[] = [];
		let error: unknown;
		try {
			for await (const bytes of openBlob(copy, arriving(copy, inPieces(blob, pieceBytes)), blobSeal)) {
				got.push(Buffer.from(bytes));
			}
		} catch (thrown) {
			error = thrown;
		}
		return { got: Buffer.concat(got), error };
	});
}

test.each([0, 1, 15, 16, 17, 541, 542, 65_536, LONG])("ATTACH-1 %i bytes arrive as they were", async (size) => {
	const file = randomBytes(size);
	const sealed = await seal(file);
	expect(sealed.blob.length).toBe(blobSize(size));
	expect(sealed.seal.incrementalMac.length).toBe(incrementalMacSize(size, chunkBytesFor(size)));
	for (const pieceBytes of [1_000_000, 1_000, ...(size < 1_000 ? [1] : [])]) {
		const { got, error } = await open(sealed.blob, sealed.seal, pieceBytes);
		expect(error).toBeUndefined();
		expect(got.equals(file)).toBe(true);
	}
});

test("ATTACH-2 sizes are padded to steps of five percent, and never beyond the largest file", () => {
	expect(paddedSize(0)).toBe(541);
	expect(paddedSize(541)).toBe(541);
	for (const size of [542, 1_000, 123_456, 10 ** 6, 10 ** 9, LIMITS.attachment_bytes - 1, LIMITS.attachment_bytes]) {
		const padded = paddedSize(size);
		expect(padded).toBeGreaterThanOrEqual(size);
		expect(padded).toBeLessThanOrEqual(Math.min(size * 1.05 + 1, LIMITS.attachment_bytes));
		expect(paddedSize(padded)).toBe(padded);
	}
	expect(paddedSize(1_000_000)).toBe(paddedSize(1_010_000));
	const largest = LIMITS.attachment_bytes;
	expect(incrementalMacSize(largest, chunkBytesFor(largest))).toBeLessThanOrEqual(4096 + 32);
});

test("ATTACH-3 the incremental MAC is what libsignal's own stream makes of the same bytes, however they come", async () => {
	const key = new Uint8Array(randomBytes(32));
	for (const bytes of [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 5 * CHUNK + 7]) {
		const blob = randomBytes(bytes);
		for (const piece of [1_000, CHUNK, 3 * CHUNK]) {
			const theirs = new DigestingPassThrough(key, chunkChoice(CHUNK)).resume();
			const ours = new IncrementalMac(key, chunkChoice(CHUNK));
			for (let at = 0; at < bytes; at += piece) {
				theirs.write(blob.subarray(at, at + piece));
				ours.add(blob.subarray(at, at + piece));
			}
			await new Promise<void>((resolve) => theirs.end(resolve));
			ours.end();
			expect(Buffer.from(ours.macs).toString("hex")).toBe(Buffer.from(theirs.getFinalDigest()).toString("hex"));
		}
	}
	expect(() => new IncrementalMac(key, chunkChoice(CHUNK)).add(new Uint8Array(new SharedArrayBuffer(8)))).toThrow(
		TypeError,
	);
});

test("ATTACH-3 the largest files have as many checksums as libsignal makes of whole chunks", async () => {
	const [chunkBytes, chunks] = [CHUNK, 3];
	const steps = new DigestingPassThrough(randomBytes(32), chunkChoice(chunkBytes)).resume();
	steps.write(Buffer.alloc(chunks * chunkBytes));
	await new Promise<void>((resolve) => steps.end(resolve));
	const extra = steps.getFinalDigest().length / 32 - chunks;
	const largest = LIMITS.attachment_bytes;
	const whole = blobSize(largest) / chunkBytesFor(largest);
	expect(Number.isInteger(whole)).toBe(true);
	expect(incrementalMacSize(largest, chunkBytesFor(largest))).toBe((whole + extra) * 32);
});

const CHUNK = 64 * 1024;
const swap = (blob: Buffer, one: number, other: number, length: number): Buffer => {
	const copy = Buffer.from(blob);
	blob.copy(copy, one, other, other + length);
	blob.copy(copy, other, one, one + length);
	return copy;
};
const flip = (blob: Buffer, at: number): Buffer => {
	const copy = Buffer.from(blob);
	copy.writeUInt8(copy.readUInt8(at) ^ 1, at);
	return copy;
};

test.each<[string, (blob: Buffer) => Buffer, number]>([
	["a flipped bit in the IV", (blob) => flip(blob, 3), 0],
	["a flipped bit in the third chunk", (blob) => flip(blob, 2 * CHUNK + 9), 2],
	["a flipped bit in the MAC", (blob) => flip(blob, blob.length - 1), 4],
	["two chunks in another order", (blob) => swap(blob, CHUNK, 2 * CHUNK, CHUNK), 1],
	["a chunk that comes twice", (blob) => Buffer.concat([blob.subarray(0, 2 * CHUNK), blob.subarray(CHUNK)]), 2],
	["the first chunk again in the place of the second", (blob) => swap(blob, 0, CHUNK, CHUNK), 0],
	["an end that is missing", (blob) => blob.subarray(0, -1), 4],
	["an end after a whole chunk", (blob) => blob.subarray(0, 2 * CHUNK), 2],
	["nothing at all", (blob) => blob.subarray(0, 0), 0],
	["a byte too many", (blob) => Buffer.concat([blob, Buffer.alloc(1)]), 4],
])(
	"ATTACH-3 %s is refused, and nothing after the chunk before it is handed out",
	async (_what, change, wholeChunks) => {
		const file = randomBytes(LONG);
		const sealed = await seal(file);
		const { got, error } = await open(change(sealed.blob), sealed.seal);
		expect(error).toBeInstanceOf(TamperedError);
		expect(got.length).toBeLessThanOrEqual(wholeChunks * CHUNK);
		expect(got.equals(file.subarray(0, got.length))).toBe(true);
	},
);

test("ATTACH-3 another file's blob, key, digest or checksums are refused before anything is handed out", async () => {
	const [one, other] = [await seal(randomBytes(LONG)), await seal(randomBytes(LONG))];
	const wrong: [Buffer, BlobSeal][] = [
		[other.blob, one.seal],
		[one.blob, { ...one.seal, key: other.seal.key }],
		[one.blob, { ...one.seal, incrementalMac: other.seal.incrementalMac }],
		[one.blob, { ...one.seal, incrementalMac: one.seal.incrementalMac.slice(32) }],
	];
	for (const [blob, blobSeal] of wrong) {
		const { got, error } = await open(blob, blobSeal);
		expect(error).toBeInstanceOf(TamperedError);
		expect(got.length).toBe(0);
	}
	for (const otherwise of [{ digest: other.seal.digest }, { size: LONG * 2 }, { size: LONG / 2 }]) {
		const { error } = await open(one.blob, { ...one.seal, ...otherwise });
		expect(error).toBeInstanceOf(TamperedError);
	}
});

test("ATTACH-1 a file that changes its size while it is read ends with an error", async () => {
	for (const [size, says] of [
		[9, "grew"],
		[11, "shrank"],
	] as const) {
		const sealing = sealBlob(inPieces(randomBytes(10), 3), { key: new Uint8Array(64), iv: new Uint8Array(16), size });
		const all = async (): Promise<void> => {
			while ((await sealing.next()).done !== true);
		};
		await expect(all()).rejects.toThrow(says);
	}
});

test("ATTACH-3 the first chunks are handed out while the rest has not arrived", async () => {
	const sealed = await seal(randomBytes(LONG));
	let goOn = (): void => {};
	const rest = new Promise<void>((resolve) => {
		goOn = resolve;
	});
	await withCopy(async (copy) => {
		const pieces = (async function* () {
			yield* inPieces(sealed.blob.subarray(0, CHUNK + 10_000), 5_000);
			await rest;
			throw new Error("the connection is gone");
		})();
		const opening = openBlob(copy, arriving(copy, pieces), sealed.seal);
		let got = 0;
		while (got < CHUNK - 32) got += (await opening.next()).value?.length ?? 0;
		goOn();
		await expect(opening.next()).rejects.toThrow("gone");
	});
});
