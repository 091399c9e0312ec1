import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { expect, test } from "vitest";
import { ConversationDownSchema } from "../../protocol/gen/conversation_down_pb.js";
import { ConversationUpSchema } from "../../protocol/gen/conversation_up_pb.js";
import { toHex } from "../../protocol/ids.ts";
import { encode } from "./frames.ts";
import { A1, B1, message, newId, up } from "./testing.ts";
import { accepted, entryFrame, readAcknowledge, readSend } from "./wire.ts";

const bytes = (length: number) => crypto.getRandomValues(new Uint8Array(length));
const NUMBERS = [0, 1, 127, 128, 300, 16_383, 16_384, 2 ** 31, 2 ** 32 - 1];
const TIMES = [0, 1, 2 ** 32, 1_800_000_000_000, 2 ** 53 - 1];

test("frames that are written by hand are those of the library", () => {
	for (const number of NUMBERS) {
		for (const time_ms of TIMES) {
			for (const length of [0, 1, 100, 127, 128, 70_000]) {
				const messageId = bytes(16);
				const entry = { number, time_ms, messageId: toHex(messageId), sender: "", checksum: 0, wiped: false };
				const serverTimeMs = BigInt(time_ms);
				expect(accepted(entry)).toEqual(encode({ case: "accepted", value: { messageId, number, serverTimeMs } }));
				const sender = { account: bytes(16), device: number % 128 };
				const ciphertext = new Uint8Array(length).fill(7);
				const value = {
					number,
					serverTimeMs,
					messageId,
					senderAccount: sender.account,
					senderDevice: sender.device,
					kind: 2,
					ciphertext,
				};
				// Compared as text, which is faster by far for large arrays.
				const frame = entryFrame(entry, sender, { kind: 2, ciphertext });
				expect(Buffer.from(frame).equals(encode({ case: "entry", value }))).toBe(true);
				const mark = { delivered: Math.max(1, number), after: number };
				const marked = entryFrame(entry, sender, { kind: 2, ciphertext }, mark);
				const { after } = mark;
				const down = {
					frame: { case: "entry", value },
					delivered: mark.delivered,
					...(after === 0 ? {} : { after }),
				} as const;
				expect(Buffer.from(marked).equals(toBinary(ConversationDownSchema, create(ConversationDownSchema, down)))).toBe(
					true,
				);
			}
		}
	}
	expect(fromBinary(ConversationDownSchema, accepted(entryOf(5))).frame.case).toBe("accepted");
});

function entryOf(number: number) {
	return { number, time_ms: 1, messageId: toHex(bytes(16)), sender: "", checksum: 0, wiped: false };
}

test("a send that is read by hand is that of the library, or is left to it", () => {
	for (const to of [[B1], [A1, B1], []]) {
		for (const text of ["x", "x".repeat(200), "x".repeat(90_000)]) {
			const frame = message(newId(), to, 300, text);
			const read = fromBinary(ConversationUpSchema, frame).frame;
			const byHand = readSend(frame);
			expect(byHand?.send).toEqual(read.case === "send" ? { ...read.value } : undefined);
			expect(byHand).toMatchObject({ bytes: frame.length, acknowledged: 0 });
			for (const acknowledged of [1, 127, 128, 2 ** 28 - 1]) {
				const carrying = beside(frame, acknowledged);
				expect(readSend(carrying)).toEqual({ send: byHand?.send, bytes: frame.length, acknowledged });
			}
			// Those are the library's: a number beyond four bytes, one that is there and 0 is none.
			expect(readSend(beside(frame, 2 ** 28))).toBeUndefined();
			expect(readSend(beside(frame, 0))?.acknowledged).toBe(0);
		}
	}
	const frame = message(newId(), [A1, B1]);
	// Every cut and every changed byte: the same message as the library's, or none.
	for (let cut = 0; cut < frame.length; cut++) check(frame.subarray(0, cut));
	for (let at = 0; at < frame.length; at++) {
		for (const change of [1, 2, 8, 0x80, 0xff]) {
			const changed = frame.slice();
			changed[at] = (changed[at] ?? 0) ^ change;
			check(changed);
		}
	}
	for (let count = 0; count < 2_000; count++) check(bytes(1 + (count % 80)));
});

test("hostile sends: huge numbers, nested lengths, shared beside envelopes, fields twice: the library's reading or none", () => {
	const frame = message(newId(), [A1, B1]);
	const shared = toBinary(
		ConversationUpSchema,
		create(ConversationUpSchema, {
			frame: { case: "send", value: { messageId: newId(), rosterVersion: 1, shared: bytes(20) } },
		}),
	);
	const piece = (data: Uint8Array, from: number, to: number) => [...data.subarray(from, to)];
	const varints = [
		[0xff, 0xff, 0xff, 0xff, 0x0f],
		[0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x01],
	];
	const inserted = [
		...varints,
		[0x80, 0x00],
		[0x1a, 0x00],
		[0x22, 0x01, 0x07],
		[0x10, 0x05],
		[0x2a, 0x00],
		[0x12, 0x00],
	];
	for (const data of [frame, shared]) {
		for (let at = 0; at <= data.length; at++) {
			for (const more of inserted)
				check(new Uint8Array([...piece(data, 0, at), ...more, ...piece(data, at, data.length)]));
			// With the outer length mended, so that it is a frame again.
			for (const more of inserted) {
				const inner = [...piece(data, 2, at), ...more, ...piece(data, Math.max(2, at), data.length)];
				if (inner.length < 128 && at >= 2) check(new Uint8Array([0x12, inner.length, ...inner]));
			}
		}
		check(new Uint8Array([...data, ...data]));
	}
});

function check(data: Uint8Array): void {
	const byHand = readSend(data);
	if (byHand === undefined) return;
	const send = create(ConversationUpSchema, { frame: { case: "send", value: byHand.send } });
	const { frame, acknowledged } = fromBinary(ConversationUpSchema, data);
	expect(frame.case).toBe("send");
	expect(acknowledged ?? 0).toBe(byHand.acknowledged);
	expect(toBinary(ConversationUpSchema, send)).toEqual(
		toBinary(ConversationUpSchema, create(ConversationUpSchema, { frame })),
	);
}

function beside(frame: Uint8Array, acknowledged: number): Uint8Array {
	const field = toBinary(ConversationUpSchema, create(ConversationUpSchema, { acknowledged }));
	return new Uint8Array([...frame, ...field]);
}

test("an acknowledgement that is read by hand is that of the library, or is left to it", () => {
	const frames = [1, 127, 128, 2 ** 28 - 1, 2 ** 28, 2 ** 32 - 1, 0].flatMap((cursor) =>
		[false, true].map((quiet) => up({ case: "acknowledge", value: { cursor, quiet } })),
	);
	expect(frames.map((frame) => readAcknowledge(frame) !== undefined)).toEqual([
		...Array.from({ length: 8 }, () => true),
		...Array.from({ length: 6 }, () => false),
	]);
	for (const frame of frames) {
		checkAcknowledge(frame);
		for (let cut = 0; cut < frame.length; cut++) checkAcknowledge(frame.subarray(0, cut));
		for (let at = 0; at < frame.length; at++) {
			for (let change = 1; change < 256; change++) {
				const changed = frame.slice();
				changed[at] = (changed[at] ?? 0) ^ change;
				checkAcknowledge(changed);
			}
		}
		checkAcknowledge(new Uint8Array([...frame, ...frame]));
		expect(readAcknowledge(beside(frame, 5))).toBeUndefined();
	}
	for (const other of [
		message(newId(), [B1]),
		up({ case: "read", value: { upTo: 3 } }),
		up({ case: "watermarks", value: {} }),
	]) {
		expect(readAcknowledge(other)).toBeUndefined();
	}
});

function checkAcknowledge(data: Uint8Array): void {
	const byHand = readAcknowledge(data);
	if (byHand === undefined) return;
	const { frame, acknowledged } = fromBinary(ConversationUpSchema, data);
	expect([frame.case, acknowledged]).toEqual(["acknowledge", undefined]);
	expect(frame.value).toMatchObject(byHand);
}
