/** Requests of the media interface: bodies are streams of known length, which fetch does not send as such. */
import { once } from "node:events";
import { Agent, type IncomingHttpHeaders, type IncomingMessage, request as plainRequest } from "node:http";
import { Agent as TlsAgent, request as tlsRequest } from "node:https";
import { HttpError } from "../../protocol/http.ts";
import { ServerRefusal, ServerUnreachable } from "../transport/errors.ts";
import type { Api } from "../transport/http.ts";

/** Without a byte in either direction the connection counts as lost. */
const SILENCE_MS = 30_000;
/** No answer but a blob has more. */
const ANSWER_BYTES_MAX = 64 * 1024;

export interface MediaRequest {
	method: "GET" | "HEAD" | "POST" | "PUT" | "PATCH" | "DELETE";
	/** Below the server's address. */
	path: string;
	headers?: Record<string, string>;
	body?: { bytes: number; pieces: AsyncIterable<Uint8Array> };
	signal: AbortSignal;
}

export interface MediaAnswer {
	status: number;
	headers: IncomingHttpHeaders;
	/** Has to be read or destroyed. */
	body: IncomingMessage;
}

/** Requests whose bodies stream, with a token. */
export class MediaHttp {
	readonly api: Api;
	readonly #agent: Agent;
	readonly #request: typeof plainRequest;

	constructor(api: Api) {
		this.api = api;
		const secure = api.server.startsWith("https:");
		this.#agent = secure ? new TlsAgent({ keepAlive: true }) : new Agent({ keepAlive: true });
		this.#request = secure ? tlsRequest : plainRequest;
	}

	/**
	 * Throws `ServerRefusal` for an answer that is no, `ServerUnreachable` where there is none, or the signal's reason.
	 */
	async send(request: MediaRequest): Promise<MediaAnswer> {
		const token = await this.api.accessToken();
		const body = await this.#exchange(request, token);
		const status = body.statusCode ?? 0;
		if (status >= 200 && status < 300) return { status, headers: body.headers, body };
		const refusal = await refusalOf(body, status);
		if (refusal.code === "token_expired") this.api.dropToken(token);
		throw refusal;
	}

	/** As `send`, for an answer whose body says nothing that is needed. */
	async done(request: MediaRequest): Promise<IncomingHttpHeaders> {
		const { headers, body } = await this.send(request);
		// Read to its end, so that the connection can be used again; cut off where that doesn't come.
		readSome(body).catch(() => {});
		return headers;
	}

	/** As `send`, for an answer that is read whole: no longer than any of this interface. */
	async text(request: MediaRequest): Promise<string> {
		const { status, body } = await this.send(request);
		const text = await readSome(body);
		if (text === undefined) throw new ServerRefusal(status, "unexpected_answer", "the server's answer has no end");
		return text;
	}

	close(): void {
		this.#agent.destroy();
	}

	async #exchange({ method, path, headers, body, signal }: MediaRequest, token: string): Promise<IncomingMessage> {
		const request = this.#request(`${this.api.server}${path}`, {
			method,
			agent: this.#agent,
			signal,
			headers: {
				authorization: `Bearer ${token}`,
				...headers,
				...(body === undefined ? {} : { "content-length": String(body.bytes) }),
			},
		});
		request.setTimeout(SILENCE_MS, () => request.destroy(new Error("no answer in time")));
		const answered = new Promise<IncomingMessage>((resolve, reject) => {
			request.once("response", resolve);
			request.once("error", (error) => {
				const why = `cannot reach ${this.api.server}: ${error.message}`;
				reject(signal.aborted ? signal.reason : new ServerUnreachable(why, { cause: error }));
			});
		});
		if (body === undefined) {
			request.end();
			return answered;
		}
		// A refusal may come before the body has gone out; then the rest of it stays here.
		let over = false;
		const end = (): void => {
			over = true;
		};
		answered.then(end, end);
		let failure: unknown;
		try {
			for await (const piece of body.pieces) {
				if (over) break;
				const written = new Promise<void>((resolve) => void request.write(piece, () => resolve()));
				await Promise.race([written, answered.catch(() => undefined)]);
			}
			if (!over) request.end();
		} catch (error) {
			failure = error;
			request.destroy();
		}
		const answer = await answered.catch((error: unknown) => {
			throw failure ?? error;
		});
		if (over && !request.writableEnded) answer.once("close", () => request.destroy());
		return answer;
	}
}

async function refusalOf(body: IncomingMessage, status: number): Promise<ServerRefusal> {
	const refusal = HttpError.safeParse(parsed((await readSome(body)) ?? ""));
	if (refusal.success) return new ServerRefusal(status, refusal.data.code, refusal.data.message, refusal.data.limit);
	return new ServerRefusal(status, "unexpected_answer", `the server answered ${status}`);
}

/** An answer's body as text; undefined where it is longer than it may be, and then the connection is cut. */
async function readSome(body: IncomingMessage): Promise<string | undefined> {
	const pieces: Uint8Array[] = [];
	let read = 0;
	body.on("error", () => {});
	body.on("data", (bytes: Uint8Array) => {
		read += bytes.length;
		if (read <= ANSWER_BYTES_MAX) pieces.push(bytes);
		else body.destroy();
	});
	if (!body.destroyed) await once(body, "close").catch(() => undefined);
	return read <= ANSWER_BYTES_MAX ? Buffer.concat(pieces).toString() : undefined;
}

function parsed(text: string): unknown {
	try {
		return JSON.parse(text);
	} catch {
		return undefined;
	}
}
