/**
 * What the load generator speaks: for both servers the same thing, a message that is named by a counter and its
 * arrival at both ends. Sockets are raw; no frame is decoded further than the generator needs, so that the server is
 * what limits.
 */
import { randomBytes } from "node:crypto";
import { WebSocket } from "ws";

export interface Endpoint {
	/** Sends the message of this number. */
	send(counter: number): void;
	/** Says what it has received, where the protocol wants that. Called every 100 ms. */
	acknowledge(delay_ms?: number): void;
	close(): void;
}

export interface EndpointEvents {
	/** The server has acknowledged the own message of this number. */
	accepted(counter: number): void;
	/** The other member's message of this number is here. */
	received(counter: number): void;
	refused(why: string): void;
	/** Everything that was in the log is here; only in catch-up. */
	caughtUp(): void;
}

/** An open socket that hands over binary frames. */
export async function openSocket(
	url: string,
	headers: Record<string, string>,
	received: (bytes: Buffer) => void,
): Promise<WebSocket> {
	const socket = new WebSocket(url, { headers, perMessageDeflate: false });
	socket.binaryType = "nodebuffer";
	socket.on("message", (data) => {
		// With binaryType "nodebuffer" it is always one.
		if (!Array.isArray(data) && !(data instanceof ArrayBuffer)) received(data);
	});
	await new Promise<void>((opened, failed) => {
		socket.once("open", opened);
		socket.once("error", failed);
	});
	socket.on("error", () => socket.terminate());
	return socket;
}

/** Bytes of the message's name; the counter is its last four. */
const ID_BYTES = 16;

/** The first byte tells the members apart. */
export async function openBareEndpoint(
	base: string,
	pair: string,
	member: 0 | 1,
	message_bytes: number,
	events: EndpointEvents,
	catchUp: number | undefined,
): Promise<Endpoint> {
	const payload = randomBytes(message_bytes);
	let seen = 0;
	const query = catchUp === undefined ? "" : "?after=0";
	const socket = await openSocket(`${base.replace("http", "ws")}/${pair}${query}`, {}, (bytes) => {
		const counter = bytes.readUInt32BE(ID_BYTES - 4);
		if (bytes[0] === member) events.accepted(counter);
		else events.received(counter);
		seen += 1;
		if (seen === catchUp) events.caughtUp();
	});
	return {
		send(counter) {
			const frame = Buffer.allocUnsafe(ID_BYTES + payload.length);
			frame.fill(0, 0, ID_BYTES);
			frame[0] = member;
			frame.writeUInt32BE(counter, ID_BYTES - 4);
			payload.copy(frame, ID_BYTES);
			socket.send(frame);
		},
		acknowledge() {},
		close: () => socket.close(),
	};
}
