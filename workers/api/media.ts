/** Media: grants, and the door to the media Worker, which streams. */
import { createRoute, type OpenAPIHono } from "@hono/zod-openapi";
import type { Context } from "hono";
import { sign } from "hono/jwt";
import { encodeBase64Url } from "hono/utils/encode";
import { MediaGrant } from "../../protocol/http.ts";
import { LIMITS } from "../../protocol/limits.ts";
import { MEDIA_PATHS } from "../../protocol/media.ts";
import type { GrantClaims } from "../media/interface.ts";
import type { ApiEnv } from "./env.ts";
import { type ApiTypes, authenticate, limitAccount, requireDevice } from "./guards.ts";
import { bearer, json, refusals, refusalsWithToken } from "./shapes.ts";
import { strongSecret } from "./tokens.ts";

const grant = createRoute({
	method: "post",
	path: MEDIA_PATHS.grants,
	summary: "A grant for uploads and holds (rule GRANT-1)",
	security: bearer,
	middleware: [authenticate, limitAccount, requireDevice] as const,
	responses: { 200: json(MediaGrant, "the grant"), ...refusalsWithToken() },
});

/** What the media Worker answers, for the interface's description: the protocol's page has the headers. */
const PASSED_ON = [
	["options", "/v1/media/uploads", "What tus can do here"],
	["post", "/v1/media/uploads", "Creates an upload, by tus 1.0 (rule UPLOAD-1)"],
	["head", "/v1/media/uploads/{upload}", "How far an upload is"],
	["patch", "/v1/media/uploads/{upload}", "Continues an upload"],
	["delete", "/v1/media/uploads/{upload}", "Removes an upload (rule UPLOAD-7)"],
	["get", "/v1/media/blobs/{blob}", "A blob, or a range of it (rule BLOB-2)"],
	["head", "/v1/media/blobs/{blob}", "A blob's size and tag"],
	["delete", "/v1/media/blobs/{blob}", "Ends a hold on a blob (rule BLOB-4)"],
	["put", "/v1/media/blobs/{blob}/hold", "Holds a blob, or holds it longer (rule BLOB-3)"],
] as const;

/** What the media Worker refuses requests with; the protocol's page says which code means what. */
const REFUSED = [
	"malformed",
	"not_found",
	"grant_invalid",
	"grant_expired",
	"tus_version_unsupported",
	"metadata_refused",
	"upload_empty",
	"upload_too_large",
	"content_type_unsupported",
	"offset_conflict",
	"upload_superseded",
	"checksum_unsupported",
	"checksum_mismatch",
	"quota_day_exceeded",
	"quota_kept_exceeded",
	"too_many_holds",
	"too_many_uploads",
	"precondition_failed",
	"range_not_satisfiable",
	"storage_unavailable",
] as const;

/** What the media Worker has no need of: who calls, from where, and with which token. */
const WITHHELD =
	/^(?:authorization|cookie|forwarded|true-client-ip|user-agent|referer|x-real-ip|x-forwarded-.*|cf-.*)$/;

/** Grants, and the streams to and from the media Worker. */
export function addMedia(app: OpenAPIHono<ApiTypes>): void {
	app.openapi(grant, async (context) => {
		const subject = await mediaSubject(context.env, context.var.caller.accountId);
		const exp = Math.floor(Date.now() / 1000) + LIMITS.media_grant_seconds;
		const claims: GrantClaims = { sub: subject, max: LIMITS.media_bytes, exp };
		const signed = await sign(claims, strongSecret(context.env, "MEDIA_GRANT_SECRET"), "HS256");
		return context.json({ grant: signed, expiresAtMs: exp * 1000, uploadBytesMax: LIMITS.media_bytes }, 200);
	});

	for (const [method, path, summary] of PASSED_ON) {
		const security = method === "options" ? [] : bearer;
		const answered = { "2XX": { description: "as the protocol's page says" } };
		const codes = method === "options" ? refusals() : refusalsWithToken(...REFUSED);
		const responses = { ...answered, ...codes };
		app.openAPIRegistry.registerPath({ method, path, summary, security, responses });
	}

	// What tus can do is no secret, and its clients ask without a token.
	for (const path of [MEDIA_PATHS.uploads, `${MEDIA_PATHS.uploads}/:id`]) app.on("OPTIONS", path, passOn);
	// A removed device's token may read blobs whose ids it has, and continue its uploads, until it expires.
	for (const path of [MEDIA_PATHS.uploads, `${MEDIA_PATHS.uploads}/*`, "/v1/media/blobs/*"]) {
		app.all(path, authenticate, limitAccount, passOn);
	}
}

/** The name under which the media Worker knows an account: nobody without the secret finds one from the other. */
export async function mediaSubject(env: ApiEnv, accountId: string): Promise<string> {
	const encoder = new TextEncoder();
	const secret = encoder.encode(strongSecret(env, "MEDIA_SUBJECT_SECRET"));
	const key = await crypto.subtle.importKey("raw", secret, { name: "HMAC", hash: "SHA-256" }, false, ["sign"]);
	const mac = await crypto.subtle.sign("HMAC", key, encoder.encode(`parley media subject v1\0${accountId}`));
	return encodeBase64Url(mac).replaceAll("=", "");
}

/** Both bodies stream through; the api reads neither. */
function passOn(context: Context<ApiTypes>): Promise<Response> {
	const { raw } = context.req;
	const headers = new Headers(raw.headers);
	for (const name of [...headers.keys()]) if (WITHHELD.test(name)) headers.delete(name);
	return context.env.MEDIA.fetch(new Request(raw, { headers }));
}
