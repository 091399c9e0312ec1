import { expect, test } from "vitest";
import { FILE_LINES_MAX, PROSE_CHARACTERS_MAX, styleFindings } from "./style.ts";

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

test("prose that is too wide is found, in tables and code it isn't", () => {
	const wide = "x".repeat(PROSE_CHARACTERS_MAX + 1);
	expect(found("a.md", `one\n${wide}\n`)).toEqual([2]);
	expect(found("a.md", `${wide.slice(1)}\n`)).toEqual([]);
	expect(found("a.md", `\`\`\`\n${wide}\n\`\`\`\n`)).toEqual([]);
	expect(found("a.md", `| a |\n|---|\n| ${wide} |\n`)).toEqual([]);
	expect(found("a.ts", `// ${wide}\n`)).toEqual([]);
});

test("a table's row without a head, or with another number of cells, is found", () => {
	const table = "| a | b |\n|---|---|\n| 1 | 2 |\n";
	expect(found("a.md", table)).toEqual([]);
	expect(found("a.md", `${table}\n| 3 | 4 |\n`)).toEqual([5]);
	expect(found("a.md", `${table}| 3 | 4 | 5 |\n`)).toEqual([4]);
	expect(found("a.md", `${table}| 3 | 4 \\| 5 |\n`)).toEqual([]);
});
