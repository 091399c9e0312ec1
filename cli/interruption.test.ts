import { PassThrough } from "node:stream";
import pico from "picocolors";
import { expect, test } from "vitest";
import { aborted, unlessInterrupted } from "./interruption.ts";
import type { Terminal } from "./terminal.ts";

function terminalThat(interrupted: Promise<void>): Terminal {
	const silent = { out: () => {}, note: () => {}, readAll: () => Promise.resolve("") };
	const streams = { input: new PassThrough(), output: new PassThrough() };
	return { ...silent, ...streams, interrupted: () => interrupted, environment: {}, colors: pico };
}

test("an interrupted transfer ends with a word, after it has tidied up", async () => {
	const { promise, resolve } = Promise.withResolvers<void>();
	let tidied = false;
	const running = unlessInterrupted(terminalThat(promise), async (signal) => {
		await aborted(signal).finally(() => {
			tidied = true;
		});
	});
	resolve();
	await expect(running).rejects.toMatchObject({ code: "interrupted" });
	expect(tidied).toBe(true);
});

test("what comes to its end is not interrupted any more", async () => {
	expect(await unlessInterrupted(terminalThat(Promise.resolve()), async () => "done")).toBe("done");
	await expect(aborted(AbortSignal.abort(new Error("before")))).rejects.toThrow("before");
});
