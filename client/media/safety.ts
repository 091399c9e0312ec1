/** Whether a file of somebody else may be shown: libsignal's sanitizers, and limits before anything is decoded. */
import { type FileHandle, open } from "node:fs/promises";
import { io, LibSignalErrorBase, Mp4Sanitizer, WebpSanitizer } from "@signalapp/libsignal-client";
import { LIMITS } from "../../protocol/limits.ts";
import { contentTypeOf, imageSize, UnshowableError } from "./inspect.ts";

/** In the place of a type, where an image of any type is meant. */
export const ANY_IMAGE = "image/any";

/**
 * Looks at a decrypted file on disk by what it is, whatever the message says. Throws `UnshowableError` for an image or
 * video that is malformed, beyond the limits, or none of the kind that the message promised.
 */
export async function assertShowable(path: string, promised: string): Promise<void> {
	const file = await open(path, "r");
	try {
		const { size } = await file.stat();
		const head = Buffer.alloc(Math.min(size, 4096));
		await file.read(head, 0, head.length, 0);
		const type = contentTypeOf(head);
		const kind = promised.split("/")[0];
		if ((kind === "image" || kind === "video") && type.split("/")[0] !== kind) {
			const other = promised === ANY_IMAGE ? "it is no image" : `the file says that it is ${promised}, and is not`;
			throw new UnshowableError(other);
		}
		if (type === "video/mp4") await sanitized(Mp4Sanitizer.sanitize(new FileStream(file, size), BigInt(size)));
		if (!type.startsWith("image/")) return;
		if (size > LIMITS.image_bytes) throw new UnshowableError(`an image of more than ${LIMITS.image_bytes} bytes`);
		const bytes = new Uint8Array(size);
		await file.read(bytes, 0, size, 0);
		if (type === "image/webp") await sanitized((async () => WebpSanitizer.sanitize(bytes))());
		await imageSize(bytes);
	} finally {
		await file.close();
	}
}

async function sanitized(work: Promise<unknown>): Promise<void> {
	try {
		await work;
	} catch (error) {
		if (!(error instanceof LibSignalErrorBase)) throw error;
		throw new UnshowableError(`the file can't be shown safely: ${error.message}`, { cause: error });
	}
}

class FileStream extends io.InputStream {
	readonly #file: FileHandle;
	readonly #size: number;
	#at = 0;

	constructor(file: FileHandle, size: number) {
		super();
		this.#file = file;
		this.#size = size;
	}

	override async read(amount: number): Promise<Uint8Array<ArrayBuffer>> {
		const buffer = new Uint8Array(amount);
		const { bytesRead } = await this.#file.read(buffer, 0, amount, this.#at);
		this.#at += bytesRead;
		return buffer.slice(0, bytesRead);
	}

	override async skip(amount: number): Promise<void> {
		if (amount > this.#size - this.#at) throw new UnshowableError("the file is cut off");
		this.#at += amount;
	}
}
