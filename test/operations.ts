/** The operations that the api's own document describes. */
import { z } from "zod";
import { HttpErrorCode } from "../protocol/http.ts";
import { app } from "../workers/api/app.ts";

/** The part of the document that the tests read. */
const Described = z.object({
	paths: z.record(
		z.string(),
		z.record(
			z.string(),
			z.object({
				responses: z.object({
					default: z.object({
						content: z.object({
							"application/json": z.object({
								schema: z.object({ properties: z.object({ code: z.object({ enum: z.array(HttpErrorCode) }) }) }),
							}),
						}),
					}),
				}),
			}),
		),
	),
});

export interface Operation {
	/** As in `GET /v1/keys`. */
	name: string;
	/** The codes with which it refuses. */
	codes: HttpErrorCode[];
	/** Matches the paths of requests. */
	pattern: RegExp;
}

const { paths } = Described.parse(app.getOpenAPI31Document({ openapi: "3.1.0", info: { title: "", version: "" } }));

/** Every operation of the document. */
export const OPERATIONS: readonly Operation[] = Object.entries(paths).flatMap(([path, methods]) =>
	Object.entries(methods).map(([method, { responses }]) => ({
		name: `${method.toUpperCase()} ${path}`,
		codes: responses.default.content["application/json"].schema.properties.code.enum,
		pattern: new RegExp(`^${method.toUpperCase()} ${path.replaceAll(/\{\w+\}/g, "[^/]+")}$`),
	})),
);

/** The operation that answers a request; undefined where there is none. */
export function findOperation(method: string, path: string): Operation | undefined {
	const request = `${method} ${path.split("?")[0]}`;
	// A path that is spelled out comes before one with a parameter in its place.
	const matches = OPERATIONS.filter(({ pattern }) => pattern.test(request));
	return matches.find(({ name }) => !name.includes("{")) ?? matches[0];
}
