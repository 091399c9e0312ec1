/** What a client asks for when it fetches a blob, and what it does with answers: a server of a few lines gives them. */
import { randomBytes } from "node:crypto";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { create } from "@bufbuild/protobuf";
import { afterEach, beforeEach, expect, test } from "vitest";
import { type Attachment, AttachmentSchema } from "../../protocol/gen/content_pb.js";
import { ALICE, TestWorld } from "../machine/testing.ts";
import { Api } from "../transport/http.ts";
import { chunkBytesFor, incrementalMacSize } from "./blob.ts";
import { plaintextOf } from "./downloads.ts";
import { MediaHttp } from "./http.ts";
import { sealBlob } from "./seal.ts";

const MIB = 2 ** 20;
/** On a busy computer. */
const PATIENCE_MS = 60_000;
let world: TestWorld;
let folder = "";
let server: Server;
let http: MediaHttp;
let blob: Buffer;
let ranges: (string | undefined)[];
/** Answers instead of the server, where it returns true. */
let instead: (request: IncomingMessage, response: ServerResponse) => boolean;

beforeEach(async () => {
	world = new TestWorld();
	folder = mkdtempSync(join(tmpdir(), "parley-downloads-"));
	[ranges, instead] = [[], () => false];
	server = createServer(answer);
	await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
	const address = server.address();
	const url = typeof address === "object" && address !== null ? `http://127.0.0.1:${address.port}` : "";
	const credentials = { accountId: ALICE, deviceId: 1, deviceSecret: "x" };
	http = new MediaHttp(new Api({ server: url, clock, credentials }));
}, PATIENCE_MS);

afterEach(async () => {
	http.close();
	server.closeAllConnections();
	await new Promise((resolve) => server.close(resolve));
	world.close();
	rmSync(folder, { recursive: true, force: true });
});

const clock = {
	nowMs: () => Date.now(),
	after: (_: number, run: () => void) => {
		const soon = setImmediate(run);
		return () => clearImmediate(soon);
	},
	random: () => 0,
};

function answer(request: IncomingMessage, response: ServerResponse): void {
	if (request.url === "/v1/tokens") {
		response.end(JSON.stringify({ accessToken: "t", expiresAtMs: Date.now() + 600_000 }));
		return;
	}
	const { range } = request.headers;
	ranges.push(range);
	if (instead(request, response)) return;
	const [, from = "0", to = String(blob.length - 1)] = /^bytes=(\d+)-(\d+)$/.exec(range ?? "") ?? [];
	const bytes = blob.subarray(Number(from), Number(to) + 1);
	const part = { "content-range": `bytes ${from}-${to}/${blob.length}`, "content-length": bytes.length };
	response.writeHead(range === undefined ? 200 : 206, range === undefined ? {} : part).end(bytes);
}

/** Makes a file's blob, which the server has from now on. */
async function stored(file: Buffer): Promise<Attachment> {
	const pieces: Uint8Array[] = [];
	const options = { key: new Uint8Array(randomBytes(64)), iv: new Uint8Array(randomBytes(16)), size: file.length };
	const source = async function* () {
		for (let at = 0; at < file.length; at += MIB) yield file.subarray(at, at + MIB);
	};
	const sealing = sealBlob(source(), options);
	for (;;) {
		const next = await sealing.next();
		if (next.done === true) {
			blob = Buffer.concat(pieces);
			return create(AttachmentSchema, { ...next.value, size: BigInt(file.length), blob: "B".repeat(43) });
		}
		pieces.push(Buffer.from(next.value));
	}
}

async function fetched(pointer: Attachment): Promise<Buffer> {
	const tools = {
		store: world.alice.store,
		http,
		clock,
		directory: folder,
		perform: async () => {},
		onNotice: () => {},
	};
	const pieces: Buffer[] = [];
	const signal = new AbortController().signal;
	for await (const piece of plaintextOf(tools, { id: "m", pointer, signal })) pieces.push(Buffer.from(piece));
	return Buffer.concat(pieces);
}

test("ATTACH-3 a large blob is asked for in ranges, a small one at once", async () => {
	const pointer = await stored(randomBytes(1_000));
	// Only what is asked for counts: what comes is another file's.
	const size = 200 * MIB;
	const chunkBytes = chunkBytesFor(size);
	const incrementalMac = new Uint8Array(incrementalMacSize(size, chunkBytes));
	const large = create(AttachmentSchema, { ...pointer, size: BigInt(size), chunkBytes, incrementalMac });
	instead = (_, response) => {
		response.end(Buffer.alloc(2 * MIB));
		return true;
	};
	await expect(fetched(large)).rejects.toMatchObject({ name: "TamperedError" });
	expect(ranges).toEqual([`bytes=0-${64 * MIB - 1}`]);
	instead = () => false;
	expect((await fetched(pointer)).length).toBe(1_000);
	expect(ranges.slice(1)).toEqual([undefined]);
	expect(readdirSync(folder)).toEqual(["B".repeat(43)]);
});

test("ATTACH-3 a server that does not go on where it was asked to is told so, and nothing of it is taken", async () => {
	const pointer = await stored(randomBytes(MIB));
	const answers: ((response: ServerResponse) => void)[] = [
		// The first half, and then the line breaks.
		(response) => void response.writeHead(200, {}).write(blob.subarray(0, MIB / 2), () => response.destroy()),
		(response) => void response.writeHead(200).end(blob.subarray(MIB / 2)),
		(response) => void response.writeHead(206, { "content-range": `bytes 0-${blob.length - 1}/*` }).end(blob),
	];
	instead = (_, response) => {
		answers.shift()?.(response);
		return true;
	};
	await expect(fetched(pointer)).rejects.toMatchObject({ code: "unexpected_answer" });
	await expect(fetched(pointer)).rejects.toMatchObject({ code: "unexpected_answer" });
	instead = () => false;
	expect((await fetched(pointer)).length).toBe(MIB);
	expect(ranges.at(0)).toBeUndefined();
	expect(new Set(ranges.slice(1)).size).toBe(1);
});

test("ATTACH-3 a server that sends nothing, again and again, ends a download; one that goes on after breaks does not", async () => {
	const pointer = await stored(randomBytes(MIB));
	instead = (_, response) => {
		response.destroy();
		return true;
	};
	await expect(fetched(pointer)).rejects.toMatchObject({ name: "ServerUnreachable" });
	expect(ranges).toHaveLength(6);
	instead = (_, response) => {
		response.writeHead(200).end();
		return true;
	};
	await expect(fetched(pointer)).rejects.toMatchObject({ name: "ServerUnreachable" });
	expect(ranges).toHaveLength(12);
	// More breaks than that, with a piece between them.
	let at = 0;
	instead = (_, response) => {
		const piece = blob.subarray(at, at + 100_000);
		const range = `bytes ${at}-${blob.length - 1}/${blob.length}`;
		at += piece.length;
		response.writeHead(206, { "content-range": range }).write(piece, () => response.destroy());
		return true;
	};
	expect((await fetched(pointer)).length).toBe(MIB);
	expect(ranges.length).toBeGreaterThan(12 + 6);
});
