/** Refusals of the media Worker: the one error shape of the HTTP interface, with tus's headers (rule REFUSED-1). */

import { HTTP_STATUS, type HttpError, type HttpErrorCode } from "../../protocol/http.ts";
import { TUS_VERSION } from "../../protocol/media.ts";
import { logFault } from "../fault-log.ts";

/** Thrown anywhere below the door; what it says goes to the caller, so it names no id, key or grant. */
export class Refusal extends Error {
	override readonly name = "Refusal";
	readonly code: HttpErrorCode;
	readonly limit: number | undefined;
	readonly headers: Readonly<Record<string, string>>;

	constructor(code: HttpErrorCode, message: string, limit?: number, headers: Record<string, string> = {}) {
		super(message);
		this.code = code;
		this.limit = limit;
		this.headers = headers;
	}
}

/** One answer for everything that isn't there, so that guessing tells nothing (rule BLOB-1). */
export function notFound(): Refusal {
	return new Refusal("not_found", "there is no such upload or blob");
}

export function refusalResponse(refusal: Refusal): Response {
	const body: HttpError = {
		code: refusal.code,
		message: refusal.message,
		...(refusal.limit === undefined ? {} : { limit: refusal.limit }),
	};
	const headers = { "tus-resumable": TUS_VERSION, "cache-control": "no-store", ...refusal.headers };
	return Response.json(body, { status: HTTP_STATUS[refusal.code], headers });
}

/** Every fault becomes the one error shape; what it says inside stays inside. */
export function faultResponse(error: unknown, where: string): Response {
	if (error instanceof Refusal) return refusalResponse(error);
	logFault(where, error);
	return refusalResponse(new Refusal("internal", "the server failed"));
}
