/**
 * One file up and down, in a process of its own so that its memory can be told.
 *
 * Argument: a `MediaOrder` as JSON. It prints a `MediaReport`.
 */
import { randomBytes } from "node:crypto";
import { type FileHandle, open, rm, stat } from "node:fs/promises";
import { Agent, request as httpRequest, type IncomingMessage } from "node:http";
import { join } from "node:path";
import { type BlobSeal, blobSize } from "../client/media/blob.ts";
import { gathered } from "../client/media/downloads.ts";
import { MediaHttp } from "../client/media/http.ts";
import { openBlob } from "../client/media/open.ts";
import { filePieces, Spool } from "../client/media/spool.ts";
import { createUpload, patchUpload } from "../client/media/tus.ts";
import { systemClock } from "../client/transport/clock.ts";
import { Api } from "../client/transport/http.ts";
import { LIMITS } from "../protocol/limits.ts";
import { MEDIA_PATHS } from "../protocol/media.ts";
import { registerOne } from "./accounts.ts";
import { cpuSeconds } from "./cpu-time.ts";
import { type MediaOrder, MediaOrderSchema, type MediaReport, type MediaWay } from "./orders.ts";

const never = new AbortController().signal;

/** What goes up and what comes down again. */
interface Target {
	up(): Promise<void>;
	/** What has to be there before `down`, outside of the measurement. */
	prepare?(): Promise<void>;
	/** The file's bytes, while what came is written to the disk. */
	down(): AsyncIterable<Uint8Array>;
}

/** Writes what comes to the disk, as a client does, and passes it on. */
async function* kept(
	pieces: AsyncIterable<Uint8Array>,
	folder: string,
	pass: (copy: FileHandle, written: AsyncIterable<Uint8Array>) => AsyncIterable<Uint8Array> = (_, written) => written,
): AsyncGenerator<Uint8Array> {
	const path = join(folder, "copy");
	const copy = await open(path, "w+");
	const written = (async function* () {
		for await (const piece of gathered(pieces)) {
			await copy.write(piece);
			yield piece;
		}
	})();
	try {
		yield* pass(copy, written);
	} finally {
		await copy.close();
		await rm(path);
	}
}

function bare({ url, source, folder }: MediaOrder): Target {
	const agent = new Agent({ keepAlive: true });
	const ask = (method: string, headers: Record<string, string>, body?: AsyncIterable<Uint8Array>, path = "/file") =>
		new Promise<IncomingMessage>((resolve, reject) => {
			const request = httpRequest(url + path, { method, headers, agent }, resolve);
			request.once("error", reject);
			const send = async () => {
				for await (const piece of body ?? []) {
					await new Promise<void>((written) => void request.write(piece, () => written()));
				}
				request.end();
			};
			send().catch(reject);
		});
	return {
		up: async () => {
			const file = await open(source, "r");
			try {
				const { size } = await file.stat();
				const answer = await ask("PUT", { "content-length": String(size) }, filePieces(file));
				answer.resume();
				if (answer.statusCode !== 204) throw new Error(`the upload was answered ${answer.statusCode}`);
			} finally {
				await file.close();
			}
		},
		prepare: async () => {
			const { size } = await stat(source);
			(await ask("POST", {}, undefined, `/parts?bytes=${size}`)).resume();
		},
		down: async function* () {
			yield* kept(await ask("GET", {}, undefined, "/parts"), folder);
		},
	};
}

async function parley({ url, source, folder, target }: MediaOrder): Promise<Target> {
	const { accountId, deviceId, deviceSecret } = await registerOne(url);
	const credentials = { accountId, deviceId, deviceSecret };
	const http = new MediaHttp(new Api({ server: url, clock: systemClock, credentials }));
	const { size, mtimeMs } = await stat(source);
	let blob = "";
	let seal: BlobSeal | undefined;
	const send = async (bytes: number, read: (from: number, to: number) => AsyncIterable<Uint8Array>) => {
		const deleteKey = randomBytes(32).toString("base64url");
		const created = await createUpload(http, { bytes, deleteKey }, never);
		blob = created.blob;
		for (let at = 0; at < bytes; ) {
			const end = Math.min(bytes, at + LIMITS.media_patch_bytes);
			const body = { bytes: end - at, pieces: read(at, end) };
			at = await patchUpload(http, created.path, at, body, never);
		}
	};
	const sealed = async () => {
		const path = join(folder, "spool");
		const key = new Uint8Array(randomBytes(64));
		const iv = new Uint8Array(randomBytes(16));
		const from = { path: source, size, mtimeMs: Math.trunc(mtimeMs) };
		const sealing = Spool.start({ source: from, key, iv, path, signal: never });
		await send(blobSize(size), (at, end) => sealing.spool.read(at, end));
		seal = await sealing.sealed;
		await rm(path);
	};
	const plain = async () => {
		const file = await open(source, "r");
		try {
			await send(size, (from, to) => filePieces(file, never, { from, to }));
		} finally {
			await file.close();
		}
	};
	return {
		up: target === "sealed" ? sealed : plain,
		down: async function* () {
			const { body } = await http.send({ method: "GET", path: MEDIA_PATHS.blob(blob), signal: never });
			const opened = seal;
			yield* kept(body, folder, opened && ((copy, written) => openBlob(copy, written, opened)));
			http.close();
		},
	};
}

/** Runs it, and returns what it took. */
async function measured(run: () => Promise<void>): Promise<MediaWay> {
	const [begin_ms, client, runtime] = [performance.now(), process.cpuUsage(), cpuSeconds(order.pids)];
	await run();
	const seconds = (performance.now() - begin_ms) / 1000;
	const { user, system } = process.cpuUsage(client);
	const runtime_after = cpuSeconds(order.pids);
	return {
		seconds,
		client_cpu_seconds: (user + system) / 1e6,
		...(runtime === undefined || runtime_after === undefined ? {} : { runtime_cpu_seconds: runtime_after - runtime }),
	};
}

const order = MediaOrderSchema.parse(JSON.parse(process.argv[2] ?? ""));
// The whole client, with its database: what a person's process has in memory beside the file.
if (order.target !== "bare") await import("../client/parley.ts");
const target = order.target === "bare" ? bare(order) : await parley(order);
const rss_mib_begin = process.memoryUsage.rss() / 2 ** 20;
const up = await measured(() => target.up());
await target.prepare?.();
let bytes = 0;
const down = await measured(async () => {
	for await (const piece of target.down()) bytes += piece.length;
});
const rss_mib_max = process.resourceUsage().maxRSS / 1024;
const report: MediaReport = { bytes, up, down, rss_mib_max, rss_mib_begin };
process.stdout.write(`${JSON.stringify(report)}\n`);
process.exit(0);
