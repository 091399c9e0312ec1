/**
 * What refusals carry and what they count for (rules REFUSED-1 and REFUSED-2), and that envelopes reach whom they name.
 */
import { fromBinary } from "@bufbuild/protobuf";
import { expect, test } from "vitest";
import { ErrorCode, type Refused } from "../../protocol/gen/common_pb.js";
import { ConversationDownSchema } from "../../protocol/gen/conversation_down_pb.js";
import { toHex, uuidToBytes } from "../../protocol/ids.ts";
import { LIMITS } from "../../protocol/limits.ts";
import { A1, type Address, ALICE, B1, Bench, BOB, describe, member, message, newId, up } from "./testing.ts";

/** Devices choose their registration ids by chance: two may be alike. */
const B2 = { ...B1, device: 2 };

function ready() {
	const bench = new Bench();
	const one = bench.ready(A1);
	bench.effects = [];
	return { bench, one };
}

/** The frames that a socket was sent, and nothing else. */
function frames(bench: Bench, socket: number) {
	return bench.effects.flatMap((effect) =>
		effect.type === "send" && effect.socket === socket ? [fromBinary(ConversationDownSchema, effect.bytes).frame] : [],
	);
}

function refused(bench: Bench, socket: number): Refused[] {
	return frames(bench, socket).flatMap((frame) => (frame.case === "refused" ? [frame.value] : []));
}

/** A message with one envelope, some of whose fields are as no client sends them. */
function sent(envelope: { to?: Address; kind?: number; ciphertext?: Uint8Array }): Uint8Array {
	const { to = B1, kind = 1, ciphertext = new Uint8Array([1]) } = envelope;
	const address = { account: uuidToBytes(to.account), device: to.device, registrationId: to.registrationId };
	const envelopes = [{ to: address, kind, ciphertext }];
	return up({ case: "send", value: { messageId: newId(), rosterVersion: 1, envelopes } });
}

test("REFUSED-1 the refusal of a message names it, so that its sender knows which one", () => {
	const bench = new Bench();
	const one = bench.open(A1);
	const [early, large, taken, stale] = [newId(), newId(), newId(), newId()];
	bench.raw(one, message(early, [B1]));
	bench.up(one, { case: "hello", value: { protocolVersion: 1 } });
	bench.raw(one, message(large, [B1], 1, "x".repeat(LIMITS.message_ciphertext_bytes + 1)));
	bench.raw(one, message(taken, [B1]));
	bench.raw(one, message(taken, [B1], 1, "other"));
	bench.raw(one, message(stale, [B1], 2));
	bench.handle({ type: "removeMember", account: BOB });
	const gone = newId();
	bench.raw(one, message(gone, [], 2));
	expect(refused(bench, one).map(({ code, messageId }) => [ErrorCode[code], toHex(messageId)])).toEqual([
		["HELLO_EXPECTED", toHex(early)],
		["MESSAGE_TOO_LARGE", toHex(large)],
		["MESSAGE_ID_CONFLICT", toHex(taken)],
		["STALE_ROSTER", toHex(stale)],
		["MEMBER_GONE", toHex(gone)],
	]);
});

test("REFUSED-1 RATE_LIMITED says when to try again, and after that time a frame passes", () => {
	const { bench, one } = ready();
	const typing = up({ case: "typing", value: { started: true } });
	for (let count = 0; count <= LIMITS.frame_burst; count++) bench.raw(one, typing);
	const [limited] = refused(bench, one);
	expect(limited?.code).toBe(ErrorCode.RATE_LIMITED);
	expect(limited?.retryAfterMs).toBeGreaterThan(0);
	bench.now_ms += limited?.retryAfterMs ?? 0;
	bench.effects = [];
	bench.raw(one, message(newId(), [B1]));
	expect(bench.take(one)).toEqual(["accepted 1"]);
});

test("REFUSED-1 a greeting whose read position is beyond the head is refused like one whose cursor is", () => {
	const bench = new Bench();
	const one = bench.ready(A1, 0, 1);
	expect(bench.take(one)).toEqual(["refused CURSOR_BEYOND_HEAD 0"]);
	// It has said no hello by that.
	bench.up(one, { case: "typing", value: { started: true } });
	expect(bench.take(one)).toEqual(["refused HELLO_EXPECTED 0"]);
});

test.each([
	["a kind that means nothing", sent({ kind: 0 })],
	["a kind of groups for one device", sent({ kind: 3 })],
	["no ciphertext", sent({ ciphertext: new Uint8Array() })],
	["device 0", sent({ to: { ...B1, device: 0 } })],
	["a registration id that libsignal never makes", sent({ to: { ...B1, registrationId: 16_381 } })],
	["registration id 0", sent({ to: { ...B1, registrationId: 0 } })],
	["a change of a group", up({ case: "send", value: { messageId: newId(), rosterVersion: 1, change: {} } })],
])("REFUSED-1 MALFORMED, and nothing is logged: %s", (_, bytes) => {
	const { bench, one } = ready();
	bench.raw(one, bytes);
	expect(bench.take(one)).toEqual(["refused MALFORMED 0"]);
	expect(bench.core.head).toBe(0);
});

test("REFUSED-1 a message that is too large counts as no malformed frame, however often it comes", () => {
	const { bench, one } = ready();
	const large = "x".repeat(LIMITS.message_ciphertext_bytes + 1);
	for (let count = 0; count < 2 * LIMITS.malformed_frames; count++) bench.raw(one, message(newId(), [B1], 1, large));
	expect(new Set(bench.take(one))).toEqual(new Set([`refused MESSAGE_TOO_LARGE ${LIMITS.message_ciphertext_bytes}`]));
	bench.raw(one, message(newId(), [B1]));
	expect(bench.take(one)).toEqual(["accepted 1"]);
});

test.each([
	["frames that are too large", new Uint8Array(LIMITS.frame_bytes + 1)],
	["second greetings", up({ case: "hello", value: { protocolVersion: 1 } })],
])("REFUSED-2 %s count as malformed", (_, bytes) => {
	const { bench, one } = ready();
	for (let count = 0; count < LIMITS.malformed_frames; count++) bench.raw(one, bytes);
	expect(bench.take(one).at(-1)).toBe("closed 4400");
});

test("REFUSED-2 who was closed for what it sent, and is behind, is nudged like one that left", () => {
	const { bench, one } = ready();
	const other = bench.ready(B1);
	bench.raw(one, message(newId(), [B1]));
	bench.takeCalls();
	for (let count = 0; count < LIMITS.malformed_frames; count++) bench.raw(other, "x");
	const nudge = { type: "nudge", account: BOB, peer: ALICE, device: 1, upTo: 1 };
	expect(bench.takeCalls().filter(({ type }) => type === "nudge")).toEqual([nudge]);
});

test("DELIVERED-1 each device gets the ciphertext that is addressed to it, at once and from the log", () => {
	const bench = new Bench([member(ALICE, 11), member(BOB, 21, 21)]);
	const [one, two] = [bench.ready(A1), bench.ready(B2)];
	const envelopes = [B1, B2].map(({ account, device, registrationId }) => ({
		to: { account: uuidToBytes(account), device, registrationId },
		kind: 1,
		ciphertext: new Uint8Array([device]),
	}));
	bench.up(one, { case: "send", value: { messageId: newId(), rosterVersion: 1, envelopes } });
	const late = [bench.ready(B1), bench.ready(B2)];
	const got = [two, ...late].map((socket) =>
		frames(bench, socket).flatMap((frame) => (frame.case === "entry" ? [...frame.value.ciphertext] : [])),
	);
	expect(got).toEqual([[2], [1], [2]]);
});

test("DELIVERED-1 an entry from the log is, byte for byte, the one that was pushed, whichever device sent it", () => {
	const sender = { account: ALICE, device: 127, registrationId: 16_380 };
	const bench = new Bench([{ account: ALICE, devices: [sender] }, member(BOB, 21)]);
	const [one, other] = [bench.ready(sender), bench.ready(B1)];
	bench.effects = [];
	bench.raw(one, message(newId(), [B1]));
	const entry = (socket: number) =>
		bench.effects.flatMap((effect) =>
			effect.type === "send" && effect.socket === socket && describe(effect.bytes) === "entry 1" ? effect.bytes : [],
		);
	const pushed = entry(other);
	expect(pushed).toHaveLength(1);
	expect(entry(bench.ready(B1))).toEqual(pushed);
});

test("DELIVERED-1 devices of two accounts with the same number and registration get each its own ciphertext", () => {
	const bench = new Bench([member(ALICE, 21, 12), member(BOB, 21)]);
	const sender = bench.ready({ account: ALICE, device: 2, registrationId: 12 });
	const own: Address = { account: ALICE, device: 1, registrationId: 21 };
	const [one, other] = [bench.ready(own), bench.ready(B1)];
	bench.effects = [];
	const envelopes = [own, B1].map(({ account, device, registrationId }, index) => ({
		...{ to: { account: uuidToBytes(account), device, registrationId }, kind: 1 },
		ciphertext: new Uint8Array([index]),
	}));
	bench.up(sender, { case: "send", value: { messageId: newId(), rosterVersion: 1, envelopes } });
	const got = [one, other].map((socket) =>
		frames(bench, socket).flatMap((frame) => (frame.case === "entry" ? [...frame.value.ciphertext] : [])),
	);
	expect(got).toEqual([[0], [1]]);
});
