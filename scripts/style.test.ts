import { expect, test } from "vitest";
import { FILE_LINES_MAX, styleFindings } from "./style.ts";

const found = (path: string, text: string) => styleFindings([{ path, text }]).map((finding) => finding.line);

test("a file that is too long is found, a generated one is not", () => {
	const long = "x\n".repeat(FILE_LINES_MAX + 1);
	expect(found("client/a.ts", long)).toEqual([0]);
	expect(found("client/a.ts", "x\n".repeat(FILE_LINES_MAX))).toEqual([]);
	expect(found("protocol/gen/a.d.ts", long)).toEqual([]);
});

test("a name that says nothing is found", () => {
	expect(found("client/utils.ts", "")).toEqual([0]);
	expect(found("client/utils/text.ts", "")).toEqual([0]);
	expect(found("client/outbox.ts", "")).toEqual([]);
});

test("what was left for later is found", () => {
	const mark = ["TO", "DO"].join("");
	expect(found("client/a.ts", `one\n// ${mark}: two\n`)).toEqual([2]);
});
