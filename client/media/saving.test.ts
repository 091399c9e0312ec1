import { mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { saveTo } from "./saving.ts";

let folder = "";
beforeEach(() => {
	folder = mkdtempSync(join(tmpdir(), "parley-saving-"));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

async function* pieces(...texts: string[]): AsyncGenerator<Uint8Array> {
	for (const text of texts) yield Buffer.from(text);
}

test("ATTACH-4 in a folder nothing is replaced: no file, and nothing behind a link", async () => {
	const [mine, outside] = [join(folder, "a.txt"), join(folder, "..", `outside-${process.pid}`)];
	writeFileSync(mine, "mine");
	symlinkSync(outside, join(folder, "a (2).txt"));
	expect(await saveTo(folder, "a.txt", pieces("theirs"), undefined)).toBe(join(folder, "a (3).txt"));
	expect(readFileSync(mine, "utf8")).toBe("mine");
	expect(() => readFileSync(outside)).toThrow("ENOENT");
	expect(readdirSync(folder).sort()).toEqual(["a (2).txt", "a (3).txt", "a.txt"]);
});

test("ATTACH-4 the longest name is saved more than once", async () => {
	const name = `${"x".repeat(251)}.txt`;
	for (const text of ["one", "two"]) await saveTo(folder, name, pieces(text), undefined);
	expect(readdirSync(folder).length).toBe(2);
});

test("ATTACH-3 of a file that breaks off or is found unsafe nothing stays", async () => {
	async function* broken(): AsyncGenerator<Uint8Array> {
		yield Buffer.from("half");
		throw new Error("broken off");
	}
	await expect(saveTo(folder, "a.txt", broken(), undefined)).rejects.toThrow("broken off");
	const check = (): Promise<void> => Promise.reject(new Error("unsafe"));
	await expect(saveTo(folder, "a.txt", pieces("whole"), check)).rejects.toThrow("unsafe");
	expect(readdirSync(folder)).toEqual([]);
});
