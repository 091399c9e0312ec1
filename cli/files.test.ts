import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import pico from "picocolors";
import { afterEach, beforeEach, expect, test } from "vitest";
import type { StoredMessage } from "../client/machine/interface.ts";
import { dropped } from "./dropped.ts";
import { messageLine, messageObject, sizeText } from "./message_text.ts";
import { bytesArgument } from "./options.ts";
import { imageProtocol, imageText } from "./terminal_image.ts";

let folder = "";
beforeEach(() => {
	folder = mkdtempSync(join(tmpdir(), "parley-cli-files-"));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const MESSAGE: StoredMessage = {
	id: "019ab3c4-5d6e-7f80-9123-456789abcdef",
	peer: "0b000000-0000-4000-8000-00000000000b",
	sender: "0b000000-0000-4000-8000-00000000000b",
	outgoing: false,
	number: 1,
	body: "us",
	sentAtMs: 0,
	serverTimeMs: 0,
	status: "received",
	underChangedKey: false,
	file: {
		name: "a.jpg",
		size: 2_100_000,
		contentType: "image/jpeg",
		presentation: "shown",
		width: 4000,
		height: 3000,
		durationMs: undefined,
		thumbHash: undefined,
		waveform: undefined,
		altText: "two people\u001b[2J",
	},
};

test("dropped files are recognised in each form that terminals type", () => {
	const path = join(folder, "it's a photo.jpg");
	const odd = join(folder, 'a "b" $c\\d`.jpg');
	for (const each of [path, odd]) writeFileSync(each, "");
	const forms = (of: string): string[] => [
		...[of, ` ${of} `, of.replace(/[^\w/.]/g, "\\$&"), pathToFileURL(of).href],
		// As GNOME's and KDE's terminals, and Kitty, quote.
		...[`'${of.replaceAll("'", "'\\''")}'`, `'${of.replaceAll("'", `'"'"'`)}'`, `"${of.replace(/[\\"$`]/g, "\\$&")}"`],
	];
	for (const of of [path, odd]) for (const line of forms(of)) expect(dropped(line), line).toEqual({ files: [of] });
	const [one, other] = [forms(path).slice(2), forms(odd).slice(2)];
	for (const [index, line] of one.entries()) {
		expect(dropped(`${line}  ${other[index]}`), line).toEqual({ files: [path, odd] });
	}
	for (const line of [
		"hello",
		join(folder, "none"),
		`'${path}' and`,
		`'${path}`,
		"file://host/x",
		"a.jpg",
		"",
		"/tmp",
	]) {
		expect(dropped(line), line).toBeUndefined();
	}
	// Its path is nobody's business: it must not go out as a text.
	for (const line of [folder, `'${folder}'`, `${pathToFileURL(folder).href}`, `'${folder}' '${odd}'`, "'/dev/null'"]) {
		expect(dropped(line), line).toHaveProperty("none");
	}
});

test("a file is one line with kind, name, size and dimensions, and steers no terminal", () => {
	const line = messageLine(MESSAGE, "bob", pico.createColors(false));
	expect(line).toContain("[photo a.jpg, 2.1 MB, 4000 × 3000]");
	expect(line).toContain(`parley download ${MESSAGE.id}`);
	expect(line).toMatch(/ us$/);
	expect(line).not.toContain("\u001b");
	const { file } = MESSAGE;
	if (file === undefined) throw new Error("no file");
	const voice = { ...file, presentation: "voice" as const, durationMs: 65_000, waveform: new Uint8Array([0, 255]) };
	expect(messageLine({ ...MESSAGE, file: voice }, "bob", pico.createColors(false))).toMatch(/voice message.*1:05\] ▁█/);
	expect(messageObject(MESSAGE, "bob").file).toMatchObject({
		name: "a.jpg",
		size: 2_100_000,
		width: 4000,
		durationMs: null,
	});
});

test("sizes are read and said as people write them", () => {
	expect(["0", "10MB", "1.5 G", "2k", "off"].map(bytesArgument)).toEqual([0, 10_000_000, 1_500_000_000, 2_000, 0]);
	for (const bad of ["", "many", "-1", "1T"]) expect(() => bytesArgument(bad), bad).toThrow("size");
	expect([0, 999, 1_500, 999_999_999, 2e9].map(sizeText)).toEqual([
		"0 bytes",
		"999 bytes",
		"1.5 kB",
		"1000 MB",
		"2.0 GB",
	]);
});

test("images go to terminals that show them, in pieces that those take", () => {
	expect(imageProtocol({ TERM: "xterm-kitty" })).toBe("kitty");
	expect(imageProtocol({ TERM_PROGRAM: "iTerm.app" })).toBe("iterm");
	expect(imageProtocol({ TERM: "xterm-256color" })).toBeUndefined();
	expect(imageProtocol({ TERM: "xterm-kitty", TMUX: "socket,1,0" })).toBeUndefined();
	const preview = { png: new Uint8Array(10_000), width: 400, height: 200 };
	const kitty = imageText(preview, "kitty");
	expect(kitty.rows).toBe(10);
	const chunks = kitty.text.split("\x1b\\").slice(0, -1);
	expect(chunks.length).toBe(4);
	for (const chunk of chunks) expect(chunk.length).toBeLessThan(4096 + 60);
	expect(imageText(preview, "iterm").text).toContain("width=40;height=10");
});

test("CLIENT-3 what came under a key that nobody has accepted does not look like the contact's own", () => {
	const line = (message: StoredMessage): string => messageLine(message, "bob", pico.createColors(false));
	expect(line({ ...MESSAGE, underChangedKey: true })).toContain("bob?! (new key, not accepted): ");
	expect(line(MESSAGE)).toContain(" bob: ");
	expect(messageObject({ ...MESSAGE, underChangedKey: true }, "bob")).toMatchObject({ underChangedKey: true });
});
