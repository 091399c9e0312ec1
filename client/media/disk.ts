/** What a disk does on bad days: takes less than it was given, or lets who opens a file wait for somebody. */
import { constants } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";

/**
 * Opens a path for reading. A named pipe without a writer would else hold up the program for good; whoever opens looks
 * whether it is a file. Rejects with the system's error.
 */
export function openForReading(path: string): Promise<FileHandle> {
	return open(path, constants.O_RDONLY | constants.O_NONBLOCK);
}

/** What of a `FileHandle` writes. */
interface Writable {
	write(bytes: Uint8Array, from: number): Promise<{ bytesWritten: number }>;
}

/**
 * Writes all bytes where the file stands. A disk that is nearly full takes a part of them without an error; only the next
 * write has one. Rejects with the system's error.
 */
export async function writeAll(file: Writable, bytes: Uint8Array, from = 0): Promise<void> {
	for (let at = from; at < bytes.length; ) {
		const { bytesWritten } = await file.write(bytes, at);
		if (bytesWritten === 0) throw new Error("the disk takes no more");
		at += bytesWritten;
	}
}
