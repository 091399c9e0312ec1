/** Contents grow in steps of this many bytes, so that a ciphertext's length says little (rule PAD-1). */
export const PADDING_BYTES = 160;

/** The parts, one after the other, 0x80, then zeros to the next multiple of 160 bytes. */
export function pad(...parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
	const length = parts.reduce((sum, part) => sum + part.length, 0);
	const padded = new Uint8Array(Math.ceil((length + 1) / PADDING_BYTES) * PADDING_BYTES);
	let end = 0;
	for (const part of parts) {
		padded.set(part, end);
		end += part.length;
	}
	padded[end] = 0x80;
	return padded;
}

/** The content without its padding; undefined where it isn't padded so. */
export function unpad(padded: Uint8Array): Uint8Array | undefined {
	if (padded.length === 0 || padded.length % PADDING_BYTES !== 0) return undefined;
	let end = padded.length - 1;
	while (end >= 0 && padded[end] === 0) end--;
	return end >= 0 && padded[end] === 0x80 ? padded.subarray(0, end) : undefined;
}
