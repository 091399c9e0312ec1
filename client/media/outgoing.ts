/** What is checked and looked at before a file is queued, and the failures of files in words for people. */
import type { FileHandle } from "node:fs/promises";
import { basename } from "node:path";
import { type Attachment, Presentation } from "../../protocol/gen/content_pb.js";
import { LIMITS } from "../../protocol/limits.ts";
import { unreachable } from "../arguments.ts";
import { Failure } from "../failure.ts";
import { ServerRefusal, ServerUnreachable } from "../transport/errors.ts";
import { TamperedError } from "./blob.ts";
import { openForReading } from "./disk.ts";
import { safeFileName } from "./file_name.ts";
import { type FileFacts, inspect, typeOnly, UnshowableError } from "./inspect.ts";

/** How a file is sent. */
export interface SendFileOptions {
	/** How it is meant to be shown; as what it is where this is left out. */
	presentation?: "shown" | "document" | "voice";
	caption?: string;
	altText?: string;
}

const PRESENTATIONS = {
	shown: Presentation.UNSPECIFIED,
	document: Presentation.DOCUMENT,
	voice: Presentation.VOICE,
} as const;

/** Throws `Failure` `bad_argument` for texts that are too long. */
export function checkTexts({ caption = "", altText = "" }: SendFileOptions): void {
	if (Buffer.byteLength(caption) > LIMITS.caption_bytes) {
		throw new Failure("bad_argument", `the caption is longer than ${LIMITS.caption_bytes} bytes`);
	}
	if (Buffer.byteLength(altText) > LIMITS.alt_text_bytes) {
		throw new Failure("bad_argument", `the alt text is longer than ${LIMITS.alt_text_bytes} bytes`);
	}
}

/** Opens a file that can be sent. Throws `Failure` `bad_argument` where there is none, or one that is too large. */
export async function openFile(path: string): Promise<FileHandle> {
	const file = await openForReading(path).catch((error: unknown) => {
		const missing = error instanceof Error && "code" in error && error.code === "ENOENT";
		const why = `cannot read ${path}: ${error instanceof Error ? error.message : error}`;
		throw new Failure("bad_argument", missing ? `there is no file ${path}` : why, error);
	});
	const stat = await file.stat();
	if (stat.isFile() && stat.size <= LIMITS.attachment_bytes) return file;
	await file.close();
	if (!stat.isFile()) throw new Failure("bad_argument", `${path} is no file`);
	throw new Failure("bad_argument", `${path} is larger than ${LIMITS.attachment_bytes} bytes`);
}

/**
 * What the message will say about a file. Throws `Failure` `bad_argument` for one that can't be shown as it is meant.
 */
export async function described(
	file: FileHandle,
	path: string,
	size: number,
	options: SendFileOptions,
): Promise<Pick<Attachment, "size" | "fileName" | "presentation" | "caption" | "altText"> & FileFacts> {
	const { presentation = "shown", caption = "", altText = "" } = options;
	const facts = presentation === "document" ? await typeOnly(file) : await factsOf(file, size);
	if (presentation === "voice" && !/^audio\/|^video\/(?:mp4|webm)$/.test(facts.contentType)) {
		throw new Failure("bad_argument", `${path} is no sound: a voice message is WAV, Ogg, MP3, MP4 or WebM`);
	}
	const fileName = safeFileName(basename(path));
	return { ...facts, size: BigInt(size), fileName, presentation: PRESENTATIONS[presentation], caption, altText };
}

async function factsOf(file: FileHandle, size: number): Promise<FileFacts> {
	try {
		return await inspect(file, size);
	} catch (error) {
		if (!(error instanceof UnshowableError)) throw error;
		throw new Failure("bad_argument", `${error.message} (as a document it can be sent as it is)`, error);
	}
}

/** What went wrong with a file, as people are told. */
export function told(error: unknown): unknown {
	if (error instanceof TamperedError) return new Failure("file_tampered", error.message, error);
	if (error instanceof UnshowableError) {
		return new Failure("file_unsafe", `${error.message} (unchecked it can be saved as it is)`, error);
	}
	if (error instanceof ServerRefusal && error.code === "not_found") {
		return new Failure("file_gone", "the server has this file no longer", error);
	}
	return error instanceof ServerUnreachable ? unreachable(error) : error;
}
