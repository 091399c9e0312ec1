import { execFileSync } from "node:child_process";
import {
	lstatSync,
	mkdirSync,
	mkdtempSync,
	readdirSync,
	readFileSync,
	rmSync,
	symlinkSync,
	writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { saveTo } from "./saving.ts";

const A_TXT = { id: "1", name: "a.txt" };
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
	expect(await saveTo(folder, A_TXT, pieces("theirs"), undefined)).toBe(join(folder, "a (3).txt"));
	expect(readFileSync(mine, "utf8")).toBe("mine");
	expect(() => readFileSync(outside)).toThrow("ENOENT");
	expect(readdirSync(folder).sort()).toEqual(["a (2).txt", "a (3).txt", "a.txt"]);
});

test("ATTACH-4 the longest name is saved more than once", async () => {
	const name = `${"x".repeat(251)}.txt`;
	for (const text of ["one", "two"]) await saveTo(folder, { id: "1", name }, pieces(text), undefined);
	expect(readdirSync(folder).length).toBe(2);
});

test("ATTACH-3 of a file that breaks off or is found unsafe nothing stays", async () => {
	async function* broken(): AsyncGenerator<Uint8Array> {
		yield Buffer.from("half");
		throw new Error("broken off");
	}
	await expect(saveTo(folder, A_TXT, broken(), undefined)).rejects.toThrow("broken off");
	const check = (): Promise<void> => Promise.reject(new Error("unsafe"));
	await expect(saveTo(folder, A_TXT, pieces("whole"), check)).rejects.toThrow("unsafe");
	expect(readdirSync(folder)).toEqual([]);
});

test("ATTACH-3 a file that a killed program has left half decrypted goes with the next attempt, one that is being written stays", async () => {
	const dead = execFileSync(process.execPath, ["-e", "process.stdout.write(String(process.pid))"], {
		encoding: "utf8",
	});
	for (const name of [`.parley-1-${dead}-00.part`, `.parley-1-${process.pid}-00.part`, `.parley-2-${dead}-00.part`]) {
		writeFileSync(join(folder, name), "half");
	}
	await saveTo(folder, A_TXT, pieces("whole"), undefined);
	const left = [`.parley-1-${process.pid}-00.part`, `.parley-2-${dead}-00.part`, "a.txt"];
	expect(readdirSync(folder).sort()).toEqual(left.sort());
});

test("ATTACH-4 what is neither a file nor a folder is not replaced", async () => {
	const [pipe, linked] = [join(folder, "pipe"), join(folder, "linked")];
	execFileSync("mkfifo", [pipe]);
	symlinkSync("/dev/null", linked);
	for (const to of [pipe, linked, "/dev/null", ""]) {
		await expect(saveTo(to, A_TXT, pieces("x"), undefined), to).rejects.toMatchObject({ code: "bad_argument" });
	}
	expect(readdirSync(folder).sort()).toEqual(["linked", "pipe"]);
	expect(lstatSync(pipe).isFIFO()).toBe(true);
});

test("ATTACH-4 a path that names a file is replaced, and the file behind a link is not", async () => {
	const [mine, link] = [join(folder, "mine"), join(folder, "link")];
	writeFileSync(mine, "mine");
	symlinkSync(mine, link);
	await saveTo(link, A_TXT, pieces("theirs"), undefined);
	expect([readFileSync(mine, "utf8"), readFileSync(link, "utf8")]).toEqual(["mine", "theirs"]);
	expect(lstatSync(link).mode & 0o777).toBe(0o600);
});

test("ATTACH-4 a folder that takes no file is told as that", async () => {
	const missing = join(folder, "none", "a.txt");
	await expect(saveTo(missing, A_TXT, pieces("x"), undefined)).rejects.toMatchObject({ code: "bad_argument" });
	mkdirSync(join(folder, "a.txt"));
	expect(await saveTo(folder, A_TXT, pieces("x"), undefined)).toBe(join(folder, "a (2).txt"));
});
