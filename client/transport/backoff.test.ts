import { expect, test } from "vitest";
import { Backoff } from "./backoff.ts";

test("the ceiling of the wait doubles from 0.2 s to 30 s, and a success starts over", () => {
	const backoff = new Backoff(() => 0.999999);
	const delays = Array.from({ length: 12 }, () => backoff.nextDelayMs());
	expect(delays.slice(0, 5)).toEqual([199, 399, 799, 1599, 3199]);
	expect(delays.at(-1)).toBe(29_999);
	expect(backoff.attempts).toBe(12);
	backoff.succeeded();
	expect(backoff.nextDelayMs()).toBe(199);
});

test("jitter is full: a wait may be anything from nothing to the ceiling", () => {
	const chances = [0, 0.5, 0.25];
	const backoff = new Backoff(() => chances.shift() ?? 0);
	expect([backoff.nextDelayMs(), backoff.nextDelayMs(), backoff.nextDelayMs()]).toEqual([0, 200, 200]);
});
