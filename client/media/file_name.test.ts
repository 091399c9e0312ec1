import { expect, test } from "vitest";
import { numberedName, safeFileName } from "./file_name.ts";

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

test("ATTACH-4 a name that is taken gets a number, and stays within what a name may have", () => {
	expect(numberedName("photo.jpg", 1)).toBe("photo.jpg");
	expect(numberedName("photo.jpg", 2)).toBe("photo (2).jpg");
	expect(numberedName("README", 3)).toBe("README (3)");
	const longest = `${"x".repeat(251)}.jpg`;
	expect(numberedName(longest, 1)).toBe(longest);
	expect(numberedName(longest, 12)).toBe(`${"x".repeat(246)} (12).jpg`);
});
