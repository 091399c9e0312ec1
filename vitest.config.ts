import { cloudflareTest, readD1Migrations } from "@cloudflare/vitest-plugin";
import { defineConfig } from "vitest/config";

export default defineConfig({
	test: {
		projects: [
			{
				// What runs in Node: the contract, the client, the tools.
				test: {
					name: "node",
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
					setupFiles: ["./test/apply-migrations.ts"],
					include: ["workers/**/*.test.ts", "test/*.workers.test.ts"],
				},
			},
		],
	},
});
