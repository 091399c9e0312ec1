import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { open } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { openForReading, writeAll } from "./disk.ts";
import { openFile } from "./outgoing.ts";

let folder = "";
beforeEach(() => {
	folder = mkdtempSync(join(tmpdir(), "parley-disk-"));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

/** A disk that takes three bytes at once, and is full after so many. */
async function nearlyFull(bytes: number) {
	const file = await open(join(folder, "file"), "w");
	let left = bytes;
	const write = async (from: Uint8Array, at = 0) => {
		if (left === 0) throw Object.assign(new Error("no space left on device"), { code: "ENOSPC" });
		const { bytesWritten } = await file.write(from, at, Math.min(3, left, from.length - at));
		left -= bytesWritten;
		return { bytesWritten };
	};
	return { file: { write }, close: () => file.close() };
}

test("ATTACH-3 a write that takes a part only goes on, and one that a full disk ends is an error", async () => {
	const enough = await nearlyFull(100);
	await writeAll(enough.file, Buffer.from("0123456789"), 2);
	await enough.close();
	expect(readFileSync(join(folder, "file"), "utf8")).toBe("23456789");
	const full = await nearlyFull(7);
	await expect(writeAll(full.file, Buffer.from("0123456789"))).rejects.toMatchObject({ code: "ENOSPC" });
	await full.close();
	const stuck = { write: async () => ({ bytesWritten: 0 }) };
	await expect(writeAll(stuck, Buffer.from("0"))).rejects.toThrow("no more");
});

test("ATTACH-5 a named pipe is refused, and held up by nobody", async () => {
	const path = join(folder, "pipe");
	execFileSync("mkfifo", [path]);
	await (await openForReading(path)).close();
	await expect(openFile(path)).rejects.toMatchObject({ code: "bad_argument", message: `${path} is no file` });
});
