/**
 * Memory of buffers that a file's bytes have passed through. V8 frees those that grew old only once there are 64 MiB of
 * them, and each pause of a transfer makes a few old ones: then a client's memory would depend on what it has sent.
 */

/** A collection takes about as long as this many bytes take to pass on a fast line, a few hundredths of it. */
const PACE_BYTES = 48 * 1024 * 1024;

let passed_bytes = 0;

/**
 * Counts bytes of all transfers together, and collects now and then. Does nothing where the program has not opened V8's
 * collector (`--expose-gc`), as `cli/parley.js` does.
 */
export function passed(bytes: number): void {
	passed_bytes += bytes;
	if (passed_bytes < PACE_BYTES) return;
	passed_bytes = 0;
	globalThis.gc?.();
}
