/** Pieces of the OpenAPI description that routes share. */
import { z } from "zod";
import { HttpError } from "../../protocol/http.ts";
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

/** Any refusal. */
export const refused = { default: json(HttpError, "refused; the code says why") };

export const bearer = [{ accessToken: [] }];

export const AccountParameters = z.object({ accountId: z.string().regex(UUID_PATTERN) });
