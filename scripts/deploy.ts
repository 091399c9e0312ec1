/**
 * `npm run deploy`: the four Workers, and what they need, on your Cloudflare account. It may run again at any time: what
 * is there stays. With `--dry-run` every Worker is bundled and checked, and nothing leaves this computer.
 */
import { spawnSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import colors from "picocolors";
import { readOptions } from "./options.ts";
import { ROOT, run, toolEnvironment } from "./repository.ts";

/** A binding's target has to exist before the Worker that is bound to it: accounts, conversations, media, api. */
const INNER = ["account-do", "conversation-do", "media"].map((name) => `workers/${name}/wrangler.toml`);
const API = "wrangler.toml";

const DATABASE = "parley-directory";
const BUCKET = "parley-blobs";
const QUEUE = "parley-changes";
const MEDIA = "workers/media/wrangler.toml";
/** The api signs grants with it and the media Worker verifies them. It may change: a client fetches a new grant. */
const SHARED_SECRET = "MEDIA_GRANT_SECRET";
/** They stay as they are: a new one would sign everybody out, or lose whose blobs are whose. */
const LASTING_SECRETS = ["TOKEN_SECRET", "MEDIA_SUBJECT_SECRET"];

/** A step failed, and wrangler has said why. */
class Failed extends Error {}

const HELP = `npm run deploy -- [options]

Deploys Parley to your Cloudflare account; sign in once with \`npx wrangler login\`. It may run again at any time: what is
there stays. In this order:

  1. the database ${DATABASE}, the bucket ${BUCKET} and the queue ${QUEUE}, where they are missing
  2. the Workers for accounts, conversations and media, which have no public address
  3. the migrations of the database
  4. the api, the only public door

Missing secrets are random, and go up with the code of the Workers that need them.

  --dry-run  bundles and checks all four Workers, and changes nothing
  --help     this text
`;

const values = readOptions(HELP, { options: { "dry-run": { type: "boolean", default: false } } });
try {
	if (values["dry-run"]) dryRun();
	else deploy();
} catch (error) {
	if (!(error instanceof Failed)) throw error;
	console.error(colors.red(error.message));
	process.exitCode = 1;
}

/** Bundles every Worker, and reports all failures before it gives up. */
function dryRun(): void {
	for (const configuration of [...INNER, API]) {
		const result = run("wrangler", ["deploy", "-c", configuration, "--dry-run"]);
		const size = /Total Upload: (.*)/.exec(result.output)?.[1] ?? "";
		console.log(`${result.ok ? colors.green("✓") : colors.red("✗")} ${configuration} ${colors.dim(size)}`);
		if (result.ok) continue;
		console.log(result.output);
		process.exitCode = 1;
	}
}

function deploy(): void {
	step("what the Workers store in: one database, one bucket, one queue");
	ensure(`the database ${DATABASE}`, ["d1", "info", DATABASE, "--json"], ["d1", "create", DATABASE]);
	ensure(`the bucket ${BUCKET}`, ["r2", "bucket", "info", BUCKET], ["r2", "bucket", "create", BUCKET]);
	ensure(`the queue ${QUEUE}`, ["queues", "info", QUEUE], ["queues", "create", QUEUE]);

	const [api, media] = [secretsOf(API), secretsOf(MEDIA)];
	const shared = api.includes(SHARED_SECRET) && media.includes(SHARED_SECRET) ? {} : random([SHARED_SECRET]);

	step("the inner Workers; none of them has a public address");
	for (const configuration of INNER) deployWith(configuration, configuration === MEDIA ? shared : {});

	step("the directory's tables, before the code that reads them");
	quietly("the migrations", ["d1", "migrations", "apply", DATABASE, "--remote", "-c", API]);

	step("the api, the only public door");
	deployWith(API, { ...shared, ...random(LASTING_SECRETS.filter((name) => !api.includes(name))) });
	console.log(`
${colors.green("✓")} deployed. Its address stands above; GET /v1/health there answers for every room. Chat with
  npx parley --server ADDRESS register NAME`);
}

/** The names of a Worker's secrets; none where it isn't deployed yet. Fails where that can't be told apart. */
function secretsOf(configuration: string): string[] {
	const listing = run("wrangler", ["secret", "list", "-c", configuration]);
	const names = [SHARED_SECRET, ...LASTING_SECRETS];
	if (listing.ok) return names.filter((name) => listing.output.includes(name));
	if (/10007|not found/i.test(listing.output)) return [];
	throw new Failed(`the secrets of ${configuration} can't be listed, and new ones might do harm:\n${listing.output}`);
}

function random(names: readonly string[]): Record<string, string> {
	return Object.fromEntries(names.map((name) => [name, randomBytes(32).toString("hex")]));
}

/** Deploys a Worker; its new secrets go up in the same step as its code. */
function deployWith(configuration: string, secrets: Record<string, string>): void {
	const names = Object.keys(secrets);
	const folder = mkdtempSync(join(tmpdir(), "parley-deploy-"));
	try {
		const file = join(folder, "secrets.json");
		writeFileSync(file, JSON.stringify(secrets), { mode: 0o600 });
		if (names.length > 0) console.log(colors.dim(`  random secrets go up with the code: ${names.join(", ")}`));
		const args = ["deploy", "-c", configuration, ...(names.length > 0 ? ["--secrets-file", file] : [])];
		// Only the api may have something to ask: an account's first public Worker needs a name under workers.dev.
		if (configuration === API) must(args);
		else quietly(configuration, args);
	} finally {
		rmSync(folder, { recursive: true, force: true });
	}
}

function step(what: string): void {
	console.log(`\n${colors.bold(what)}`);
}

/** Makes a resource where looking it up fails. */
function ensure(what: string, lookUp: readonly string[], make: readonly string[]): void {
	if (run("wrangler", lookUp).ok) console.log(`${colors.green("✓")} ${what} is there`);
	else quietly(`${what} was created`, make);
}

/** Runs wrangler, of which a line remains; all that it says where it fails: the steps after it rely on it. */
function quietly(what: string, args: readonly string[]): void {
	const { ok, output } = run("wrangler", args);
	if (!ok) throw new Failed(`${output}\n${failed(args)}`);
	console.log(`${colors.green("✓")} ${what} ${colors.dim(/Total Upload: (.*)/.exec(output)?.[1] ?? "")}`);
}

/** Runs wrangler where the caller sees it, and ends with it where it fails: the steps after it rely on it. */
function must(args: readonly string[]): void {
	console.log(colors.dim(`  wrangler ${args.join(" ")}`));
	const { status } = spawnSync("wrangler", args, { cwd: ROOT, env: toolEnvironment(), stdio: "inherit" });
	if (status !== 0) throw new Failed(failed(args));
}

function failed(args: readonly string[]): string {
	return `wrangler ${args.slice(0, 3).join(" ")} failed; what was done stays: mend it and run this again`;
}
