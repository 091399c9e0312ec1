/** A small picture of a video, for its blurred preview, and what its headers don't tell this program by itself. */
import { spawn } from "node:child_process";
import type { FileHandle } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { z } from "zod";

const PROCESS = fileURLToPath(new URL("./frame_process.ts", import.meta.url));
/** A video that takes longer has no preview. */
const PATIENCE_MS = 20_000;
const ANSWER_BYTES_MAX = 1024 * 1024;
const Answer = z.object({ png: z.base64(), said: z.string() });

export interface Frame {
	png: Uint8Array;
	/** 0 where ffmpeg did not say. */
	width: number;
	height: number;
	durationMs: number;
}

/** The first frame; undefined where there is none, or none that ffmpeg can decode in time. */
export async function firstFrame(file: FileHandle, format: "mov" | "matroska"): Promise<Frame | undefined> {
	const text = await answered(file, format);
	try {
		const { png, said } = Answer.parse(JSON.parse(text));
		if (png === "") return undefined;
		return { png: new Uint8Array(Buffer.from(png, "base64")), ...toldOf(said) };
	} catch {
		return undefined;
	}
}

/** What the process has written; nothing where it failed. */
function answered(file: FileHandle, format: string): Promise<string> {
	const child = spawn(process.execPath, ["--disable-warning=ExperimentalWarning", PROCESS, format], {
		stdio: ["ignore", "pipe", "ignore", file.fd],
		// It is told nothing that it doesn't need.
		env: {},
		timeout: PATIENCE_MS,
		killSignal: "SIGKILL",
	});
	const pieces: Buffer[] = [];
	let bytes = 0;
	child.stdout?.on("data", (piece: Buffer) => {
		bytes += piece.length;
		if (bytes <= ANSWER_BYTES_MAX) pieces.push(piece);
		else child.kill("SIGKILL");
	});
	return new Promise((resolve) => {
		child.once("error", () => resolve(""));
		child.once("close", (code) => resolve(code === 0 ? Buffer.concat(pieces).toString() : ""));
	});
}

/** As ffmpeg describes its input: `Duration: 00:00:02.00, …`, `Stream #0:0: Video: vp8, yuv420p, 320x180, …`. */
function toldOf(said: string): Omit<Frame, "png"> {
	const [, hours = 0, minutes = 0, seconds = 0] = /Duration: (\d+):(\d\d):(\d\d\.\d+)/.exec(said) ?? [];
	const [, width = 0, height = 0] = /Video: .*?, (\d{1,6})x(\d{1,6})[ ,\n]/.exec(said) ?? [];
	const durationMs = Math.round((Number(hours) * 3_600 + Number(minutes) * 60 + Number(seconds)) * 1_000);
	return { width: Number(width), height: Number(height), durationMs: durationMs <= 0xffffffff ? durationMs : 0 };
}
