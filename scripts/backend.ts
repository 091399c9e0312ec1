/**
 * The whole backend on this computer: the four Workers in `wrangler dev`, from the configurations that are deployed.
 * The demo, the tests and `npm start` control it through this class, up to a SIGKILL at the worst moment.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { closeSync, existsSync, mkdirSync, openSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { Health } from "../protocol/http.ts";
import { ROOT, toolEnvironment } from "./repository.ts";

/** The api first: it is the one that listens. The order of the others says nothing. */
const CONFIGURATIONS = [
	"wrangler.toml",
	...["account-do", "conversation-do", "media"].map((name) => `workers/${name}/wrangler.toml`),
];

const START_MS_MAX = 60_000;
const STOP_MS_MAX = 5_000;

/** What signs. Not among the arguments: those are in every process list. */
interface Secrets {
	path: string;
	values: Record<"TOKEN_SECRET" | "MEDIA_GRANT_SECRET" | "MEDIA_SUBJECT_SECRET", string>;
}

export interface BackendOptions {
	/** Holds everything that the backend stores, its secrets and its log. Made where it is missing. */
	stateDir: string;
	/** A free one is taken where none is given. */
	port?: number;
	/** Signs access tokens. One is made, and kept in `stateDir`, where none is given. */
	secret?: string;
}

/** A running backend. */
export class Backend {
	readonly url: string;
	readonly stateDir: string;
	readonly logPath: string;
	readonly #process: ChildProcess;
	readonly #exited: Promise<void>;

	private constructor(url: string, stateDir: string, logPath: string, child: ChildProcess) {
		this.url = url;
		this.stateDir = stateDir;
		this.logPath = logPath;
		this.#process = child;
		// Whoever started it may fail before it stops it; a group of its own would outlive that.
		const orphaned = () => this.#signal("SIGKILL");
		process.once("exit", orphaned);
		this.#exited = new Promise((resolve) => {
			child.once("exit", () => {
				process.off("exit", orphaned);
				resolve();
			});
		});
	}

	/** Applies the directory's migrations, starts all Workers, and returns when every room says that it is well. */
	static async start(options: BackendOptions): Promise<Backend> {
		const { stateDir } = options;
		mkdirSync(stateDir, { recursive: true });
		const logPath = join(stateDir, "backend.log");
		const environment = quietEnvironment(stateDir);
		const port = await freePort(options.port);
		await migrate(stateDir, logPath, environment);
		const secrets = secretsOf(stateDir, options.secret);
		// The file is the api's; the media Worker takes its one secret from the environment.
		const { MEDIA_GRANT_SECRET } = secrets.values;
		const child = spawnLogged(
			[
				"dev",
				...CONFIGURATIONS.flatMap((path) => ["-c", path]),
				...["--ip", "127.0.0.1", "--port", String(port), "--inspector-port", String(await freePort())],
				...["--persist-to", stateDir, "--env-file", secrets.path],
				"--show-interactive-dev-session=false",
			],
			logPath,
			{ ...environment, MEDIA_GRANT_SECRET },
		);
		const backend = new Backend(`http://127.0.0.1:${port}`, stateDir, logPath, child);
		await backend.#untilHealthy();
		return backend;
	}

	/** Pulls the plug: SIGKILL for every process of the backend, so that nothing is flushed or said goodbye to. */
	async kill(): Promise<void> {
		this.#signal("SIGKILL");
		await this.#exited;
		await this.#untilSilent();
	}

	/** Ends it in order; what does not end in time is killed. */
	async stop(): Promise<void> {
		this.#signal("SIGTERM");
		await Promise.race([this.#exited, sleep(STOP_MS_MAX, undefined, { ref: false })]);
		await this.kill();
	}

	/** Resolves when the backend has ended, however it did. */
	ended(): Promise<void> {
		return this.#exited;
	}

	async #untilHealthy(): Promise<void> {
		const deadline_ms = Date.now() + START_MS_MAX;
		while (Date.now() < deadline_ms && this.#process.exitCode === null && this.#process.signalCode === null) {
			if (await isHealthy(this.url)) return;
			await sleep(100);
		}
		await this.stop();
		throw new Error(`the backend did not start:\n${lastLines(this.logPath)}`);
	}

	/** A killed process group can hold its port a moment longer than its leader lives. */
	async #untilSilent(): Promise<void> {
		for (let tries = 0; tries < 50 && this.#signal(0); tries++) await sleep(20);
	}

	/** Signals the process group: wrangler and the runtimes that it started. False when nobody is left. */
	#signal(signal: NodeJS.Signals | 0): boolean {
		const { pid } = this.#process;
		if (pid === undefined) return false;
		try {
			return process.kill(-pid, signal);
		} catch {
			return false;
		}
	}
}

/** wrangler asks nothing, reports nothing, and finds only the Workers of this backend. */
function quietEnvironment(stateDir: string): NodeJS.ProcessEnv {
	return {
		...toolEnvironment(),
		CI: "1",
		NO_COLOR: "1",
		CLOUDFLARE_CF_FETCH_ENABLED: "false",
		WRANGLER_HIDE_BANNER: "true",
		WRANGLER_LOG_PATH: join(stateDir, "logs"),
		// Running Workers find each other by name in a folder; one for all would connect two backends.
		WRANGLER_REGISTRY_PATH: join(stateDir, "registry"),
		WRANGLER_SEND_ERROR_REPORTS: "false",
		WRANGLER_SEND_METRICS: "false",
	};
}

/** Brings the directory up to date. What was applied is noted, because asking wrangler takes as long as starting. */
async function migrate(stateDir: string, logPath: string, environment: NodeJS.ProcessEnv): Promise<void> {
	const names = readdirSync(join(ROOT, "migrations")).filter((name) => name.endsWith(".sql"));
	const [note, wanted] = [join(stateDir, "migrations.txt"), names.sort().join("\n")];
	const applied = existsSync(join(stateDir, "v3", "d1")) && existsSync(note) ? readFileSync(note, "utf8") : "";
	if (applied === wanted) return;
	const parts = ["d1", "migrations", "apply", "DIRECTORY", "--local", "--persist-to", stateDir, "-c", "wrangler.toml"];
	const child = spawnLogged(parts, logPath, environment);
	const code = await new Promise<number | null>((resolve) => child.once("exit", resolve));
	if (code !== 0) throw new Error(`the directory's migrations failed:\n${lastLines(logPath)}`);
	writeFileSync(note, wanted);
}

/** In a process group of its own, so that a Ctrl-C reaches it in our order, and one signal reaches all of it. */
function spawnLogged(args: readonly string[], logPath: string, environment: NodeJS.ProcessEnv): ChildProcess {
	const log = openSync(logPath, "a", 0o600);
	try {
		return spawn("wrangler", args, { cwd: ROOT, env: environment, detached: true, stdio: ["ignore", log, log] });
	} finally {
		closeSync(log);
	}
}

/** The secrets of this backend, from a file; what is missing in it is made. */
function secretsOf(stateDir: string, tokenSecret: string | undefined): Secrets {
	const path = join(stateDir, "secrets.env");
	const text = existsSync(path) ? readFileSync(path, "utf8") : "";
	const known = (name: string) => new RegExp(`^${name}=(.+)$`, "m").exec(text)?.[1] ?? randomBytes(32).toString("hex");
	const values = {
		TOKEN_SECRET: tokenSecret ?? known("TOKEN_SECRET"),
		MEDIA_GRANT_SECRET: known("MEDIA_GRANT_SECRET"),
		MEDIA_SUBJECT_SECRET: known("MEDIA_SUBJECT_SECRET"),
	};
	const lines = Object.entries(values).map(([name, value]) => `${name}=${value}\n`);
	writeFileSync(path, lines.join(""), { mode: 0o600 });
	return { path, values };
}

async function isHealthy(url: string): Promise<boolean> {
	try {
		const response = await fetch(`${url}/v1/health`, { signal: AbortSignal.timeout(5_000) });
		return response.ok && Health.safeParse(await response.json()).success;
	} catch {
		return false;
	}
}

/** That port, or any free one where none is wanted. Throws when somebody listens there: that would answer for us. */
function freePort(wanted = 0): Promise<number> {
	return new Promise((resolve, reject) => {
		const server = createServer();
		server.once("error", (cause) => reject(new Error(`port ${wanted} can't be used: is it taken?`, { cause })));
		server.listen(wanted, "127.0.0.1", () => {
			const address = server.address();
			server.close(() => {
				if (typeof address === "object" && address !== null) resolve(address.port);
				else reject(new Error("no free port"));
			});
		});
	});
}

function lastLines(path: string): string {
	return readFileSync(path, "utf8").trimEnd().split("\n").slice(-30).join("\n");
}
