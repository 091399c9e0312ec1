/** Grants, which the api signs (rule GRANT-1); verified without a database. */
import { verify } from "hono/jwt";
import { z } from "zod";
import { MEDIA_HEADERS, MEDIA_ID_PATTERN } from "../../protocol/media.ts";
import type { MediaEnv } from "./env.ts";
import type { GrantClaims } from "./interface.ts";
import { Refusal } from "./refusal.ts";

const SECRET_CHARACTERS_MIN = 32;

const Claims = z.object({
	sub: z.string().regex(MEDIA_ID_PATTERN),
	max: z.int().min(1),
	exp: z.int(),
}) satisfies z.ZodType<Pick<GrantClaims, "sub" | "max" | "exp">>;

/** What an account may do with its uploads and holds. */
export interface Grant {
	/** Whose quota it is. */
	subject: string;
	bytes_max: number;
}

/** The grant of a request. Throws `grant_invalid` or `grant_expired`. */
export async function readGrant(env: MediaEnv, headers: Headers, now_ms: number): Promise<Grant> {
	const secret = env.MEDIA_GRANT_SECRET ?? "";
	// With a guessable secret anybody could make grants.
	if (secret.length < SECRET_CHARACTERS_MIN) throw new Refusal("internal", "MEDIA_GRANT_SECRET is missing or short");
	const claims = Claims.safeParse(await signedClaims(headers.get(MEDIA_HEADERS.grant) ?? "", secret));
	if (!claims.success) throw new Refusal("grant_invalid", "a grant of this server is needed");
	if (claims.data.exp * 1000 <= now_ms) throw new Refusal("grant_expired", "the grant has expired");
	return { subject: claims.data.sub, bytes_max: claims.data.max };
}

/** Undefined where the signature is not good; the time is looked at afterwards, so that a forgery never "expires". */
async function signedClaims(grant: string, secret: string): Promise<unknown> {
	try {
		return await verify(grant, secret, { alg: "HS256", exp: false, iat: false, nbf: false });
	} catch {
		return undefined;
	}
}
