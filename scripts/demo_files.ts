/**
 * The demo's files: a photo, a long video whose upload is cut off twice, a voice message; each the same at the other
 * end.
 */
import { spawn } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import { closeSync, createReadStream, openSync, writeFileSync, writeSync } from "node:fs";
import { join } from "node:path";
import sharp from "sharp";
import { mp4Head, wav } from "../client/media/testing.ts";
import type { ParleyNotice } from "../client/parley.ts";
import { type Person, until } from "./people.ts";
import { ROOT } from "./repository.ts";

const VIDEO_BYTES = 200_000_000;
/** Where its upload is cut off: first the sender dies, then the server. */
const CUTS = [0.25, 0.6] as const;

type Step = (what: string, work: () => Promise<string>) => Promise<void>;

export interface FilesDemo {
	alice: Person;
	bob: Person;
	folder: string;
	server: string;
	/** Stands in every name and caption. */
	mark: string;
	patience_ms: number;
	/** How far Alice's uploads are is told here. */
	watch: Set<(notice: ParleyNotice) => void>;
	/** SIGKILL for the whole backend, and the same storage again under the same address. */
	crashBackend(): Promise<void>;
}

/** Returns bytes of the photo, which must be nowhere at the server. */
export async function showFiles(step: Step, demo: FilesDemo): Promise<Uint8Array> {
	const { alice, bob, folder, mark } = demo;
	const photo = await sharp(randomBytes(640 * 480 * 3), { raw: { width: 640, height: 480, channels: 3 } })
		.jpeg()
		.toBuffer();
	await step("a photo, with a blurred preview", async () => {
		const path = join(folder, `${mark}.jpg`);
		writeFileSync(path, photo);
		const { id } = await alice.device.files.send(bob.name, path, {
			caption: `${mark} us`,
			altText: `${mark} two people`,
		});
		const file = await arrive(demo, id, path);
		return `${file?.width} × ${file?.height}, preview of ${file?.thumbHash?.length} bytes; ${same}`;
	});
	await step("a video of 200 MB, cut off twice", () => video(demo));
	await step("a voice message", async () => {
		const path = join(folder, `${mark}.wav`);
		writeFileSync(path, wav(new Int16Array(16_000).map((_, at) => 20_000 * Math.sin(at / 9) * Math.sin(at / 5_000))));
		const { id } = await alice.device.files.send(bob.name, path, { presentation: "voice" });
		const file = await arrive(demo, id, path);
		return `${(file?.durationMs ?? 0) / 1000} s, ${file?.waveform?.length} steps of loudness; ${same}`;
	});
	await step("the video once more: nothing is uploaded", async () => {
		const began_ms = performance.now();
		const { id } = await alice.device.files.send(bob.name, join(folder, `${mark}.mp4`));
		await alice.device.sent(id, demo.patience_ms);
		return `sent in ${((performance.now() - began_ms) / 1000).toFixed(1)} s`;
	});
	return photo.subarray(photo.length / 2, photo.length / 2 + 48);
}

const same = "the same bytes at Bob's";

async function video(demo: FilesDemo): Promise<string> {
	const { alice, bob, folder, mark, server } = demo;
	const path = join(folder, `${mark}.mp4`);
	writeVideo(path);
	await alice.goOffline();
	const args = ["--data", join(folder, "alice"), "--server", server, "--json", "send", bob.name, "--file", path];
	const killed = await killAt(args, CUTS[0]);
	const resumed: number[] = [];
	let [share, crashing] = [0, false];
	const watch = (notice: ParleyNotice): void => {
		if (notice.type !== "file-progress" || notice.direction !== "up") return;
		// After a pause the first that is told is how much the server has.
		if (resumed.length === 0 || (crashing && resumed.length === 1 && notice.done / notice.total < share)) {
			resumed.push(notice.done / notice.total);
		}
		share = Math.max(share, notice.done / notice.total);
	};
	demo.watch.add(watch);
	await alice.goOnline();
	const [message] = await alice.device.history(bob.name, 1);
	const id = message?.id ?? "";
	const uploaded = uploadedWhateverHappens(alice, id);
	await until(() => share >= CUTS[1], demo.patience_ms, "most of the upload");
	crashing = true;
	await demo.crashBackend();
	await uploaded;
	demo.watch.delete(watch);
	await arrive(demo, id, path);
	const percent = (value: number): string => `${Math.round(value * 100)} %`;
	const went = resumed.map(percent).join(" and ");
	return `kill -9 of the sender at ${percent(killed)}, of the server at ${percent(CUTS[1])}: went on at ${went}; ${same}`;
}

/** An outage is told to whoever waits, and the upload goes on: here it is waited for through all of them. */
async function uploadedWhateverHappens(person: Person, id: string): Promise<void> {
	while (person.device.find(id)?.number === undefined) {
		await person.device.files.uploaded(id).catch(() => undefined);
		await person.device.sent(id).catch(() => undefined);
	}
}

/** Runs the command line, and kills it when an upload has come so far. Returns how far it was. */
async function killAt(args: readonly string[], share: number): Promise<number> {
	const sending = spawn(process.execPath, [join(ROOT, "cli", "parley.js"), ...args], {
		stdio: ["ignore", "pipe", "inherit"],
	});
	let reached = 0;
	let text = "";
	sending.stdout.on("data", (bytes) => {
		text += String(bytes);
		const lines = text.split("\n");
		text = lines.pop() ?? "";
		for (const line of lines) {
			const told: unknown = JSON.parse(line);
			if (typeof told !== "object" || told === null || !("done" in told) || !("total" in told)) continue;
			reached = Math.max(reached, Number(told.done) / Number(told.total));
		}
		if (reached >= share) sending.kill("SIGKILL");
	});
	await new Promise((resolve) => sending.once("close", resolve));
	if (reached < share) throw new Error(`the command ended at ${reached}`);
	return reached;
}

/** Waits for a file's message at Bob, fetches the file and compares it. */
async function arrive({ alice, bob, folder, patience_ms }: FilesDemo, id: string, path: string) {
	await alice.device.files.uploaded(id);
	await until(() => bob.device.find(id) !== undefined, patience_ms, "the file's message at Bob");
	const target = await bob.device.files.download(id, { to: join(folder, "bob") });
	if (target === undefined || (await digestOf(target)) !== (await digestOf(path)))
		throw new Error("other bytes arrived");
	return bob.device.find(id)?.file;
}

async function digestOf(path: string): Promise<string> {
	const hash = createHash("sha256");
	for await (const piece of createReadStream(path)) hash.update(piece);
	return hash.digest("hex");
}

function writeVideo(path: string): void {
	const head = mp4Head(VIDEO_BYTES);
	const block = randomBytes(1_000_000);
	const file = openSync(path, "w");
	writeSync(file, head);
	for (let at = 0; at < VIDEO_BYTES; at += block.length) writeSync(file, block);
	closeSync(file);
}
