import { expect, test } from "vitest";
import { type Bound, type Figure, kept, median, ratio } from "./figures.ts";

const figure: Figure = { benchmark: "throughput", what: "messages", unit: "1/s", parley: 60, bare: 100, bounds: [] };
const bound: Bound = { of: "ratio", relation: "at least", value: 0.6, why: "" };

test("a bound is kept at its very value, and missed beyond", () => {
	expect(kept(figure, bound)).toBe(true);
	expect(kept({ ...figure, parley: 59 }, bound)).toBe(false);
	expect(kept(figure, { ...bound, of: "figure", relation: "at most", value: 59 })).toBe(false);
});

test("without a bare figure there is no ratio and no verdict on it", () => {
	const alone: Figure = { benchmark: "rows", what: "rows", unit: "", parley: 2, bounds: [] };
	expect(ratio(alone)).toBeUndefined();
	expect(kept(alone, bound)).toBeUndefined();
});

test("the median is the middle, whatever the order", () => {
	expect(median([9, 1, 5])).toBe(5);
});
