/** `npm run check`: everything that can be checked without running the code, one line each; 1 when anything fails. */
import colors from "picocolors";
import { boundaryFindings } from "./boundaries.ts";
import { migrationFindings, protocolFindings } from "./generated.ts";
import { limitFindings } from "./limits.ts";
import { readOptions } from "./options.ts";
import { type Finding, run, sourceFiles } from "./repository.ts";
import { RULES_PAGE, ruleFindings } from "./rules.ts";
import { styleFindings } from "./style.ts";

/** The outcome of one check: what is wrong, as text; empty when nothing is. */
type Check = readonly [name: string, complaints: () => string];

const CHECKS: readonly Check[] = [
	["format and lint", () => tool("biome", ["check", "--max-diagnostics=50", "."])],
	["types", () => tool("tsc", ["--noEmit"])],
	["room boundaries", () => listed(boundaryFindings(sourceFiles([".ts"])))],
	["rules and tests", () => listed(rules())],
	["style", () => listed(styleFindings(sourceFiles([".ts", ".proto", ".md", ".sql", ".toml"])))],
	["generated protocol", () => listed(protocolFindings())],
	["generated limits", () => listed(limitFindings())],
	["generated migrations", () => listed(migrationFindings())],
	["dead code", () => tool("knip", ["--no-progress"])],
];

function tool(command: string, args: readonly string[]): string {
	const result = run(command, args);
	return result.ok ? "" : result.output || `${command} failed`;
}

function rules(): Finding[] {
	const page = sourceFiles([RULES_PAGE])[0];
	if (page === undefined) return [{ path: RULES_PAGE, line: 0, what: "is missing" }];
	return ruleFindings(page, sourceFiles([".test.ts"]));
}

function listed(findings: readonly Finding[]): string {
	return findings.map(({ path, line, what }) => `${path}${line > 0 ? `:${line}` : ""}  ${what}\n`).join("");
}

const HELP = `npm run check

Checks all that can be checked without running the code, a line for each, and ends with 1 where something fails:

${CHECKS.map(([name]) => `  ${name}`).join("\n")}

\`npm run fix\` mends what the formatter and the linter can mend, \`npm run generate\` makes generated files anew.
`;

readOptions(HELP, { options: {} });
let failed = 0;
for (const [name, complaints] of CHECKS) {
	const start_ms = performance.now();
	const text = complaints();
	const took = colors.dim(`${((performance.now() - start_ms) / 1000).toFixed(1)} s`);
	console.log(`${text === "" ? colors.green("✓") : colors.red("✗")} ${name} ${took}`);
	if (text === "") continue;
	failed++;
	console.log(text.replace(/^(?=.)/gm, "  ").trimEnd());
}
console.log(failed === 0 ? "everything holds" : colors.red(`${failed} of ${CHECKS.length} checks failed`));
process.exitCode = failed === 0 ? 0 : 1;
