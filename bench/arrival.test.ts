import { create, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { expect, test } from "vitest";
import { ConversationDownSchema } from "../protocol/gen/conversation_down_pb.js";
import { readArrival } from "./arrival.ts";

const messageId = new Uint8Array(16).fill(0xaa);
messageId.set([0, 1, 2, 3], 12);

function down(frame: MessageInitShape<typeof ConversationDownSchema>): Buffer {
	return Buffer.from(toBinary(ConversationDownSchema, create(ConversationDownSchema, frame)));
}

test("an entry and its acknowledgement are read as the library writes them", () => {
	const number = 70_000;
	const serverTimeMs = 1_800_000_000_000n;
	const senderAccount = new Uint8Array(16).fill(7);
	const entry = down({
		frame: {
			case: "entry",
			value: { number, serverTimeMs, messageId, senderAccount, senderDevice: 1, ciphertext: new Uint8Array(1_000) },
		},
	});
	const accepted = down({ frame: { case: "accepted", value: { messageId, number, serverTimeMs } } });
	expect(readArrival(entry, 1, 3)).toEqual({ number, counter: 0x00010203 });
	expect(readArrival(accepted, 2, 1)).toEqual({ number, counter: 0x00010203 });
});
