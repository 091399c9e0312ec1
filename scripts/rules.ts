/** Rules and tests, both ways: a rule of the protocol without a test fails, and so does a test that cites no rule. */
import { type Finding, lineAt, type SourceFile } from "./repository.ts";

/** The page that numbers the rules. */
export const RULES_PAGE = "specs/protocol.md";

const RULE = /^- \*\*([A-Z]+-\d+)\*\*/gm;
const ID = /\b[A-Z]+-\d+\b/g;
const CITES = /^[A-Z]+-\d+\b/;
const TITLE =
	/^[\t ]*(?:test|it|describe)((?:\.\w+(?:\((?:[^()]|\([^()]*\))*\))?)*)\(\s*(["'`])(?<title>(?:\\.|(?!\2)[^\\])*)\2/gm;
/** A table of cases (`test.each([…])("title")`): the title stands after the table's end. */
const TABLE_TITLE = /^[\t ]*\]\)\(\s*(["'`])(?<title>(?:\\.|(?!\1)[^\\])*)\1/gm;
/** Such tests don't run, so they prove no rule. */
const IDLE = /\.(?:skip|todo)\b/;

/** Titles of a file's tests that run. */
export function testTitles(text: string): { title: string; line: number }[] {
	const titles = [
		...[...text.matchAll(TITLE)].filter((match) => !IDLE.test(match[1] ?? "")),
		...text.matchAll(TABLE_TITLE),
	].map((match) => ({
		title: match.groups?.title ?? "",
		// The title's own line, which is where both expressions end.
		line: lineAt(text, match.index + match[0].length),
	}));
	const seen = new Map(titles.map((each) => [`${each.line} ${each.title}`, each]));
	return [...seen.values()].sort((one, other) => one.line - other.line);
}

/** Rules that no test cites, citations of rules that don't exist, and rules that the page numbers twice. */
export function ruleFindings(page: SourceFile, tests: readonly SourceFile[]): Finding[] {
	const findings: Finding[] = [];
	const rules = new Map<string, number>();
	for (const match of page.text.matchAll(RULE)) {
		const [id, line] = [match[1] ?? "", lineAt(page.text, match.index)];
		if (rules.has(id)) findings.push({ path: page.path, line, what: `${id} stands here twice` });
		rules.set(id, line);
	}
	const cited = new Set<string>();
	for (const file of tests) {
		for (const { title, line } of testTitles(file.text)) {
			for (const id of title.match(ID) ?? []) cited.add(id);
			const first = CITES.exec(title)?.[0];
			if (first === undefined || rules.has(first)) continue;
			findings.push({ path: file.path, line, what: `${first} is no rule of ${page.path}` });
		}
	}
	for (const [id, line] of rules) {
		if (!cited.has(id)) findings.push({ path: page.path, line, what: `${id} stands in no test's title` });
	}
	return findings;
}
