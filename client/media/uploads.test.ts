/** What a client does with a server's answers on bad days: a server of a few lines gives them. */
import { randomBytes } from "node:crypto";
import { mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { create } from "@bufbuild/protobuf";
import { afterEach, beforeEach, expect, test } from "vitest";
import { AttachmentSchema } from "../../protocol/gen/content_pb.js";
import type { HttpErrorCode } from "../../protocol/http.ts";
import { HTTP_STATUS } from "../../protocol/http.ts";
import { MEDIA_PATHS } from "../../protocol/media.ts";
import type { MachineEvent } from "../machine/interface.ts";
import { ALICE, BOB, TestWorld } from "../machine/testing.ts";
import { findMessage } from "../store/messages.ts";
import { allUploads } from "../store/uploads.ts";
import { Api } from "../transport/http.ts";
import { blobSize } from "./blob.ts";
import { MediaHttp } from "./http.ts";
import { type UploadOutcome, Uploads } from "./uploads.ts";

const SIZE = 300_000;
type Answer = (request: IncomingMessage, response: ServerResponse) => boolean;

let world: TestWorld;
let folder = "";
let server: Server;
let url = "";
let uploads: Uploads;
let http: MediaHttp;
/** Answers before the server does, where it returns true. */
let first: Answer;
/** What has arrived. */
let stored: Buffer;
let requests: string[];
let outcomes: UploadOutcome[];
let tokensElsewhere: number;

beforeEach(async () => {
	world = new TestWorld();
	folder = mkdtempSync(join(tmpdir(), "parley-uploads-"));
	[first, stored, requests, outcomes, tokensElsewhere] = [() => false, Buffer.alloc(0), [], [], 0];
	server = createServer(answer);
	await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
	const address = server.address();
	url = typeof address === "object" && address !== null ? `http://127.0.0.1:${address.port}` : "";
	const clock = { nowMs: () => Date.now(), after: (_: number, run: () => void) => cancelling(run), random: () => 0 };
	const credentials = { accountId: ALICE, deviceId: 1, deviceSecret: "x" };
	http = new MediaHttp(new Api({ server: url, clock, credentials }));
	const perform = async (event: MachineEvent): Promise<void> => {
		world.alice.inbox.push(event);
		await world.settle();
	};
	const tools = { store: world.alice.store, http, clock, directory: folder, perform, onNotice: () => {} };
	uploads = new Uploads(tools, (_message, outcome) => outcomes.push(outcome));
});

afterEach(async () => {
	await uploads.close();
	http.close();
	server.closeAllConnections();
	await new Promise((resolve) => server.close(resolve));
	world.close();
	rmSync(folder, { recursive: true, force: true });
});

function cancelling(run: () => void): () => void {
	const soon = setImmediate(run);
	return () => clearImmediate(soon);
}

function refuse(response: ServerResponse, code: HttpErrorCode): true {
	response.writeHead(HTTP_STATUS[code], { "content-type": "application/json" });
	response.end(JSON.stringify({ code, message: code }));
	return true;
}

/** A tus server that keeps one upload in memory. */
function answer(request: IncomingMessage, response: ServerResponse): void {
	const { method, url: path = "" } = request;
	requests.push(`${method} ${path}`);
	if (first(request, response)) return;
	const blob = "B".repeat(43);
	if (path === "/v1/tokens") response.end(JSON.stringify({ accessToken: "t", expiresAtMs: Date.now() + 600_000 }));
	else if (path === MEDIA_PATHS.grants) {
		response.end(JSON.stringify({ grant: "g", expiresAtMs: Date.now() + 600_000, uploadBytesMax: 2 ** 31 }));
	} else if (method === "POST") {
		response.writeHead(201, { location: `${MEDIA_PATHS.uploads}/u`, "parley-blob": blob }).end();
	} else if (method === "HEAD" || Number(request.headers["upload-offset"]) === stored.length) {
		request.on("data", (bytes: Buffer) => {
			stored = Buffer.concat([stored, bytes]);
		});
		request.on("end", () => response.writeHead(204, { "upload-offset": String(stored.length) }).end());
	} else refuse(response, "offset_conflict");
}

/** Queues a file, and runs the uploads until nothing is left to do. */
async function run(): Promise<string> {
	const path = join(folder, "file");
	writeFileSync(path, randomBytes(SIZE));
	const id = world.alice.machine.newMessageId();
	const pointer = create(AttachmentSchema, { key: randomBytes(64), size: BigInt(SIZE), fileName: "file" });
	const upload = {
		...{ source: path, mtime_ms: Math.trunc(statSync(path).mtimeMs), name: "copy" },
		...{ iv: new Uint8Array(randomBytes(16)), delete_key: "D".repeat(43) },
	};
	world.alice.inbox.push({ type: "queue-file", id, peer: BOB, pointer, upload });
	await world.settle();
	await finish();
	return id;
}

async function finish(): Promise<void> {
	uploads.wake();
	await expect.poll(() => uploads.busy).toBe(false);
}

const statusAtAlice = (id: string) => findMessage(world.alice.store, ALICE, id)?.status;

/** Refuses the first requests of a kind. */
function refuseFirst(times: number, kind: string, code: HttpErrorCode): void {
	let left = times;
	first = (request, response) =>
		request.method === kind && !request.url?.endsWith("s") && left-- > 0 && refuse(response, code);
}

test.each<[HttpErrorCode, string]>([
	["storage_unavailable", "PATCH"],
	["upload_superseded", "PATCH"],
	["offset_conflict", "PATCH"],
	["rate_limited", "HEAD"],
	["token_expired", "PATCH"],
	["internal", "HEAD"],
])("ATTACH-5 %s, for a while, ends no upload", async (code, kind) => {
	refuseFirst(2, kind, code);
	const id = await run();
	expect(outcomes.at(-1)).toEqual({ error: undefined, goesOn: false });
	expect(stored.length).toBe(blobSize(SIZE));
	expect(allUploads(world.alice.store)).toEqual([]);
	expect(statusAtAlice(id)).toBe("sent");
	expect(readdirSync(folder)).toContain("copy");
});

test("ATTACH-5 an upload that the server has forgotten begins anew", async () => {
	refuseFirst(1, "PATCH", "not_found");
	await run();
	expect(requests.filter((line) => line === `POST ${MEDIA_PATHS.uploads}`)).toHaveLength(2);
	expect(stored.length).toBe(blobSize(SIZE));
});

test("ATTACH-5 a quota that is full fails the message; one of the day leaves it for another day", async () => {
	refuseFirst(1, "PATCH", "quota_day_exceeded");
	const later = await run();
	expect(outcomes.at(-1)).toMatchObject({ error: { code: "quota_day_exceeded" }, goesOn: false });
	expect(allUploads(world.alice.store)).toMatchObject([{ message: later }]);
	expect(statusAtAlice(later)).toBe("queued");
	first = (request, response) => request.url === MEDIA_PATHS.uploads && refuse(response, "quota_kept_exceeded");
	const never = await run();
	expect(outcomes.at(-1)).toMatchObject({ error: { code: "quota_kept_exceeded" }, goesOn: false });
	expect(statusAtAlice(never)).toBe("failed");
	expect(allUploads(world.alice.store)).toMatchObject([{ message: later }]);
});

test("ATTACH-5 the access token goes to no other server, whatever the server answers", async () => {
	const other = createServer((request, response) => {
		if (request.headers.authorization !== undefined) tokensElsewhere++;
		response.end();
	});
	await new Promise<void>((resolve) => other.listen(0, "127.0.0.1", resolve));
	const address = other.address();
	const elsewhere = typeof address === "object" && address !== null ? `http://127.0.0.1:${address.port}/u` : "";
	first = (request, response) => {
		if (request.url !== MEDIA_PATHS.uploads) return false;
		response.writeHead(201, { location: elsewhere, "parley-blob": "B".repeat(43) }).end();
		return true;
	};
	await run();
	expect(outcomes.at(-1)).toMatchObject({ error: { code: "unexpected_answer" } });
	expect(tokensElsewhere).toBe(0);
	await new Promise((resolve) => other.close(resolve));
});
