import { expect, test } from "vitest";
import { outcome } from "./report.ts";

const report = (passed: number, failed: number, files: { status: string; tests: string[] }[] = []) => ({
	numPassedTests: passed,
	numFailedTests: failed,
	testResults: files.map((file) => ({
		status: file.status,
		assertionResults: file.tests.map((status) => ({ status })),
	})),
});

test("passed and failed tests are counted", () => {
	expect(outcome(report(3, 1, [{ status: "failed", tests: ["passed", "failed"] }]), 1)).toEqual({
		passed: 3,
		failed: 1,
	});
	expect(outcome(report(3, 0), 0)).toEqual({ passed: 3, failed: 0 });
});

test("a file that did not load is a failure", () => {
	expect(outcome(report(3, 0, [{ status: "failed", tests: [] }]), 1)).toEqual({ passed: 3, failed: 1 });
});

test("no report, no tests, and a failure without a test are failures", () => {
	expect(outcome(undefined, 0).failed).toBe(1);
	expect(outcome(report(0, 0), 0).failed).toBe(1);
	expect(outcome(report(3, 0), 1)).toEqual({ passed: 3, failed: 1 });
});
