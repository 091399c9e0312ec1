import { expect, test } from "vitest";
import { LIMITS } from "../protocol/limits.ts";
import { checkedServer, checkText } from "./arguments.ts";

test("REFUSED-1 a text has one byte at least, and bytes count, not letters", () => {
	const longest = "ä".repeat(LIMITS.text_bytes / 2);
	expect(() => checkText(longest)).not.toThrow();
	expect(() => checkText(`${longest}ä`)).toThrow("longer than");
	expect(() => checkText("")).toThrow("empty");
});

test("REFUSED-1 a server is an http or https URL, and has one spelling", () => {
	expect(checkedServer("https://parley.example//")).toBe("https://parley.example");
	for (const bad of ["parley.example", "ftp://parley.example", "javascript:alert(1)", ""]) {
		expect(() => checkedServer(bad)).toThrow("must be an http or https URL");
	}
});
