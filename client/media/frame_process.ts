/**
 * A process of its own, which makes a small picture of a video's first frame and ends: ffmpeg in WebAssembly keeps a
 * core busy, takes some 150 MB, and may meet a video that it can't get through. It reads the video from file descriptor
 * 3, as the format in its argument, and writes one line of JSON.
 */
import { fstatSync, readFileSync, readSync } from "node:fs";
import { fileURLToPath } from "node:url";

const VIDEO_FD = 3;
const SIDE = 100;
const SCALE = `scale=${SIDE}:${SIDE}:force_original_aspect_ratio=decrease`;

// The build asks where it is in the way of a browser's worker.
Object.assign(globalThis, { self: { location: { href: "" } } });
const { default: createCore } = await import("@ffmpeg/core");
const wasm = fileURLToPath(import.meta.resolve("@ffmpeg/core/wasm"));
const core = await createCore({ wasmBinary: readFileSync(wasm) });

const said: string[] = [];
core.setLogger(({ message }) => {
	if (said.length < 200) said.push(message);
});

// An empty file of its file system in memory, whose bytes come from the descriptor: the video is never here as a whole.
const { size } = fstatSync(VIDEO_FD);
core.FS.writeFile("/video", new Uint8Array(0));
const { node } = core.FS.lookupPath("/video");
const { getattr } = node.node_ops;
node.node_ops = { ...node.node_ops, getattr: (of) => ({ ...getattr(of), size }) };
node.stream_ops = {
	llseek: ({ position }, offset, whence) => offset + (whence === 1 ? position : whence === 2 ? size : 0),
	read: (_stream, to, at, bytes, position) => readSync(VIDEO_FD, to, at, bytes, position),
};

const format = process.argv[2] ?? "";
core.exec("-f", format, "-i", "/video", "-frames:v", "1", "-an", "-vf", SCALE, "-f", "image2", "/frame.png");
process.stdout.write(
	`${JSON.stringify({ png: Buffer.from(core.FS.readFile("/frame.png")).toString("base64"), said: said.join("\n") })}\n`,
);
