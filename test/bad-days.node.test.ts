/** The page of bad days names tests that are there. */
import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { testTitles } from "../scripts/rules.ts";

const ROW = /^\|[^|]*\|[^|]*\| `([^`]+)`: (.+) \|$/;

test("REFUSED-1 each row of the page of bad days names a test that runs", () => {
	const rows = readFileSync("specs/bad-days.md", "utf8")
		.split("\n")
		// Not the heads of the tables.
		.filter((line) => line.startsWith("|") && !line.startsWith("| What |") && !line.startsWith("|---"));
	expect(rows.length).toBeGreaterThan(90);
	for (const row of rows) {
		const [, path = "", title = ""] = ROW.exec(row) ?? [];
		expect(path, row).not.toBe("");
		const titles = testTitles(readFileSync(path, "utf8")).map((each) => each.title);
		expect(
			titles.some((each) => each.startsWith(title)),
			`${path}: ${title}`,
		).toBe(true);
	}
});
