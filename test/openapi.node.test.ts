/** The document that the api serves, and the pages that list what it may answer. */
import { readFileSync } from "node:fs";
import { Validator } from "@seriousme/openapi-schema-validator";
import { expect, test } from "vitest";
import { ErrorCode } from "../protocol/gen/common_pb.js";
import { HTTP_STATUS, HttpErrorCode } from "../protocol/http.ts";
import { app } from "../workers/api/app.ts";
import { OPERATIONS } from "./operations.ts";

const page = readFileSync("specs/protocol.md", "utf8");

/** The api hands these to the media Worker, whatever their method. */
const PASSED_ON = /\/v1\/media\/(?:uploads|blobs)/;

/** The codes of a table of the page, with their statuses. */
function listed(section: string): Map<string, string> {
	const text = page.split(`## ${section}\n`)[1]?.split("\n## ")[0] ?? "";
	const rows = text.split("\n").filter((line) => line.startsWith("| `"));
	return new Map(
		rows.flatMap((row) => {
			const [, codes = "", status = ""] = row.split("|");
			return [...codes.matchAll(/`(\w+)`/g)].map(([, code = ""]) => [code, status.trim()] as const);
		}),
	);
}

test("REFUSED-1 the document is valid OpenAPI 3.1, and the validator tells one that isn't", async () => {
	const document = app.getOpenAPI31Document({ openapi: "3.1.0", info: { title: "Parley", version: "1" } });
	const text = JSON.stringify(document);
	const checked = await new Validator().validate(JSON.parse(text));
	expect(checked).toEqual({ valid: true });
	const broken = JSON.parse(text.replaceAll('"responses"', '"answers"'));
	expect((await new Validator().validate(broken)).valid).toBe(false);
});

test("every route of the app is an operation of the document, and every operation a route", () => {
	const routes = app.routes
		// Middleware stands for all methods.
		.filter(({ method, path }) => method !== "ALL" && !PASSED_ON.test(path))
		.map(({ method, path }) => `${method} ${path.replaceAll(/:(\w+)(\{[^}]*\})?/g, "{$1}")}`);
	const operations = OPERATIONS.map(({ name }) => name).filter((name) => !PASSED_ON.test(name));
	expect(operations.toSorted()).toEqual([...new Set(routes)].toSorted());
	expect(operations.length).toBeGreaterThan(10);
});

test("every operation stands in a table of the page, and is open only where the page says so", () => {
	const rows = page.split("\n").filter((line) => /^\| `[A-Z]+[` ,]/.test(line) && line.includes("/v1/"));
	const requests = rows.flatMap((row) => {
		const [, request = "", what = ""] = row.split("|");
		const path = /(\/v1\/[^`]*)`/.exec(request)?.[1] ?? "";
		const methods = [...request.matchAll(/\b[A-Z]{3,}\b/g)];
		return methods.map(([method]) => ({
			name: `${method} ${path}`,
			open: what.includes("open:") || method === "OPTIONS",
		}));
	});
	expect(requests.map(({ name }) => name).toSorted()).toEqual(OPERATIONS.map(({ name }) => name).toSorted());
	const withoutToken = OPERATIONS.filter(({ codes }) => !codes.includes("token_expired"));
	expect(
		requests
			.filter(({ open }) => open)
			.map(({ name }) => name)
			.toSorted(),
	).toEqual(withoutToken.map(({ name }) => name).toSorted());
});

test("REFUSED-1 every code of a refused request stands in an operation, and on the page with its status", () => {
	const requests = listed("Codes of refused requests");
	const media = listed("Codes of refused media requests");
	for (const [code, status] of [...requests, ...media]) {
		expect(`${code} ${status}`).toBe(`${code} ${HTTP_STATUS[HttpErrorCode.parse(code)]}`);
	}
	expect(new Set([...requests.keys(), ...media.keys()])).toEqual(new Set(HttpErrorCode.options));
	expect(new Set(OPERATIONS.flatMap(({ codes }) => codes))).toEqual(new Set(HttpErrorCode.options));
});

test("REFUSED-1 every code of a refused frame stands on the page", () => {
	const codes = Object.values(ErrorCode).filter((name) => typeof name === "string");
	for (const code of codes) {
		if (code !== ErrorCode[ErrorCode.UNSPECIFIED]) expect(page, code).toMatch(new RegExp(`^\\| \`${code}\``, "m"));
	}
});
