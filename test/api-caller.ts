/** Calls the api as a client does, with registrations made beforehand. */
import { createExecutionContext } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { HTTP_STATUS, HttpError, RegisterRequest, RegisterResponse, SignedPreKey } from "../protocol/http.ts";
import { AddDeviceRequest, AddDeviceResponse, DeviceToken } from "../protocol/http_devices.ts";
import { app } from "../workers/api/app.ts";
import type { ApiEnv } from "../workers/api/env.ts";
import devices from "./fixtures/devices.json" with { type: "json" };
import fixtures from "./fixtures/registrations.json" with { type: "json" };
import { findOperation } from "./operations.ts";

export interface Call {
	method?: string;
	token?: string;
	body?: unknown;
	/** A body that is no JSON. */
	raw?: BodyInit;
	headers?: Record<string, string>;
	/** Bindings that differ from the composition's. */
	bindings?: Partial<ApiEnv>;
}

let address = 0;

/** One request; each comes from an address of its own, so that only the tests of limits meet limits. */
export async function call(path: string, options: Call = {}): Promise<Response> {
	const headers = new Headers({ "cf-connecting-ip": `192.0.2.${++address}`, ...options.headers });
	if (options.token !== undefined) headers.set("authorization", `Bearer ${options.token}`);
	const init: RequestInit = { method: options.method ?? "GET", headers };
	if (options.body !== undefined) {
		headers.set("content-type", "application/json");
		init.body = typeof options.body === "string" ? options.body : JSON.stringify(options.body);
	}
	if (options.raw !== undefined) init.body = options.raw;
	const request = new Request(`https://parley.test${path}`, init);
	const response = await app.fetch(request, { ...env, ...options.bindings }, createExecutionContext());
	await requireDocumented(init.method ?? "GET", path, response);
	return response;
}

/**
 * What every test proves beside its own: an operation refuses with the codes and statuses that its description names.
 */
async function requireDocumented(method: string, path: string, response: Response): Promise<void> {
	// An answer to HEAD has no body, and so no code.
	if (response.status < 400 || method === "HEAD") return;
	const operation = findOperation(method, path);
	if (operation === undefined) return;
	const { code } = HttpError.parse(await response.clone().json());
	if (operation.codes.includes(code) && HTTP_STATUS[code] === response.status) return;
	throw new Error(`${operation.name} does not name ${code} with ${response.status}`);
}

/** A registration that libsignal made, and another signed prekey of the same identity. */
export function fixture(index: number): { request: RegisterRequest; rotated: RegisterRequest["signedPreKey"] } {
	const found = fixtures[index];
	return { request: RegisterRequest.parse(found?.request), rotated: SignedPreKey.parse(found?.rotated) };
}

export async function register(index: number): Promise<RegisterResponse> {
	const response = await call("/v1/accounts", { method: "POST", body: fixture(index).request });
	return RegisterResponse.parse(await response.json());
}

/** The request of a further device of a fixture's account, made with libsignal but for the account and the token. */
export function furtherDevice(account: number, index: number, accountId: string, token: string): AddDeviceRequest {
	return AddDeviceRequest.parse({ ...devices[account]?.[index], accountId, token });
}

/** Links one of a fixture's further devices, with a token that a device of the account asks for. */
export async function addDevice(index: number, further: number, old: RegisterResponse): Promise<AddDeviceResponse> {
	const minted = await call("/v1/devices/tokens", { method: "POST", token: old.accessToken });
	const { token } = DeviceToken.parse(await minted.json());
	const body = furtherDevice(index, further, old.accountId, token);
	return AddDeviceResponse.parse(await (await call("/v1/devices", { method: "POST", body })).json());
}

/** A refusal's status and code; fails where the body has another form. */
export async function refusal(response: Response): Promise<[number, string]> {
	return [response.status, HttpError.parse(await response.json()).code];
}
