import { InvalidArgumentError, Option } from "commander";

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
