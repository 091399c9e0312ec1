import { create, toBinary } from "@bufbuild/protobuf";
import { expect, test } from "vitest";
import { EnvelopeKind } from "./gen/common_pb.js";
import { ConversationUpSchema } from "./gen/conversation_up_pb.js";
import { LIMITS } from "./limits.ts";

/** The devices that a message of the largest roster goes to: two accounts, less the sender. */
const RECIPIENTS = LIMITS.devices_per_account * 2 - 1;

test("a frame holds the largest message for the largest roster", () => {
	const ciphertext_bytes = Math.floor(LIMITS.message_ciphertext_bytes / RECIPIENTS);
	const envelopes = Array.from({ length: RECIPIENTS }, (_, index) => ({
		to: { account: new Uint8Array(16), device: index + 1, registrationId: 16380 },
		kind: EnvelopeKind.PREKEY,
		ciphertext: new Uint8Array(ciphertext_bytes),
	}));
	const value = { messageId: new Uint8Array(16), rosterVersion: 0xffffffff, envelopes };
	const frame = toBinary(ConversationUpSchema, create(ConversationUpSchema, { frame: { case: "send", value } }));
	expect(frame.length).toBeLessThanOrEqual(LIMITS.frame_bytes);
});

test("a device acknowledges before what is on the way to it is full", () => {
	expect(LIMITS.acknowledge_entries * 2).toBeLessThanOrEqual(LIMITS.window_entries);
	expect(LIMITS.message_ciphertext_bytes).toBeLessThan(LIMITS.window_bytes);
});

test("ids are remembered for longer than entries are on the way", () => {
	expect(LIMITS.remembered_entries).toBeGreaterThan(LIMITS.window_entries);
});

test("an object has room for a whole upload of prekeys, and a client refills before it is empty", () => {
	expect(LIMITS.prekeys_per_upload).toBeLessThanOrEqual(LIMITS.prekeys_kept);
	expect(LIMITS.prekeys_low).toBeLessThan(LIMITS.prekeys_per_upload);
});

test("every limit is a whole number above zero", () => {
	for (const [name, limit] of Object.entries(LIMITS)) expect(Number.isInteger(limit) && limit > 0, name).toBe(true);
});
