/** `npm run generate`: makes anew what is made from something else. */
import { spawnSync } from "node:child_process";
import { writeLimits } from "./limits.ts";
import { readOptions } from "./options.ts";
import { ROOT, toolEnvironment } from "./repository.ts";

const HELP = `npm run generate

Makes anew what is made from something else, in place; commit the result with its source.

  protocol/gen/     from protocol/proto/, with buf
  migrations/       from workers/api/directory/schema.ts, with drizzle-kit
  specs/limits.md   from protocol/limits.ts

After a change of a schema put the line of \`npm run fingerprint\` into protocol/version.ts.
\`npm run check\` fails where something here is out of date.
`;

readOptions(HELP, { options: {} });
for (const tool of ["buf", "drizzle-kit"]) {
	const { status } = spawnSync(tool, ["generate"], { cwd: ROOT, env: toolEnvironment(), stdio: "inherit" });
	if (status !== 0) process.exit(1);
}
writeLimits();
