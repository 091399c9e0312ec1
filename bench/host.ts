/**
 * A process that runs Workers in workerd until its standard input closes. The Workers are those of the given
 * configuration files, so that what is measured is what is deployed; the first is the public one and listens on a
 * socket of its own, without the proxy that `wrangler dev` puts before it.
 *
 * Argument: a `HostOrder` as JSON. It prints one line, a `HostReport` as JSON, when it is ready.
 */
import { randomBytes } from "node:crypto";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { basename, resolve } from "node:path";
import { build, stop as stopBundler } from "esbuild";
import {
	convertV4MiniflareOptions,
	Log,
	LogLevel,
	Miniflare,
	type V4WorkerOptions,
	type V4WorkerOptionsShape,
} from "miniflare";
import { unstable_getMiniflareWorkerOptions, unstable_readConfig, unstable_splitSqlQuery } from "wrangler";
import { type HostOrder, HostOrderSchema, type HostReport } from "./orders.ts";

/** Far beyond any load: limits against abuse are not what is measured. */
const UNLIMITED = 1_000_000_000;

/** One file of ECMAScript for workerd, as wrangler would upload it. */
async function bundle(entry: string): Promise<string> {
	const result = await build({
		entryPoints: [entry],
		bundle: true,
		write: false,
		format: "esm",
		target: "es2024",
		conditions: ["workerd", "worker", "browser"],
		mainFields: ["browser", "module", "main"],
		external: ["cloudflare:*", "node:*"],
		logLevel: "error",
	});
	const file = result.outputFiles[0];
	if (file === undefined) throw new Error(`nothing was bundled from ${entry}`);
	return file.text;
}

/** A Worker's options from its own configuration file, with the limits lifted where the order says so. */
async function readWorker(config: string, order: HostOrder, secret: string): Promise<V4WorkerOptions> {
	const name = unstable_readConfig({ config }).name;
	const { main, workerOptions } = unstable_getMiniflareWorkerOptions(config);
	const deployed: V4WorkerOptionsShape = workerOptions;
	if (name === undefined || main === undefined) throw new Error(`${config} has no name or no main`);
	const replacement = order.replacements[name];
	const limits = Object.entries(deployed.ratelimits ?? {}).map(([binding, limit]) => {
		const kept = order.limited && binding !== "LIMIT_REGISTER";
		return [binding, kept ? limit : { namespace_id: limit.namespace_id, simple: { limit: UNLIMITED, period: 60 } }];
	});
	const listens = config === order.configs[0] || replacement !== undefined;
	return {
		...deployed,
		name,
		modules: [{ type: "ESModule", path: "index.mjs", contents: await bundle(replacement ?? main) }],
		ratelimits: Object.fromEntries(limits),
		bindings: {
			...deployed.bindings,
			TOKEN_SECRET: secret,
			MEDIA_GRANT_SECRET: secret,
			MEDIA_SUBJECT_SECRET: secret,
			...(order.limited ? {} : { FRAMES_PER_SECOND: String(UNLIMITED) }),
		},
		unsafeDirectSockets: listens ? [{ host: "127.0.0.1", port: 0 }] : [],
	};
}

/** Applies the directory's migrations, statement by statement. */
async function migrate(miniflare: Miniflare, worker: string, binding: string, folder: string): Promise<void> {
	if (!existsSync(folder)) return;
	const database = await miniflare.getD1Database(binding, worker);
	for (const file of readdirSync(folder).sort()) {
		if (!file.endsWith(".sql")) continue;
		for (const statement of unstable_splitSqlQuery(readFileSync(resolve(folder, file), "utf8"))) {
			await database.prepare(statement).run();
		}
	}
}

async function main(): Promise<void> {
	const order = HostOrderSchema.parse(JSON.parse(process.argv[2] ?? ""));
	const secret = randomBytes(32).toString("hex");
	// The media Worker's configuration asks for it.
	process.env.MEDIA_GRANT_SECRET = secret;
	const workers: V4WorkerOptions[] = [];
	for (const config of order.configs) workers.push(await readWorker(config, order, secret));
	// Else its process would be counted among the runtime's.
	await stopBundler();
	const miniflare = new Miniflare(
		convertV4MiniflareOptions({
			workers,
			host: "127.0.0.1",
			log: new Log(LogLevel.WARN, { prefix: basename(order.storage) }),
			resourcePersistencePath: order.storage,
			telemetry: { enabled: false },
			...(order.inspector ? { inspectorPort: 0 } : {}),
			cf: false,
		}),
	);
	await miniflare.ready;
	process.stdin.resume();
	process.stdin.on("close", () => void miniflare.dispose().finally(() => process.exit(0)));

	const urls: Record<string, string> = {};
	for (const worker of workers) {
		const name = worker.name ?? "";
		for (const database of Object.keys(worker.d1Databases ?? {})) {
			await migrate(miniflare, name, database, order.migrations);
		}
		if (worker.unsafeDirectSockets?.length !== 0) urls[name] = (await miniflare.unsafeGetDirectURL(name)).origin;
	}
	const inspector = order.inspector ? { inspector: (await miniflare.getInspectorURL()).href } : {};
	const report: HostReport = { urls, ...inspector };
	process.stdout.write(`${JSON.stringify(report)}\n`);
}

await main();
