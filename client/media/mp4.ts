/** Size and length of a video, from the headers of its boxes; the media data is not looked at. */
import type { FileHandle } from "node:fs/promises";

/** Boxes that are looked at before giving up. */
const BOXES_MAX = 1_000;
const MOVIE_BYTES_MAX = 16 * 1024 * 1024;

interface VideoFacts {
	width: number;
	height: number;
	durationMs: number;
}

/** Zeros for what can't be found. */
export async function mp4Facts(file: FileHandle, size: number): Promise<VideoFacts> {
	const facts: VideoFacts = { width: 0, height: 0, durationMs: 0 };
	const header = Buffer.alloc(16);
	for (let at = 0, boxes = 0; at + 8 <= size && boxes < BOXES_MAX; boxes++) {
		const { bytesRead } = await file.read(header, 0, 16, at);
		if (bytesRead < 8) break;
		const box = boxAt(header, 0, size - at, bytesRead);
		if (box === undefined) break;
		if (box.name === "moov") {
			const movie = Buffer.alloc(Math.min(box.bytes, MOVIE_BYTES_MAX));
			await file.read(movie, 0, movie.length, at);
			readBoxes(movie, box.headerBytes, movie.length, facts, 0);
			break;
		}
		at += box.bytes;
	}
	return facts;
}

function boxAt(
	bytes: Buffer,
	at: number,
	rest: number,
	end: number,
): { name: string; bytes: number; headerBytes: number } | undefined {
	const short = bytes.readUInt32BE(at);
	const name = bytes.toString("latin1", at + 4, at + 8);
	const long = short === 1;
	if (long && at + 16 > end) return undefined;
	const size = short === 0 ? rest : long ? Number(bytes.readBigUInt64BE(at + 8)) : short;
	const headerBytes = long ? 16 : 8;
	return size < headerBytes || size > rest ? undefined : { name, bytes: size, headerBytes };
}

function readBoxes(bytes: Buffer, from: number, end: number, facts: VideoFacts, depth: number): void {
	for (let at = from; at + 8 <= end; ) {
		const box = boxAt(bytes, at, end - at, end);
		if (box === undefined) return;
		const body = at + box.headerBytes;
		const bodyEnd = at + box.bytes;
		if (box.name === "trak" && depth < 2) readBoxes(bytes, body, bodyEnd, facts, depth + 1);
		else if (box.name === "mvhd") readMovieHeader(bytes.subarray(body, bodyEnd), facts);
		else if (box.name === "tkhd") readTrackHeader(bytes.subarray(body, bodyEnd), facts);
		at = bodyEnd;
	}
}

function readMovieHeader(body: Buffer, facts: VideoFacts): void {
	const wide = body[0] === 1;
	if (body.length < (wide ? 32 : 20)) return;
	const scale = body.readUInt32BE(wide ? 20 : 12);
	const duration = wide ? Number(body.readBigUInt64BE(24)) : body.readUInt32BE(16);
	const milliseconds = scale === 0 ? 0 : Math.round((duration / scale) * 1000);
	facts.durationMs = milliseconds <= 0xffffffff ? milliseconds : 0;
}

/** Width and height are the last two fields, 16.16 fixed point; those of sounds are 0. */
function readTrackHeader(body: Buffer, facts: VideoFacts): void {
	const at = (body[0] === 1 ? 96 : 84) - 8;
	if (body.length < at + 8) return;
	facts.width = Math.max(facts.width, body.readUInt16BE(at));
	facts.height = Math.max(facts.height, body.readUInt16BE(at + 4));
}
