import { defineConfig } from "drizzle-kit";

/** `npx drizzle-kit generate` writes the directory's migrations. */
export default defineConfig({
	dialect: "sqlite",
	schema: "./workers/api/directory/schema.ts",
	out: "./migrations",
});
