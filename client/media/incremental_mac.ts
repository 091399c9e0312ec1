/**
 * libsignal's incremental MAC without the stream that libsignal puts around it: that one copies each piece and costs as
 * much as the MAC itself. A test compares both.
 */

import { chunkSizeInBytes, type everyNthByte } from "@signalapp/libsignal-client/dist/incremental_mac.js";
import * as Native from "@signalapp/libsignal-client/dist/Native.js";

/** MACs of a blob at the end of each of its chunks (rule ATTACH-3). */
export class IncrementalMac {
	/** Where libsignal looks for its object. */
	readonly _nativeHandle: Native.IncrementalMac;
	readonly #macs: Uint8Array[] = [];

	/** `key`: 32 bytes. */
	constructor(key: Uint8Array<ArrayBuffer>, chunks: ReturnType<typeof everyNthByte>) {
		this._nativeHandle = Native.IncrementalMac_Initialize(key, chunkSizeInBytes(chunks));
	}

	/** The blob's next bytes. */
	add(bytes: Uint8Array): void {
		const { buffer, byteOffset, byteLength } = bytes;
		if (!(buffer instanceof ArrayBuffer)) throw new TypeError("memory that is shared can change meanwhile");
		this.#note(Native.IncrementalMac_Update(this, new Uint8Array(buffer, byteOffset, byteLength), 0, byteLength));
	}

	/** No more bytes come. */
	end(): void {
		this.#note(Native.IncrementalMac_Finalize(this));
	}

	/** The MACs so far, one after the other. */
	get macs(): Uint8Array<ArrayBuffer> {
		return new Uint8Array(Buffer.concat(this.#macs));
	}

	#note(mac: Uint8Array): void {
		if (mac.length > 0) this.#macs.push(mac);
	}
}
