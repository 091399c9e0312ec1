/** A member's socket at Parley: frames of the protocol, made and read by hand where they are many. */
import { randomBytes } from "node:crypto";
import { create, fromBinary, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { EnvelopeKind, ErrorCode } from "../protocol/gen/common_pb.js";
import { ConversationDownSchema } from "../protocol/gen/conversation_down_pb.js";
import { ConversationUpSchema } from "../protocol/gen/conversation_up_pb.js";
import { nextUuidV7 } from "../protocol/ids.ts";
import { LIMITS } from "../protocol/limits.ts";
import { PROTOCOL_VERSION } from "../protocol/version.ts";
import { numberLength, Writer } from "../protocol/writing.ts";
import type { LoadPair } from "./accounts.ts";
import { readArrival } from "./arrival.ts";
import { type Endpoint, type EndpointEvents, openSocket } from "./endpoints.ts";

/** Fields of `ConversationDown.frame`; the others are rare and decoded by the library. */
const ENTRY = 2;
const ACCEPTED = 4;
const WATERMARK = 6;
/** `ConversationUp.acknowledged`. */
const ACKNOWLEDGED = 15;

function up(frame: MessageInitShape<typeof ConversationUpSchema>): Uint8Array<ArrayBuffer> {
	return new Uint8Array(toBinary(ConversationUpSchema, create(ConversationUpSchema, frame)));
}

/**
 * Opens the member's socket, says Hello and waits for the Welcome. `catchUp`: how many entries wait; the event comes
 * when all are here and the server has said so.
 */
export async function openParleyEndpoint(
	base: string,
	pair: LoadPair,
	member: 0 | 1,
	message_bytes: number,
	events: EndpointEvents,
	catchUp: number | undefined,
): Promise<Endpoint> {
	const [own, peer] = member === 0 ? pair : [pair[1], pair[0]];
	let cursor = 0;
	let acknowledged = 0;
	/** Since when something waits to be acknowledged, in milliseconds of `performance.now`. */
	let due_ms = 0;
	let caughtUp = false;
	let welcome: (rosterVersion: number) => void = () => {};
	const welcomed = new Promise<number>((done) => {
		welcome = done;
	});

	const acknowledge = (delay_ms = 0) => {
		if (cursor === acknowledged || performance.now() - due_ms < delay_ms) return;
		acknowledged = cursor;
		socket.send(up({ frame: { case: "acknowledge", value: { cursor } } }));
	};
	const arrived = (number: number) => {
		// The object pushes in the log's order, so what arrives completes everything before it.
		if (cursor === acknowledged) due_ms = performance.now();
		if (number > cursor) cursor = number;
		if (cursor - acknowledged >= LIMITS.acknowledge_entries) acknowledge();
		if (catchUp !== undefined && caughtUp && cursor >= catchUp) events.caughtUp();
	};
	const decodeRare = (bytes: Buffer) => {
		const { frame } = fromBinary(ConversationDownSchema, bytes);
		switch (frame.case) {
			case "welcome":
				return welcome(frame.value.roster?.version ?? 0);
			case "refused":
				return events.refused(ErrorCode[frame.value.code]);
			case "caughtUp":
				caughtUp = true;
				return arrived(frame.value.head);
			case "roster":
			case "missed":
				return events.refused(`unexpected ${frame.case}`);
			case "entry":
			case "accepted":
			case "watermark":
			case "typing":
			case undefined:
				return;
		}
	};

	const socket = await openSocket(
		`${base.replace("http", "ws")}/v1/direct/${peer.accountId}/socket`,
		{ authorization: `Bearer ${own.accessToken}` },
		(bytes) => {
			switch ((bytes[0] ?? 0) >> 3) {
				case ENTRY: {
					const { number, counter } = readArrival(bytes, 1, 3);
					events.received(counter);
					return arrived(number);
				}
				case ACCEPTED: {
					const { number, counter } = readArrival(bytes, 2, 1);
					events.accepted(counter);
					return arrived(number);
				}
				case WATERMARK:
					return;
				default:
					return decodeRare(bytes);
			}
		},
	);
	socket.send(up({ frame: { case: "hello", value: { protocolVersion: PROTOCOL_VERSION, cursor: 0, read: 0 } } }));
	const rosterVersion = await welcomed;

	// One frame is encoded; for each message only its id is written into it, and what is acknowledged beside it, as the
	// client does (rule DELIVERED-4).
	let previous = nextUuidV7(Date.now(), randomBytes(10));
	const template = Buffer.from(
		up({
			frame: {
				case: "send",
				value: {
					messageId: previous,
					rosterVersion,
					envelopes: [
						{
							to: { account: peer.accountIdBytes, device: peer.deviceId, registrationId: peer.registrationId },
							kind: EnvelopeKind.SESSION,
							ciphertext: new Uint8Array(randomBytes(message_bytes)),
						},
					],
				},
			},
		}),
	);
	const idAt = template.indexOf(previous);
	const random = Buffer.from(randomBytes(10));
	return {
		send(counter) {
			random.writeUInt32BE(counter, 6);
			previous = nextUuidV7(Date.now(), random, previous);
			const due = cursor === acknowledged ? 0 : cursor;
			const frame = new Writer(template.length + numberLength(due));
			frame.copy(template);
			frame.bytes.set(previous, idAt);
			frame.number(ACKNOWLEDGED, due);
			acknowledged = cursor;
			socket.send(frame.bytes);
		},
		acknowledge,
		close: () => socket.close(),
	};
}
