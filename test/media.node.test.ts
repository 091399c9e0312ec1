/** A tus client that knows nothing of us, through the Workers as they are deployed, on bad days too. */
import { randomBytes } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Upload, type UploadOptions } from "tus-js-client";
import { afterAll, beforeAll, expect, test } from "vitest";
import { MediaGrant, RegisterResponse } from "../protocol/http.ts";
import { blobIdOf, deleteHash, MEDIA_HEADERS, MEDIA_PATHS } from "../protocol/media.ts";
import { Backend } from "../scripts/backend.ts";
import { searchFolders } from "../scripts/canaries.ts";
import fixtures from "./fixtures/registrations.json" with { type: "json" };

const TEST_MS_MAX = 90_000;
const folder = mkdtempSync(join(tmpdir(), "parley-media-"));
const stateDir = join(folder, "backend");
const deleteKey = randomBytes(32).toString("base64url");
/** Two parts and a piece. */
const bytes = randomBytes(17_500_000);
let backend: Backend;
let token: string;
let headers: Record<string, string>;

beforeAll(async () => {
	backend = await Backend.start({ stateDir });
	const body = JSON.stringify(fixtures[0]?.request);
	const request = { method: "POST", body, headers: { "content-type": "application/json" } };
	const account = await fetch(`${backend.url}/v1/accounts`, request);
	token = RegisterResponse.parse(await account.json()).accessToken;
	const authorization = `Bearer ${token}`;
	const grant = await fetch(backend.url + MEDIA_PATHS.grants, { method: "POST", headers: { authorization } });
	headers = {
		authorization,
		[MEDIA_HEADERS.grant]: MediaGrant.parse(await grant.json()).grant,
		[MEDIA_HEADERS.deleteHash]: await deleteHash(deleteKey),
	};
}, TEST_MS_MAX);

afterAll(async () => {
	await backend?.stop();
	rmSync(folder, { recursive: true, force: true, maxRetries: 3 });
}, TEST_MS_MAX);

/** Uploads with the client's own options, and returns the upload's address and how many bytes went over the wire. */
async function send(options: Partial<UploadOptions>): Promise<{ url: string; sent: number }> {
	let sent = 0;
	return new Promise((resolve, reject) => {
		const upload = new Upload(bytes, {
			endpoint: backend.url + MEDIA_PATHS.uploads,
			headers,
			retryDelays: [0, 50, 100, 200, 400, 800, 1600, 3200, 6400],
			onChunkComplete: (size) => {
				sent += size;
			},
			...options,
			onError: reject,
			onSuccess: () => (upload.url === null ? reject(new Error("no address")) : resolve({ url: upload.url, sent })),
		});
		upload.start();
	});
}

async function read(url: string): Promise<Buffer> {
	const blob = await blobIdOf(url.split("/").at(-1) ?? "");
	const response = await fetch(backend.url + MEDIA_PATHS.blob(blob), { headers });
	expect(response.status).toBe(200);
	return Buffer.from(await response.arrayBuffer());
}

test.each([
	["in one piece", {}],
	["in chunks", { chunkSize: 5_000_000 }],
	["with its first bytes in the creation", { uploadDataDuringCreation: true, chunkSize: 6_000_000 }],
	["with a length that is declared at the end", { uploadLengthDeferred: true, chunkSize: 7_000_000 }],
	["with methods in headers", { overridePatchMethod: true }],
] satisfies [string, Partial<UploadOptions>][])(
	"UPLOAD-1 tus-js-client uploads as it is: %s",
	{ timeout: TEST_MS_MAX },
	async (_how, options) => {
		const { url } = await send(options);
		expect((await read(url)).equals(bytes)).toBe(true);
	},
);

/** A PATCH over a socket that is cut in the middle: nobody says goodbye. */
function sendAndCut(url: string, offset: number, length: number): Promise<void> {
	const { hostname, port, pathname } = new URL(url);
	const head = [
		`PATCH ${pathname} HTTP/1.1`,
		`host: ${hostname}`,
		`authorization: Bearer ${token}`,
		"tus-resumable: 1.0.0",
		"content-type: application/offset+octet-stream",
		`upload-offset: ${offset}`,
		`content-length: ${bytes.length - offset}`,
	];
	return new Promise((resolve, reject) => {
		const socket = connect(Number(port), hostname, () => {
			socket.write(`${head.join("\r\n")}\r\n\r\n`);
			socket.write(bytes.subarray(offset, offset + length), () => socket.destroy());
		});
		socket.on("close", () => resolve());
		socket.on("error", reject);
	});
}

async function offsetOf(url: string): Promise<number> {
	const response = await fetch(url, { method: "HEAD", headers: { ...headers, "tus-resumable": "1.0.0" } });
	return Number(response.headers.get("upload-offset"));
}

async function create(): Promise<string> {
	const response = await fetch(backend.url + MEDIA_PATHS.uploads, {
		method: "POST",
		headers: { ...headers, "tus-resumable": "1.0.0", "upload-length": String(bytes.length) },
	});
	return new URL(response.headers.get("location") ?? "", backend.url).href;
}

test("UPLOAD-2 an upload that was cut twice goes on, and sends nothing again", { timeout: TEST_MS_MAX }, async () => {
	const uploadUrl = await create();
	for (const length of [3_000_000, 9_000_000]) {
		const before = await offsetOf(uploadUrl);
		await sendAndCut(uploadUrl, before, length);
		// The runtime notices the cut a moment later.
		await expect.poll(() => offsetOf(uploadUrl), { timeout: 10_000 }).toBeGreaterThan(before);
	}
	const arrived = await offsetOf(uploadUrl);
	const { sent } = await send({ uploadUrl });
	expect(sent).toBeLessThanOrEqual(bytes.length - arrived);
	expect((await read(uploadUrl)).equals(bytes)).toBe(true);
});

test("UPLOAD-2 an upload goes on after a SIGKILL of the whole backend", { timeout: TEST_MS_MAX }, async () => {
	const uploadUrl = await create();
	const piece = { method: "PATCH", body: bytes.subarray(0, 9_000_000) };
	const patch = { ...headers, "tus-resumable": "1.0.0", "content-type": "application/offset+octet-stream" };
	const response = await fetch(uploadUrl, { ...piece, headers: { ...patch, "upload-offset": "0" } });
	expect(response.status).toBe(204);
	const port = Number(new URL(backend.url).port);
	await backend.kill();
	backend = await Backend.start({ stateDir, port });
	expect(await offsetOf(uploadUrl)).toBe(9_000_000);
	const { sent } = await send({ uploadUrl });
	expect(sent).toBe(bytes.length - 9_000_000);
	expect((await read(uploadUrl)).equals(bytes)).toBe(true);
	await backend.stop();
	const upload = uploadUrl.split("/").at(-1) ?? "";
	const blob = await blobIdOf(upload);
	const secrets = { upload, blob, deleteKey, token, grant: headers[MEDIA_HEADERS.grant] ?? "" };
	const canaries = Object.entries(secrets).map(([name, secret]) => ({ name, secret }));
	// The stores; the development server has a trace of requests beside them.
	const stores = ["d1", "do", "r2"].map((name) => join(stateDir, "v3", name));
	expect(searchFolders(stores, canaries).hits).toEqual([]);
	expect(
		searchFolders(stores, [{ name: "control", secret: headers[MEDIA_HEADERS.deleteHash] ?? "" }]).hits,
	).not.toEqual([]);
});
