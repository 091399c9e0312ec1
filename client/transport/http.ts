/**
 * The HTTP side of the api. Access tokens last 15 minutes; this file gets a new one with the device secret shortly
 * before that, and when the server says that one has expired.
 */
import { z } from "zod";
import {
	AccessToken,
	ClaimedPreKeys,
	HttpError,
	MediaGrant,
	PreKeyBundles,
	PreKeyCounts,
	type PreKeyUpload,
	type RegisterRequest,
	RegisterResponse,
	UsernameResponse,
} from "../../protocol/http.ts";
import { MEDIA_PATHS } from "../../protocol/media.ts";
import type { Clock } from "./clock.ts";
import { ServerRefusal, ServerUnreachable } from "./errors.ts";

const TIMEOUT_MS = 10_000;
/** A token this close to its end is replaced before it is used: requests and clocks take time. */
const REFRESH_BEFORE_END_MS = 60_000;

export interface DeviceCredentials {
	accountId: string;
	deviceId: number;
	deviceSecret: string;
}

export interface ApiOptions {
	server: string;
	clock: Clock;
	/** Absent before registration. */
	credentials?: DeviceCredentials;
	fetch?: typeof fetch;
	timeoutMs?: number;
}

export interface Call {
	method: "GET" | "POST" | "PUT" | "DELETE";
	path: string;
	body?: unknown;
	authorized: boolean;
	headers?: Record<string, string>;
	timeoutMs?: number;
}

/** Requests to the api, with an access token that is fetched and renewed as needed. */
export class Api {
	readonly server: string;
	readonly #clock: Clock;
	readonly #credentials: DeviceCredentials | undefined;
	readonly #fetch: typeof fetch;
	readonly #timeoutMs: number;
	#token: AccessToken | undefined;
	#refreshing: Promise<AccessToken> | undefined;

	constructor(options: ApiOptions) {
		this.server = options.server.replace(/\/+$/, "");
		this.#clock = options.clock;
		this.#credentials = options.credentials;
		this.#fetch = options.fetch ?? fetch;
		this.#timeoutMs = options.timeoutMs ?? TIMEOUT_MS;
	}

	register(request: RegisterRequest): Promise<RegisterResponse> {
		const call: Call = { method: "POST", path: "/v1/accounts", body: request, authorized: false };
		return this.#ask(call, RegisterResponse);
	}

	/**
	 * The account behind a username's hash (base64url); undefined when there is none, or it is not to be found. `known`
	 * asks whether it is that account's, which also one that is not to be found confirms (rule FOUND-2).
	 */
	async lookupUsername(hash: string, known?: string): Promise<string | undefined> {
		const path = `/v1/usernames/${hash}${known === undefined ? "" : `?account=${known}`}`;
		const call: Call = { method: "GET", path, authorized: true };
		return (await this.#askOrNothing(call, UsernameResponse))?.accountId;
	}

	/** Prekeys for a first message to each device of an account; undefined when there is no such account. */
	claimPreKeys(accountId: string): Promise<PreKeyBundles | undefined> {
		return this.#askOrNothing(
			{ method: "POST", path: `/v1/accounts/${accountId}/keys`, authorized: true },
			PreKeyBundles,
		);
	}

	/** The same of many accounts, `LIMITS.claimed_accounts` at most. */
	claimManyPreKeys(accountIds: readonly string[]): Promise<ClaimedPreKeys> {
		const body = { accountIds };
		return this.#ask({ method: "POST", path: "/v1/keys/claims", body, authorized: true }, ClaimedPreKeys);
	}

	async uploadPreKeys(upload: PreKeyUpload): Promise<void> {
		await this.#ask({ method: "PUT", path: "/v1/keys", body: upload, authorized: true }, z.unknown());
	}

	preKeyCounts(): Promise<PreKeyCounts> {
		return this.#ask({ method: "GET", path: "/v1/keys", authorized: true }, PreKeyCounts);
	}

	/** What allows to upload and to hold blobs for a while. */
	mediaGrant(): Promise<MediaGrant> {
		return this.#ask({ method: "POST", path: MEDIA_PATHS.grants, authorized: true }, MediaGrant);
	}

	async deleteAccount(): Promise<void> {
		await this.#ask({ method: "DELETE", path: "/v1/accounts/me", authorized: true }, z.unknown());
	}

	/** A token that is good for at least another minute. */
	async accessToken(): Promise<string> {
		const known = this.#token;
		if (known !== undefined && known.expiresAtMs - this.#clock.nowMs() > REFRESH_BEFORE_END_MS)
			return known.accessToken;
		// Sockets and requests that start together share one refresh.
		this.#refreshing ??= this.#refresh().finally(() => {
			this.#refreshing = undefined;
		});
		return (await this.#refreshing).accessToken;
	}

	/** Forgets a token that the server refused, unless it has been replaced meanwhile. */
	dropToken(refused: string): void {
		if (this.#token?.accessToken === refused) this.#token = undefined;
	}

	async #refresh(): Promise<AccessToken> {
		if (this.#credentials === undefined) throw new ServerRefusal(401, "unauthorized", "this device is not registered");
		const { accountId, deviceId, deviceSecret } = this.#credentials;
		const body = { accountId, deviceId, deviceSecret };
		const token = await this.#ask({ method: "POST", path: "/v1/tokens", body, authorized: false }, AccessToken);
		this.#token = token;
		return token;
	}

	/** For the parts of the interface that have a file of their own. */
	call<T>(call: Call, answer: z.ZodType<T>): Promise<T> {
		return this.#ask(call, answer);
	}

	async #askOrNothing<T>(call: Call, answer: z.ZodType<T>): Promise<T | undefined> {
		try {
			return await this.#ask(call, answer);
		} catch (error) {
			if (error instanceof ServerRefusal && error.code === "not_found") return undefined;
			throw error;
		}
	}

	async #ask<T>(call: Call, answer: z.ZodType<T>): Promise<T> {
		if (!call.authorized) return this.#once(call, answer, undefined);
		const token = await this.accessToken();
		try {
			return await this.#once(call, answer, token);
		} catch (error) {
			// A removed device's token is refused before it expires: asking for a new one tells why (rule DEVICE-6).
			if (!(error instanceof ServerRefusal)) throw error;
			if (error.code !== "token_expired" && error.code !== "unauthorized") throw error;
			this.dropToken(token);
			return this.#once(call, answer, await this.accessToken());
		}
	}

	async #once<T>(call: Call, answer: z.ZodType<T>, token: string | undefined): Promise<T> {
		const headers: Record<string, string> = { accept: "application/json", ...call.headers };
		if (call.body !== undefined) headers["content-type"] = "application/json";
		if (token !== undefined) headers.authorization = `Bearer ${token}`;
		const request: RequestInit = {
			method: call.method,
			headers,
			signal: AbortSignal.timeout(call.timeoutMs ?? this.#timeoutMs),
		};
		if (call.body !== undefined) request.body = JSON.stringify(call.body);
		let status: number;
		let text: string;
		try {
			const response = await this.#fetch(`${this.server}${call.path}`, request);
			status = response.status;
			text = await response.text();
		} catch (error) {
			throw new ServerUnreachable(`cannot reach ${this.server}: ${reasonOf(error)}`, { cause: error });
		}
		const body = parseJson(text);
		if (status >= 200 && status < 300) {
			const parsed = answer.safeParse(body);
			if (parsed.success) return parsed.data;
			throw new ServerRefusal(
				status,
				"unexpected_answer",
				`${call.method} ${call.path}: not an answer of this protocol`,
			);
		}
		const refusal = HttpError.safeParse(body);
		if (refusal.success) throw new ServerRefusal(status, refusal.data.code, refusal.data.message, refusal.data.limit);
		throw new ServerRefusal(status, "unexpected_answer", `${call.method} ${call.path}: the server answered ${status}`);
	}
}

function parseJson(text: string): unknown {
	try {
		return JSON.parse(text);
	} catch {
		return undefined;
	}
}

/** fetch hides why it failed behind "fetch failed": the cause says it. */
function reasonOf(error: unknown): string {
	if (!(error instanceof Error)) return String(error);
	if (error.name === "TimeoutError") return "no answer in time";
	if (error.cause instanceof Error) {
		if ("code" in error.cause && typeof error.cause.code === "string") return error.cause.code;
		return error.cause.message;
	}
	return error.message;
}
