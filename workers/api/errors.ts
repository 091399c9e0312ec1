/** Every refusal of the HTTP interface has one shape, and each code one status (rule REFUSED-1). */
import { HTTP_STATUS, type HttpError, type HttpErrorCode } from "../../protocol/http.ts";

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

/** What a device is told whose token is good and which is not there any more: the same wherever it asks. */
export const REMOVED = "this account or device was removed";

/** The one shape of a refusal. */
export function refusalResponse(refusal: Refusal): Response {
	const body: HttpError = {
		code: refusal.code,
		message: refusal.message,
		...(refusal.limit === undefined ? {} : { limit: refusal.limit }),
	};
	return Response.json(body, { status: HTTP_STATUS[refusal.code] });
}
