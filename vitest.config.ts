import { cloudflareTest, readD1Migrations } from "@cloudflare/vitest-plugin";
import { defineConfig } from "vitest/config";

/** A test that hangs fails in the end; one on a busy machine does not. */
const PATIENCE_MS = 60_000;

export default defineConfig({
	test: {
		// Both cores of a small computer.
		maxWorkers: 2,
		projects: [
			{
				// What runs in Node: the contract, the client, the tools.
				test: {
					name: "node",
					testTimeout: PATIENCE_MS,
					include: ["{protocol,client,cli,sim,scripts,bench}/**/*.test.ts", "test/*.node.test.ts"],
				},
			},
			{
				// What runs in workerd, all rooms composed into one Worker.
				plugins: [
					cloudflareTest({
						wrangler: { configPath: "./test/wrangler.toml" },
						miniflare: { bindings: { TEST_MIGRATIONS: await readD1Migrations("./migrations") } },
					}),
				],
				test: {
					name: "workers",
					// One runtime for many files, emptied before each (`apply-migrations.ts`): loading all rooms anew takes
					// seconds.
					isolate: false,
					testTimeout: PATIENCE_MS,
					setupFiles: ["./test/apply-migrations.ts"],
					include: ["workers/**/*.test.ts", "test/*.workers.test.ts"],
				},
			},
		],
	},
});
