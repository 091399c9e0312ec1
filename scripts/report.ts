/** What a test run amounts to. A file that did not load, or a run without a test, must never look like a success. */
import { z } from "zod";

/** The part of the JSON report that counts. */
const Report = z.object({
	numPassedTests: z.int(),
	numFailedTests: z.int(),
	testResults: z.array(z.object({ status: z.string(), assertionResults: z.array(z.object({ status: z.string() })) })),
});

export interface Outcome {
	passed: number;
	failed: number;
}

/** Counts a report; `report` is undefined when there is none. `exitCode` is the runner's own opinion. */
export function outcome(report: unknown, exitCode: number | null): Outcome {
	const parsed = Report.safeParse(report);
	if (!parsed.success) return { passed: 0, failed: 1 };
	const { numPassedTests: passed, numFailedTests, testResults } = parsed.data;
	const unloaded = testResults.filter(
		(file) => file.status === "failed" && !file.assertionResults.some((each) => each.status === "failed"),
	);
	const failed = numFailedTests + unloaded.length;
	const unexplained = failed === 0 && (exitCode !== 0 || passed === 0);
	return { passed, failed: unexplained ? 1 : failed };
}
