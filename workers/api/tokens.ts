/** Access tokens (rule ACCOUNT-3) and device secrets (rule ACCOUNT-2). */

import { sign, verify } from "hono/jwt";
import { z } from "zod";
import type { AccessToken } from "../../protocol/http.ts";
import { toHex, UUID_PATTERN } from "../../protocol/ids.ts";
import { LIMITS } from "../../protocol/limits.ts";
import { logFault } from "../fault-log.ts";
import type { ApiEnv } from "./env.ts";
import { Refusal } from "./errors.ts";

const SECRET_CHARACTERS_MIN = 32;

/** A device that has shown a good token. */
export interface Caller {
	accountId: string;
	device: number;
}

const Claims = z.object({
	sub: z.string().regex(UUID_PATTERN),
	did: z.int().min(1).max(127),
	exp: z.int(),
	iat: z.int(),
});

type SecretName = "TOKEN_SECRET" | "MEDIA_GRANT_SECRET" | "MEDIA_SUBJECT_SECRET";

const told = new Set<SecretName>();

/** A secret that signs; without a good one nothing of it is served, because anybody could sign. */
export function strongSecret(env: ApiEnv, name: SecretName): string {
	const secret = env[name];
	if (secret !== undefined && secret.length >= SECRET_CHARACTERS_MIN) return secret;
	const message = `${name} is missing or shorter than ${SECRET_CHARACTERS_MIN} characters: set it with \`wrangler secret put ${name}\``;
	// Once for each instance: every request would say the same.
	if (!told.has(name)) logFault(message);
	told.add(name);
	throw new Refusal("internal", message);
}

/** Signs a token for the caller. Throws `internal` where the secret is missing or short. */
export async function issueToken(env: ApiEnv, caller: Caller, now_ms: number): Promise<AccessToken> {
	const iat = Math.floor(now_ms / 1000);
	const exp = iat + LIMITS.access_token_seconds;
	const claims = { sub: caller.accountId, did: caller.device, exp, iat };
	return { accessToken: await sign(claims, strongSecret(env, "TOKEN_SECRET"), "HS256"), expiresAtMs: exp * 1000 };
}

/** The device whose token this is; reads no database. */
export async function verifyToken(env: ApiEnv, token: string, now_ms: number): Promise<Caller> {
	const previous = env.TOKEN_SECRET_PREVIOUS;
	const secrets = [strongSecret(env, "TOKEN_SECRET")];
	if (previous !== undefined && previous.length >= SECRET_CHARACTERS_MIN) secrets.push(previous);
	for (const secret of secrets) {
		const claims = Claims.safeParse(await signedClaims(token, secret));
		if (!claims.success) continue;
		if (claims.data.exp * 1000 <= now_ms) throw new Refusal("token_expired", "the access token has expired");
		return { accountId: claims.data.sub, device: claims.data.did };
	}
	throw new Refusal("unauthorized", "the access token is not good");
}

/**
 * What a token with a good signature claims. The times are looked at afterwards: the library looks at them before the
 * signature, which would call a forged token expired, and clocks of two locations may differ by a second.
 */
async function signedClaims(token: string, secret: string): Promise<unknown> {
	try {
		return await verify(token, secret, { alg: "HS256", exp: false, iat: false, nbf: false });
	} catch {
		return undefined;
	}
}

/**
 * SHA-256 of a device secret, a link's address or a token, in hex: all that is stored of it. They are random and long,
 * so no salt is needed.
 */
export async function hashSecret(secret: Uint8Array<ArrayBuffer>): Promise<string> {
	return toHex(new Uint8Array(await crypto.subtle.digest("SHA-256", secret)));
}

/** Compares two hashes in constant time; an absent one is compared too, with a value that no secret has. */
export function sameHash(stored: string | undefined, given: string): boolean {
	const encoder = new TextEncoder();
	const one = encoder.encode(stored ?? "-".repeat(64));
	const other = encoder.encode(given);
	return one.length === other.length && crypto.subtle.timingSafeEqual(one, other);
}
