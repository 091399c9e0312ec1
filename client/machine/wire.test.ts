import { create, toBinary } from "@bufbuild/protobuf";
import { expect, test } from "vitest";
import { ContentSchema } from "../../protocol/gen/content_pb.js";
import { ConversationUpSchema, SendSchema } from "../../protocol/gen/conversation_up_pb.js";
import { uuidToBytes } from "../../protocol/ids.ts";
import { sendBytes, textBytes } from "./wire.ts";

const ID = "01234567-89ab-7def-8123-456789abcdef";

test("a text that is written by hand is the library's", () => {
	const bodies = ["", "x", "é", "\u{1f600}", "x".repeat(125), "x".repeat(126), "x".repeat(127), "€".repeat(20_000)];
	for (const body of bodies) {
		for (const sentAtMs of [0, 1, -1, 1.5, 2 ** 31, 1_800_000_000_000, 2 ** 53 - 1]) {
			for (const senderName of ["", "alice", "Zoë"]) {
				const sent = BigInt(Math.max(0, Math.trunc(sentAtMs)));
				const kind = { case: "text" as const, value: { body } };
				const content = create(ContentSchema, { messageId: uuidToBytes(ID), sentAtMs: sent, kind, senderName });
				expect(hex(textBytes(ID, sentAtMs, body, senderName))).toBe(hex(toBinary(ContentSchema, content)));
			}
		}
	}
});

test("a frame that is written by hand is the library's", () => {
	const account = uuidToBytes(ID);
	for (const rosterVersion of [0, 1, 127, 128, 2 ** 32 - 1]) {
		for (const bytes of [0, 1, 126, 127, 128, 20_000]) {
			for (const devices of [0, 1, 5]) {
				const envelopes = Array.from({ length: devices }, (_, device) => ({
					to: { account, device, registrationId: 16_380 * device },
					kind: device % 3,
					ciphertext: new Uint8Array(bytes).fill(device),
				}));
				const send = create(SendSchema, { messageId: account, rosterVersion, envelopes });
				const frame = create(ConversationUpSchema, { frame: { case: "send", value: send } });
				expect(hex(sendBytes(send))).toBe(hex(toBinary(ConversationUpSchema, frame)));
			}
		}
	}
	const send = create(SendSchema, { envelopes: [{ kind: 1 }] });
	const frame = create(ConversationUpSchema, { frame: { case: "send", value: send } });
	expect(hex(sendBytes(send))).toBe(hex(toBinary(ConversationUpSchema, frame)));
});

function hex(bytes: Uint8Array): string {
	return Buffer.from(bytes).toString("hex");
}
