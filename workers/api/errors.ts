/** Every refusal of the HTTP interface has one shape, and each code one status (rule REFUSED-1). */
import type { ContentfulStatusCode } from "hono/utils/http-status";
import type { HttpError, HttpErrorCode } from "../../protocol/http.ts";

const STATUS = {
	malformed: 400,
	body_too_large: 413,
	unauthorized: 401,
	token_expired: 401,
	not_found: 404,
	username_taken: 409,
	bad_signature: 422,
	too_many_prekeys: 422,
	rate_limited: 429,
	upgrade_expected: 426,
	internal: 500,
} as const satisfies Record<HttpErrorCode, ContentfulStatusCode>;

/** Thrown anywhere below a route; what it says goes to the caller, so it names no key, id or token. */
export class Refusal extends Error {
	readonly code: HttpErrorCode;
	readonly limit: number | undefined;

	constructor(code: HttpErrorCode, message: string, limit?: number) {
		super(message);
		this.code = code;
		this.limit = limit;
	}
}

export function refusalResponse(refusal: Refusal): Response {
	const body: HttpError = {
		code: refusal.code,
		message: refusal.message,
		...(refusal.limit === undefined ? {} : { limit: refusal.limit }),
	};
	return Response.json(body, { status: STATUS[refusal.code] });
}
