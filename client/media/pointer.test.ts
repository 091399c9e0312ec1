import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { expect, test } from "vitest";
import { AttachmentSchema, type AttachmentSchema as Schema } from "../../protocol/gen/content_pb.js";
import { LIMITS } from "../../protocol/limits.ts";
import { chunkBytesFor, incrementalMacSize } from "./blob.ts";
import { acceptedPointer, storedFile } from "./pointer.ts";

function pointer(changes: MessageInitShape<typeof Schema> = {}) {
	return create(AttachmentSchema, {
		blob: "A".repeat(43),
		key: new Uint8Array(64),
		digest: new Uint8Array(32),
		incrementalMac: new Uint8Array(incrementalMacSize(1000, chunkBytesFor(1000))),
		chunkBytes: chunkBytesFor(1000),
		size: 1000n,
		contentType: "image/png",
		fileName: "a.png",
		...changes,
	});
}

test("ATTACH-4 a pointer that is well-formed is taken as it is", () => {
	const accepted = acceptedPointer(pointer({ caption: "look", width: 3, height: 4 }));
	expect(accepted && storedFile(accepted)).toMatchObject({
		name: "a.png",
		size: 1000,
		width: 3,
		presentation: "shown",
	});
	expect(accepted?.caption).toBe("look");
});

test.each<[string, MessageInitShape<typeof Schema>]>([
	["a blob id that leads elsewhere", { blob: "../grants" }],
	["a short key", { key: new Uint8Array(32) }],
	["a short digest", { digest: new Uint8Array(31) }],
	["no checksums", { incrementalMac: new Uint8Array() }],
	["checksums for another size", { size: 10_000_000n }],
	["chunks of a byte", { chunkBytes: 1 }],
	["chunks beyond memory", { chunkBytes: 2 ** 31, incrementalMac: new Uint8Array(32) }],
	["a size beyond the limit", { size: BigInt(LIMITS.attachment_bytes) + 1n }],
	["a size beyond numbers", { size: 2n ** 63n }],
])("ATTACH-4 a pointer with %s is refused", (_what, changes) => {
	expect(acceptedPointer(pointer(changes))).toBeUndefined();
});

test("ATTACH-4 what people must not see as it is, is left out", () => {
	const accepted = acceptedPointer(
		pointer({
			fileName: "../\u202egnp.exe",
			contentType: 'image/png"; \u001b',
			caption: "x".repeat(LIMITS.caption_bytes + 1),
			thumbHash: new Uint8Array(1000),
			waveform: new Uint8Array(1000),
			width: 2 ** 31,
		}),
	);
	expect(accepted).toMatchObject({
		fileName: "gnp.exe",
		contentType: "application/octet-stream",
		caption: "",
		width: 0,
	});
	expect(accepted?.thumbHash.length).toBe(LIMITS.thumb_hash_bytes);
	expect(accepted?.waveform.length).toBe(LIMITS.waveform_steps);
});
