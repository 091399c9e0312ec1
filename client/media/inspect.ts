/**
 * Looks at a file before it is sent: what it is, by its first bytes and never by its name alone, how large, how long,
 * and a preview. Images are decoded within limits; one that can't be is refused, since the other side could not show
 * it.
 */
import type { FileHandle } from "node:fs/promises";
import type { Sharp } from "sharp";
import { rgbaToThumbHash } from "thumbhash";
import { LIMITS } from "../../protocol/limits.ts";
import { firstFrame } from "./frame.ts";
import { mp4Facts } from "./mp4.ts";
import { UNKNOWN_TYPE } from "./pointer.ts";
import { oggDurationMs, wavSound } from "./sound.ts";

/** The longest side of what a blurred preview is made from: thumbhash takes no more. */
const THUMB_SIDE = 100;
const HEAD_BYTES = 4096;

/** What a message says of a file beside its name and size. */
export interface FileFacts {
	contentType: string;
	width: number;
	height: number;
	durationMs: number;
	thumbHash: Uint8Array;
	waveform: Uint8Array;
}

/** An image or sound that isn't well-formed, or too large to be looked at. */
export class UnshowableError extends Error {
	override readonly name = "UnshowableError";
}

const NOTHING: Omit<FileFacts, "contentType"> = {
	width: 0,
	height: 0,
	durationMs: 0,
	thumbHash: new Uint8Array(),
	waveform: new Uint8Array(),
};

/** The facts of a file of which nothing is to be shown but its type. */
export async function typeOnly(file: FileHandle): Promise<FileFacts> {
	return { ...NOTHING, contentType: contentTypeOf(await head(file)) };
}

/** All facts of a file that is shown as what it is. Throws `UnshowableError`. */
export async function inspect(file: FileHandle, size: number): Promise<FileFacts> {
	const contentType = contentTypeOf(await head(file));
	switch (contentType) {
		case "image/jpeg":
		case "image/png":
		case "image/webp":
		case "image/gif":
			return { ...NOTHING, contentType, ...(await imageFileFacts(file, size)) };
		case "video/mp4":
			return { ...NOTHING, contentType, ...(await videoFacts(file, "mov", await mp4Facts(file, size))) };
		case "video/webm":
			return { ...NOTHING, contentType, ...(await videoFacts(file, "matroska", NOTHING)) };
		case "audio/mp4":
			return { ...NOTHING, contentType, ...(await mp4Facts(file, size)) };
		case "audio/wav":
			return { ...NOTHING, contentType, ...(await wavSound(file, size)) };
		case "audio/ogg":
			return { ...NOTHING, contentType, durationMs: await oggDurationMs(file, size) };
		default:
			return { ...NOTHING, contentType };
	}
}

/** The type that a file's first bytes tell. */
export function contentTypeOf(bytes: Uint8Array): string {
	const text = Buffer.from(bytes).toString("latin1");
	if (text.startsWith("\xff\xd8\xff")) return "image/jpeg";
	if (text.startsWith("\x89PNG\r\n\x1a\n")) return "image/png";
	if (/^GIF8[79]a/.test(text)) return "image/gif";
	if (/^RIFF.{4}WEBP/s.test(text)) return "image/webp";
	if (/^RIFF.{4}WAVE/s.test(text)) return "audio/wav";
	if (/^.{4}ftypM4[AB] /s.test(text)) return "audio/mp4";
	if (/^.{4}ftyp(?:isom|iso[2-9]|mp4[12]|avc1|dash|M4V )/s.test(text)) return "video/mp4";
	if (text.startsWith("OggS")) return "audio/ogg";
	if (text.startsWith("ID3") || ["\xff\xfb", "\xff\xf3", "\xff\xf2"].includes(text.slice(0, 2))) return "audio/mpeg";
	if (text.startsWith("\x1aE\xdf\xa3")) return "video/webm";
	if (text.startsWith("%PDF-")) return "application/pdf";
	if (text.startsWith("PK\x03\x04")) return "application/zip";
	return isText(bytes) ? "text/plain" : UNKNOWN_TYPE;
}

/** Opens an image within the limits. `failOn`: what is damaged is not shown half. */
export async function limitedImage(bytes: Uint8Array): Promise<Sharp> {
	// Only who handles an image pays for the decoder, in memory and in time.
	const { default: sharp } = await import("sharp");
	return sharp(bytes, { limitInputPixels: LIMITS.image_pixels, failOn: "warning", animated: false });
}

/** Whether an image's bytes are an image that may be decoded; its size as it is shown. Throws `UnshowableError`. */
export async function imageSize(bytes: Uint8Array): Promise<{ width: number; height: number }> {
	try {
		const { width, height, autoOrient } = await (await limitedImage(bytes)).metadata();
		if (width * height > LIMITS.image_pixels) throw new Error(`${width} × ${height} pixels are too many`);
		return { width: autoOrient.width, height: autoOrient.height };
	} catch (error) {
		throw new UnshowableError(`the image can't be shown: ${reason(error)}`, { cause: error });
	}
}

async function imageFileFacts(file: FileHandle, size: number): Promise<ImageFacts> {
	if (size > LIMITS.image_bytes) {
		throw new UnshowableError(`the image can't be shown: more than ${LIMITS.image_bytes} bytes`);
	}
	const bytes = Buffer.alloc(size);
	await file.read(bytes, 0, size, 0);
	return imageFacts(bytes);
}

/** What is told of an image beside its type. */
export type ImageFacts = Pick<FileFacts, "width" | "height" | "thumbHash">;

/** Dimensions and a blurred preview of an image. Throws `UnshowableError`. */
export async function imageFacts(bytes: Uint8Array): Promise<ImageFacts> {
	const shown = await imageSize(bytes);
	try {
		const { data, info } = await (await limitedImage(bytes))
			.autoOrient()
			.resize(THUMB_SIDE, THUMB_SIDE, { fit: "inside", withoutEnlargement: true })
			.ensureAlpha()
			.raw()
			.toBuffer({ resolveWithObject: true });
		return { ...shown, thumbHash: rgbaToThumbHash(info.width, info.height, data) };
	} catch (error) {
		throw new UnshowableError(`the image can't be shown: ${reason(error)}`, { cause: error });
	}
}

/** What the headers tell, completed by what the first frame shows. A video that can't be decoded is sent without. */
async function videoFacts(
	file: FileHandle,
	format: "mov" | "matroska",
	{ width, height, durationMs }: Pick<FileFacts, "width" | "height" | "durationMs">,
): Promise<Pick<FileFacts, "width" | "height" | "durationMs" | "thumbHash">> {
	const frame = await firstFrame(file, format);
	if (frame === undefined) return { width, height, durationMs, thumbHash: new Uint8Array() };
	const thumbHash = await imageFacts(frame.png).then(
		(facts) => facts.thumbHash,
		() => new Uint8Array(),
	);
	return {
		width: width || frame.width,
		height: height || frame.height,
		durationMs: durationMs || frame.durationMs,
		thumbHash,
	};
}

async function head(file: FileHandle): Promise<Uint8Array> {
	const buffer = new Uint8Array(HEAD_BYTES);
	const { bytesRead } = await file.read(buffer, 0, HEAD_BYTES, 0);
	return buffer.subarray(0, bytesRead);
}

function isText(bytes: Uint8Array): boolean {
	if (bytes.length === 0 || bytes.includes(0)) return false;
	// The last character may be cut.
	const text = new TextDecoder().decode(bytes.subarray(0, Math.max(1, bytes.length - 4)));
	return !text.includes("\ufffd");
}

function reason(error: unknown): string {
	return error instanceof Error ? error.message.replace(/\s+/g, " ") : String(error);
}
