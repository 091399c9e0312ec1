/** `npm start`: the backend on this computer, until Ctrl-C. */
import { join, resolve } from "node:path";
import colors from "picocolors";
import { Backend } from "./backend.ts";
import { endWith, readOptions } from "./options.ts";
import { ROOT } from "./repository.ts";

const DEFAULT_PORT = 8787;

const HELP = `npm start -- [options]

Runs the four Workers on this computer, until Ctrl-C, and prints the commands with which two terminals chat. What they
store stays, in --state, and is there again at the next start.

  --port N     where the api listens, on 127.0.0.1 (default: ${DEFAULT_PORT})
  --state DIR  what is stored, the secrets and the log (default: .wrangler/state)
  --help       this text
`;

const values = readOptions(HELP, {
	options: {
		port: { type: "string", default: String(DEFAULT_PORT) },
		state: { type: "string", default: join(ROOT, ".wrangler", "state") },
	},
});
const port = Number(values.port);
if (!Number.isInteger(port) || port < 1 || port > 65_535) endWith("--port takes a number from 1 to 65535");

const stopping = new Promise<"asked">((resolve) => {
	for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, () => resolve("asked"));
});
stopping.then(() => started || process.exit(1));

let started = false;
console.log(colors.dim("starting the four Workers …"));
const backend = await Backend.start({ stateDir: resolve(values.state), port }).catch((error: unknown) => {
	console.error(colors.red(error instanceof Error ? error.message : String(error)));
	process.exit(1);
});
started = true;
const server = port === DEFAULT_PORT ? "" : ` --server ${backend.url}`;
const parley = (name: string, rest: string) => `  ${colors.bold(`npx parley --data .parley/${name}${server} ${rest}`)}`;

console.log(`${colors.green("✓")} Parley listens on ${colors.bold(backend.url)}  ${colors.dim(`log: ${backend.logPath}`)}

Make two accounts:
${parley("alice", "register alice")}
${parley("bob", "register bob")}

Then talk, in one terminal:
${parley("alice", "chat bob")}
and in another:
${parley("bob", "chat alice")}

Ctrl-C stops it; what it stored stays.`);

const reason = await Promise.race([stopping, backend.ended().then(() => "ended" as const)]);
await backend.stop();
if (reason === "ended") console.error(`the backend ended by itself; see ${backend.logPath}`);
process.exit(reason === "asked" ? 0 : 1);
