/** `npm run deploy`, with the real wrangler, to a stand-in for Cloudflare's API. */
import { spawn } from "node:child_process";
import { readdirSync } from "node:fs";
import { afterAll, beforeAll, expect, test } from "vitest";
import { toolEnvironment } from "../scripts/repository.ts";
import { CloudflareApi } from "./cloudflare-api.ts";

/** A dozen starts of wrangler. */
const DEPLOY_MS_MAX = 240_000;
const WORKERS = ["parley-account", "parley-conversation", "parley-media", "parley-api"];
const SECRETS = ["MEDIA_GRANT_SECRET", "MEDIA_SUBJECT_SECRET", "TOKEN_SECRET"];

const api = new CloudflareApi();
let environment: Record<string, string>;
beforeAll(async () => {
	environment = await api.start();
});
afterAll(() => api.stop());

async function deploy(): Promise<{ code: number | null; output: string }> {
	const env = { ...toolEnvironment(), ...environment, CI: "1", NO_COLOR: "1", FORCE_COLOR: "0" };
	const child = spawn("node", ["scripts/deploy.ts"], { env, stdio: ["ignore", "pipe", "pipe"] });
	let output = "";
	for (const stream of [child.stdout, child.stderr]) stream.on("data", (text) => (output += text));
	const code = await new Promise<number | null>((done) => child.on("close", done));
	return { code, output };
}

const secretsOf = (name: string) => api.scripts.get(name)?.secrets ?? {};

test("a deploy that Cloudflare breaks off goes on with the next one, and one more changes no secret", {
	timeout: DEPLOY_MS_MAX,
}, async () => {
	api.ill = (method, path) => method === "PUT" && path.endsWith("/parley-media");
	const broken = await deploy();
	expect(broken.code).toBe(1);
	expect(broken.output).toContain("An unknown error has occurred.");
	expect(broken.output).toContain("what was done stays: mend it and run this again");
	expect(api.uploads).toEqual(WORKERS.slice(0, 2));

	api.ill = () => false;
	const whole = await deploy();
	expect([whole.code, api.unknown], whole.output).toEqual([0, []]);
	expect(whole.output).toContain("https://parley-api.somebody.workers.dev");
	expect(api.uploads).toEqual([...WORKERS.slice(0, 2), ...WORKERS]);
	expect([...api.databases.values()].map(({ name }) => name)).toEqual(["parley-directory"]);
	expect([[...api.buckets], [...api.queues.keys()]]).toEqual([["parley-blobs"], ["parley-changes"]]);
	expect([api.consumers.length, api.crons.length]).toEqual([1, 1]);
	// One public door.
	expect(WORKERS.filter((name) => api.scripts.get(name)?.open)).toEqual(["parley-api"]);
	// The tables are there, and each migration was applied once.
	const [database] = [...api.databases.values()];
	const applied = database?.sql.prepare("SELECT name FROM d1_migrations ORDER BY id").all() ?? [];
	expect(applied.map(({ name }) => name)).toEqual(readdirSync("migrations").filter((name) => name.endsWith(".sql")));
	expect(database?.sql.prepare("SELECT COUNT(*) AS count FROM devices").get()).toEqual({ count: 0 });
	// Random secrets, of which only the one for grants is at two Workers.
	const before = secretsOf("parley-api");
	expect(Object.keys(before).sort()).toEqual(SECRETS);
	for (const secret of Object.values(before)) expect(secret).toMatch(/^[0-9a-f]{64}$/);
	expect(new Set(Object.values(before)).size).toBe(SECRETS.length);
	expect(secretsOf("parley-media")).toEqual({ MEDIA_GRANT_SECRET: before.MEDIA_GRANT_SECRET });
	expect([secretsOf("parley-account"), secretsOf("parley-conversation")]).toEqual([{}, {}]);
	for (const secret of Object.values(before)) expect(broken.output + whole.output).not.toContain(secret);

	const again = await deploy();
	expect([again.code, api.unknown], again.output).toEqual([0, []]);
	expect(secretsOf("parley-api")).toEqual(before);
	expect(secretsOf("parley-media")).toEqual({ MEDIA_GRANT_SECRET: before.MEDIA_GRANT_SECRET });
	expect([api.databases.size, api.consumers.length]).toEqual([1, 1]);
	expect(again.output).toContain("the database parley-directory is there");
});

test("a deploy without a sign-in says how to sign in, and changes nothing", { timeout: DEPLOY_MS_MAX }, async () => {
	const uploads = api.uploads.length;
	const kept = environment;
	environment = { CLOUDFLARE_API_TOKEN: "", CLOUDFLARE_ACCOUNT_ID: "", XDG_CONFIG_HOME: "/nowhere", HOME: "/nowhere" };
	const { code, output } = await deploy();
	environment = kept;
	expect(code).toBe(1);
	expect(output).toMatch(/CLOUDFLARE_API_TOKEN|wrangler login/);
	expect(api.uploads.length).toBe(uploads);
});
