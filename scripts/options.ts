/** Options of the developer commands: `--help` teaches, and what is wrong is said in one line. */
import { type ParseArgsConfig, parseArgs } from "node:util";

/** The exit code of a command that was called wrongly, as of `parley`. */
const USAGE = 2;

/** The command's options. Ends the process with code 0 after `--help`, and with code 2 where an option is wrong. */
export function readOptions<Config extends ParseArgsConfig>(
	help: string,
	config: Config,
): ReturnType<typeof parseArgs<Config>>["values"] {
	const given = process.argv.slice(2);
	if (given.includes("--help") || given.includes("-h")) {
		process.stdout.write(help);
		process.exit(0);
	}
	try {
		return parseArgs(config).values;
	} catch (error) {
		return endWith(error instanceof Error ? error.message : String(error));
	}
}

/** Ends the process because an option is wrong. */
export function endWith(complaint: string): never {
	process.stderr.write(`${complaint}; --help lists the options\n`);
	process.exit(USAGE);
}
