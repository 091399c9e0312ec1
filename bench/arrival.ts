/** Reads the two kinds of frame that come once for each message by hand: a decoder would cost more than the server. */

/** What the generator wants to know of an Entry or an Accepted: its number, and whose it is. */
export interface Arrival {
	number: number;
	/** The last four bytes of the message id. */
	counter: number;
}

/** Reads number and message id out of an Entry (fields 1 and 3) or an Accepted (fields 2 and 1). */
export function readArrival(bytes: Buffer, numberField: number, idField: number): Arrival {
	const found: Arrival = { number: 0, counter: 0 };
	let at = 1;
	const varint = () => {
		let value = 0;
		for (let factor = 1; ; factor *= 128) {
			const byte = bytes[at++] ?? 0;
			value += (byte & 0x7f) * factor;
			if (byte < 0x80) return value;
		}
	};
	const length = varint();
	const end = at + length;
	// What is beside the only field is not looked for.
	while (at < end) {
		const tag = varint();
		const field = tag >> 3;
		if ((tag & 7) === 0) {
			const value = varint();
			if (field === numberField) found.number = value;
		} else {
			const length = varint();
			if (field === idField) found.counter = bytes.readUInt32BE(at + length - 4);
			at += length;
		}
	}
	return found;
}
