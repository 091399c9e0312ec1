/** What uploads and downloads share: their tools, how they tell of progress, and when to try again. */
import { join } from "node:path";
import type { MachineEvent } from "../machine/interface.ts";
import type { Store } from "../store/database.ts";
import type { Clock } from "../transport/clock.ts";
import { ServerRefusal, ServerUnreachable } from "../transport/errors.ts";
import type { MediaHttp } from "./http.ts";

/** How far a file is on its way, in bytes of its blob. */
export interface FileProgress {
	type: "file-progress";
	/** The message's id. */
	id: string;
	direction: "up" | "down";
	done: number;
	total: number;
}

/** A file that nobody asked for has been fetched, because it is small enough. */
export interface FileFetched {
	type: "file-fetched";
	id: string;
}

/** What is told of a file as it moves. */
export type FileNotice = FileProgress | FileFetched;

/** What up- and downloads share. */
export interface TransferTools {
	store: Store;
	http: MediaHttp;
	clock: Clock;
	/** Where the encrypted copies are. */
	directory: string;
	/** Hands the machine an event; resolves when it is on disk. */
	perform(event: MachineEvent): Promise<void>;
	onNotice(notice: FileNotice): void;
}

export function copyPath(tools: Pick<TransferTools, "directory">, name: string): string {
	return join(tools.directory, name);
}

/** Whether the same may succeed later without anybody doing anything. */
export function passes(error: unknown): boolean {
	if (error instanceof ServerUnreachable) return true;
	if (!(error instanceof ServerRefusal)) return false;
	switch (error.code) {
		case "token_expired":
		case "grant_expired":
		case "offset_conflict":
		case "upload_superseded":
			return true;
		case "quota_day_exceeded":
			return false;
		default:
			return error.passing;
	}
}

/** Resolves after a while, or when it is aborted. */
export function pauseUnless(clock: Clock, delayMs: number, signal: AbortSignal): Promise<void> {
	return new Promise((resolve) => {
		if (signal.aborted) {
			resolve();
			return;
		}
		const over = (): void => {
			cancel();
			signal.removeEventListener("abort", over);
			resolve();
		};
		const cancel = clock.after(delayMs, over);
		signal.addEventListener("abort", over);
	});
}
