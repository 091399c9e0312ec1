import { expect, test } from "vitest";
import { differences } from "./generated.ts";

test("a changed, a missing and a left-over file are found", () => {
	const committed = new Map(Object.entries({ same: "1", changed: "1", left: "1" }));
	const fresh = new Map(Object.entries({ same: "1", changed: "2", missing: "1" }));
	expect(differences("gen", committed, fresh).map((finding) => finding.path)).toEqual([
		"gen/changed",
		"gen/missing",
		"gen/left",
	]);
	expect(differences("gen", fresh, fresh)).toEqual([]);
});
