import { create, toBinary } from "@bufbuild/protobuf";
import { expect, test } from "vitest";
import { type Attachment, AttachmentSchema } from "../../protocol/gen/content_pb.js";
import { LIMITS } from "../../protocol/limits.ts";
import { chunkBytesFor, incrementalMacSize } from "./blob.ts";
import { acceptedPicture } from "./picture.ts";

function serialized(change: Partial<Pick<Attachment, "blob" | "key" | "size" | "contentType">>): Uint8Array {
	const size = Number(change.size ?? 40_000n);
	const chunkBytes = chunkBytesFor(size);
	const incrementalMac = new Uint8Array(incrementalMacSize(size, chunkBytes));
	const opening = { key: new Uint8Array(64), digest: new Uint8Array(32), incrementalMac, chunkBytes };
	const pointer = { blob: "a".repeat(43), size: BigInt(size), contentType: "image/jpeg", ...opening, ...change };
	return toBinary(AttachmentSchema, create(AttachmentSchema, pointer));
}

test("PICTURE-2 a pointer that leads to no image, or to one that is too large, is none", () => {
	expect(acceptedPicture(serialized({}))).toMatchObject({ contentType: "image/jpeg", size: 40_000n });
	expect(acceptedPicture(serialized({ size: BigInt(LIMITS.picture_bytes) }))).toBeDefined();
	expect(acceptedPicture(serialized({ size: BigInt(LIMITS.picture_bytes + 1) }))).toBeUndefined();
	expect(acceptedPicture(serialized({ contentType: "text/html" }))).toBeUndefined();
	expect(acceptedPicture(serialized({ blob: "../../etc" }))).toBeUndefined();
	expect(acceptedPicture(serialized({ key: new Uint8Array(32) }))).toBeUndefined();
	expect(acceptedPicture(Buffer.from("no message"))).toBeUndefined();
	expect(acceptedPicture(new Uint8Array(0))).toBeUndefined();
});
