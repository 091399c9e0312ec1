/** An image of somebody else, made small and anew: nothing but what comes out of here is shown on a terminal. */
import { WebpSanitizer } from "@signalapp/libsignal-client";
import { LIMITS } from "../../protocol/limits.ts";
import { contentTypeOf, imageSize, limitedImage, UnshowableError } from "./inspect.ts";

export interface Preview {
	/** A PNG that this device has made. */
	png: Uint8Array;
	width: number;
	height: number;
}

/** Decodes an image within the limits. Throws `UnshowableError`. */
export async function previewOf(pieces: AsyncIterable<Uint8Array>, side: number): Promise<Preview> {
	const read: Buffer[] = [];
	let size = 0;
	for await (const piece of pieces) {
		size += piece.length;
		if (size > LIMITS.image_bytes) throw new UnshowableError(`an image of more than ${LIMITS.image_bytes} bytes`);
		read.push(Buffer.from(piece));
	}
	const bytes = new Uint8Array(Buffer.concat(read));
	try {
		if (contentTypeOf(bytes) === "image/webp") WebpSanitizer.sanitize(bytes);
		await imageSize(bytes);
		const { data, info } = await (await limitedImage(bytes))
			.autoOrient()
			.resize(side, side, { fit: "inside", withoutEnlargement: true })
			.png()
			.toBuffer({ resolveWithObject: true });
		return { png: data, width: info.width, height: info.height };
	} catch (error) {
		throw new UnshowableError("the image can't be shown", { cause: error });
	}
}
