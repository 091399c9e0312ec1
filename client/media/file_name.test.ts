import { expect, test } from "vitest";
import { safeFileName } from "./file_name.ts";

test.each([
	["photo.jpg", "photo.jpg"],
	["../../etc/passwd", "passwd"],
	["..\\..\\windows\\system.ini", "system.ini"],
	["/", "file"],
	["..", "file"],
	["", "file"],
	[".bashrc", "bashrc"],
	["-rf", "rf"],
	["a\u0000b\u001b[2J\n.txt", "ab[2J.txt"],
	// Shown, the first would end in "exe.jpg".
	["invoice\u202egpj.exe", "invoicegpj.exe"],
	["zero\u200bwidth\u2066.txt", "zerowidth.txt"],
	["CON", "_CON"],
	["nul.txt", "_nul.txt"],
	["what?.txt:stream", "what_.txt_stream"],
	["trailing. . ", "trailing"],
	["ünïcödé 文件.txt", "ünïcödé 文件.txt"],
])("ATTACH-4 a file called %j is saved as %j", (sent, saved) => {
	expect(safeFileName(sent)).toBe(saved);
});

test("ATTACH-4 a long name keeps its extension and is cut between characters", () => {
	const name = safeFileName(`${"文".repeat(200)}.tar.gz`);
	expect(Buffer.byteLength(name)).toBeLessThanOrEqual(255);
	expect(name).toMatch(/^文+\.gz$/);
});
