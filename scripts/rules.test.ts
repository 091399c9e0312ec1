import { expect, test } from "vitest";
import { ruleFindings, testTitles } from "./rules.ts";

const page = { path: "specs/protocol.md", text: "# Rules\n\n- **ORDER-1** one.\n- **ONCE-2** two.\n" };
/** A call of `test`, put together so that the checker does not read it as one of this file. */
const titled = (...titles: string[]) => titles.map((title) => `test(${JSON.stringify(title)}, () => {});\n`).join("");
const found = (text: string) => ruleFindings(page, [{ path: "x.test.ts", text }]).map((finding) => finding.what);

test("every rule has a test: nothing is found", () => {
	expect(found(titled("ORDER-1 holds", "a case of ONCE-2"))).toEqual([]);
});

test("a rule without a test is found", () => {
	expect(found(titled("ORDER-1 holds"))).toEqual(["ONCE-2 stands in no test's title"]);
});

test("a test that is skipped proves nothing", () => {
	const skipped = 'test.skip("ONCE-2 is for later", () => {});\n';
	expect(found(titled("ORDER-1 holds") + skipped)).toEqual(["ONCE-2 stands in no test's title"]);
});

test("a title that begins with an unknown rule is found", () => {
	expect(found(titled("ORDER-1, ONCE-2 hold", "ORDER-9 holds"))).toEqual(["ORDER-9 is no rule of specs/protocol.md"]);
});

test("a rule that is numbered twice is found", () => {
	const twice = { ...page, text: `${page.text}- **ONCE-2** again.\n` };
	const tests = [{ path: "x.test.ts", text: titled("ORDER-1", "ONCE-2") }];
	expect(ruleFindings(twice, tests).map((finding) => finding.line)).toEqual([5]);
});

test("titles are read from nested tests, options and tables", () => {
	const text = ['\tit("one", f);', "test.each([", "\t[1],", '])("two %i", f);', "describe(`three`, f);"].join("\n");
	expect(testTitles(text).map((each) => each.title)).toEqual(["one", "two %i", "three"]);
});
