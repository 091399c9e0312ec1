import { cloudflareTest } from "@cloudflare/vitest-plugin";
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
				plugins: [cloudflareTest({ wrangler: { configPath: "./test/wrangler.toml" } })],
				test: {
					name: "workers",
					include: ["workers/**/*.test.ts", "test/*.workers.test.ts"],
				},
			},
		],
	},
});
