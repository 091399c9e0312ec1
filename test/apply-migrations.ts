/**
 * Every test file in workerd starts with nothing stored but the directory's empty tables. Files share a runtime, so what
 * one has left is removed before the next: all objects, and the directory's rows one by one, because its own object may
 * outlive the removal of objects.
 */
import { applyD1Migrations, reset } from "cloudflare:test";
import { env } from "cloudflare:workers";

const TABLES =
	"SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE '%\\_cf\\_%' ESCAPE '\\' AND name NOT IN ('d1_migrations', 'sqlite_sequence')";

await reset();
await applyD1Migrations(env.DIRECTORY, env.TEST_MIGRATIONS);
const { results } = await env.DIRECTORY.prepare(TABLES).all<{ name: string }>();
await env.DIRECTORY.batch(results.map(({ name }) => env.DIRECTORY.prepare(`DELETE FROM "${name}"`)));
