/** Pieces of the OpenAPI description that routes share. */
import { z } from "zod";
import { HTTP_STATUS, HttpError, type HttpErrorCode } from "../../protocol/http.ts";
import { UUID_PATTERN } from "../../protocol/ids.ts";

/** A JSON answer. */
export const json = <T extends z.ZodType>(schema: T, description: string) => ({
	content: { "application/json": { schema } },
	description,
});

/** A JSON body that must be there. */
export const body = <T extends z.ZodType>(schema: T) => ({
	content: { "application/json": { schema } },
	required: true,
});

/** What any request may be refused with. */
const ALWAYS = ["body_too_large", "rate_limited", "internal"] as const;

/**
 * The refusals of an operation: these codes, and those that every operation has. The tests fail on an answer whose code
 * its operation doesn't name.
 */
export function refusals(...codes: HttpErrorCode[]) {
	const all = [...codes, ...ALWAYS];
	const schema = HttpError.extend({ code: z.enum(all) });
	const text = all.map((code) => `${code} (${HTTP_STATUS[code]})`).join(", ");
	return { default: json(schema, `refused: ${text}`) };
}

/** The same for an operation that needs an access token. */
export function refusalsWithToken(...codes: HttpErrorCode[]) {
	return refusals("unauthorized", "token_expired", ...codes);
}

export const bearer = [{ accessToken: [] }];

export const AccountParameters = z.object({ accountId: z.string().regex(UUID_PATTERN) });
