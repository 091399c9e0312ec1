import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { searchFolders } from "./canaries.ts";

const SECRET = "a secret that nobody else has";
let folder = "";

beforeEach(() => {
	folder = mkdtempSync(join(tmpdir(), "parley-canaries-"));
	mkdirSync(join(folder, "deep"));
});
afterEach(() => rmSync(folder, { recursive: true }));

test.each([
	["plain", Buffer.from(SECRET)],
	["wide", Buffer.from(SECRET, "utf16le")],
	["hex", Buffer.from(SECRET).toString("hex")],
	["upper-case hex", Buffer.from(SECRET).toString("hex").toUpperCase()],
	["base64", Buffer.from(SECRET).toString("base64")],
	["base64 after one byte", Buffer.from(`x${SECRET}y`).toString("base64")],
	["base64 after two bytes", Buffer.from(`xx${SECRET}yy`).toString("base64url")],
])("a secret is found as %s", (_form, content) => {
	writeFileSync(join(folder, "deep", "file"), Buffer.concat([Buffer.from("before "), Buffer.from(content)]));
	const { hits, files } = searchFolders([folder], [{ name: "it", secret: SECRET }]);
	expect(hits.map((hit) => hit.canary)).toEqual(["it"]);
	expect(files).toBe(1);
});

test("what is not there is not found", () => {
	writeFileSync(join(folder, "file"), "another text");
	expect(searchFolders([folder], [{ name: "it", secret: SECRET }])).toMatchObject({ files: 1, bytes: 12, hits: [] });
});
