/** How a request to the server can fail. */
import type { HttpErrorCode } from "../../protocol/http.ts";

/** The server answered, and its answer was no. */
export class ServerRefusal extends Error {
	override readonly name = "ServerRefusal";
	/** The protocol's code, or `unexpected_answer` where the answer was none of this protocol. */
	readonly code: HttpErrorCode | "unexpected_answer";
	readonly status: number;
	readonly limit: number | undefined;

	constructor(status: number, code: HttpErrorCode | "unexpected_answer", message: string, limit?: number) {
		super(message);
		this.status = status;
		this.code = code;
		this.limit = limit;
	}

	/** Whether the same request may succeed later. */
	get passing(): boolean {
		return this.status >= 500 || this.status === 429;
	}
}

/** There was no answer: no network, no server, or it took too long. */
export class ServerUnreachable extends Error {
	override readonly name = "ServerUnreachable";
}

/** Whatever was thrown, as an error. */
export function asError(error: unknown): Error {
	return error instanceof Error ? error : new Error(String(error));
}
