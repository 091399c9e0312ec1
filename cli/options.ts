/** Options and arguments that several commands read, and times as people say them. */
import { InvalidArgumentError, Option } from "commander";
import { printable } from "./terminal.ts";

/** What may stand for a conversation. */
export const WITH = 'a username, an account id, or a group as "group:TITLE"';

/** `--timeout SECONDS`. */
export function secondsOption(description: string, byDefault: number): Option {
	return new Option("--timeout <seconds>", description).argParser(positive).default(byDefault);
}

/** `--limit COUNT`. */
export function limitOption(byDefault: number): Option {
	return new Option("--limit <count>", "how many messages at most, the newest")
		.argParser(positiveInteger)
		.default(byDefault);
}

const UNITS: Readonly<Record<string, number>> = { "": 1, k: 1e3, m: 1e6, g: 1e9 };

/** A number of bytes: `500000`, `10MB`, `1.5G`, `off`. */
export function bytesArgument(text: string): number {
	if (text === "off") return 0;
	const [, number = "", unit = ""] = /^(\d+(?:\.\d+)?)\s*([kmg]?)b?$/i.exec(text) ?? [];
	const bytes = number === "" ? Number.NaN : Math.floor(Number(number) * (UNITS[unit.toLowerCase()] ?? Number.NaN));
	if (!Number.isSafeInteger(bytes)) throw new InvalidArgumentError("It must be a size as 500000, 10MB, 1.5G or off.");
	return bytes;
}

function positive(text: string): number {
	const value = Number(text);
	if (!Number.isFinite(value) || value <= 0) throw new InvalidArgumentError("It must be a number above 0.");
	return value;
}

function positiveInteger(text: string): number {
	const value = positive(text);
	if (!Number.isInteger(value)) throw new InvalidArgumentError("It must be a whole number.");
	return value;
}

const DURATIONS: readonly { unit: string; word: string; seconds: number }[] = [
	{ unit: "y", word: "year", seconds: 365 * 24 * 60 * 60 },
	{ unit: "w", word: "week", seconds: 7 * 24 * 60 * 60 },
	{ unit: "d", word: "day", seconds: 24 * 60 * 60 },
	{ unit: "h", word: "hour", seconds: 60 * 60 },
	{ unit: "m", word: "minute", seconds: 60 },
	{ unit: "s", word: "second", seconds: 1 },
];

/** A time in seconds: `30s`, `5m`, `8h`, `1d`, `4w`, `1y`, `off` for 0. */
export function durationArgument(text: string): number {
	if (text === "off") return 0;
	const [, number = "", unit = ""] = /^(\d{1,9})([ywdhms]?)$/.exec(text) ?? [];
	const found = DURATIONS.find((each) => each.unit === (unit || "s"));
	if (number === "" || found === undefined)
		throw new InvalidArgumentError("It must be a time as 30s, 5m, 8h, 1d, 4w or off.");
	return Number(number) * found.seconds;
}

/** Seconds as people say them: in the largest unit of which they are a multiple. */
export function durationWords(seconds: number): string {
	const unit = DURATIONS.find((each) => seconds % each.seconds === 0) ?? { word: "second", seconds: 1 };
	const count = seconds / unit.seconds;
	return `${count} ${unit.word}${count === 1 ? "" : "s"}`;
}

/** What people are told of a conversation's timer. */
export function timerText(name: string, seconds: number): string {
	if (seconds === 0) return `Messages with ${printable(name)} stay.`;
	return `Messages with ${printable(name)} disappear ${durationWords(seconds)} after they were read.`;
}
