/** Pictures of groups and people: made anew before they are sent, and taken for one only within limits. */
import { readFile } from "node:fs/promises";
import { fromBinary } from "@bufbuild/protobuf";
import { type Attachment, AttachmentSchema } from "../../protocol/gen/content_pb.js";
import { LIMITS } from "../../protocol/limits.ts";
import { Failure } from "../failure.ts";
import { type ImageFacts, imageFacts, limitedImage, UnshowableError } from "./inspect.ts";
import { openFile } from "./outgoing.ts";
import { acceptedPointer } from "./pointer.ts";
import { ANY_IMAGE, assertShowable } from "./safety.ts";

/** Falling until the picture fits. */
const QUALITIES = [82, 60, 40];

/** A picture as it is sent: nothing of the file is left but how it looks (rule PICTURE-1). */
export interface MadePicture extends ImageFacts {
	/** A JPEG. */
	bytes: Uint8Array;
}

/** Makes a picture of an image on disk. Throws `Failure` `bad_argument` for what is none, or can't be shown safely. */
export async function pictureFrom(path: string): Promise<MadePicture> {
	await (await openFile(path)).close();
	try {
		await assertShowable(path, ANY_IMAGE);
		const bytes = new Uint8Array(await readFile(path));
		for (const quality of QUALITIES) {
			const image = (await limitedImage(bytes)).autoOrient();
			const side = LIMITS.picture_side;
			const small = image.resize(side, side, { fit: "inside", withoutEnlargement: true });
			const made = new Uint8Array(
				await small.flatten({ background: "#fff" }).jpeg({ quality, mozjpeg: true }).toBuffer(),
			);
			if (made.length <= LIMITS.picture_bytes) return { bytes: made, ...(await imageFacts(made)) };
		}
		throw new UnshowableError("the image can't be made small enough");
	} catch (error) {
		if (!(error instanceof UnshowableError)) throw error;
		throw new Failure("bad_argument", `${path} can't be a picture: ${error.message}`, error);
	}
}

/**
 * The picture that a state or a profile points to; undefined where there is none, or one that can't be (rule
 * PICTURE-2).
 */
export function acceptedPicture(bytes: Uint8Array): Attachment | undefined {
	if (bytes.length === 0) return undefined;
	try {
		const pointer = acceptedPointer(fromBinary(AttachmentSchema, bytes));
		if (pointer === undefined || !pointer.contentType.startsWith("image/")) return undefined;
		return Number(pointer.size) <= LIMITS.picture_bytes ? pointer : undefined;
	} catch {
		return undefined;
	}
}
