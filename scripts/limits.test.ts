import { expect, test } from "vitest";
import { inWords, readLimits } from "./limits.ts";

test("a limit is read with its comment, of one line or several", () => {
	const source =
		"export const LIMITS = {\n\t/** The largest. */\n\tframe_bytes: 128 * 1024,\n\t/**\n\t * Options of\n\t * one poll.\n\t */\n\tpoll_options: 32,\n} as const;\n";
	expect(readLimits(source, { frame_bytes: 131_072, poll_options: 32 })).toEqual([
		{ name: "frame_bytes", value: 131_072, what: "The largest." },
		{ name: "poll_options", value: 32, what: "Options of one poll." },
	]);
	expect(() => readLimits(source, {})).toThrow("frame_bytes is no limit");
});

test("a limit of which nothing is said is refused", () => {
	expect(() => readLimits("{\n\tpoll_options: 32,\n}", { poll_options: 32 })).toThrow("poll_options has no comment");
});

test("bytes are in the largest unit that fits", () => {
	const values = [
		["frame_bytes", 131_072, "128 KiB"],
		["media_bytes", 2 * 1024 ** 3, "2 GiB"],
		["device_name_bytes", 64, "64"],
		["window_bytes_least", 32_768, "32 KiB"],
		["poll_option_bytes", 1_500, "1,500"],
		["frame_burst", 2_048, "2,048"],
	] as const;
	for (const [name, value, words] of values) expect(inWords(name, value)).toBe(words);
});
