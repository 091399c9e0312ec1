/** `npm test`: every test in both runtimes. The last line is `N passed, N failed`. */
import { spawnSync } from "node:child_process";
import { existsSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { outcome } from "./report.ts";
import { ROOT, toolEnvironment } from "./repository.ts";

const HELP = `npm test -- [arguments of vitest]

Runs all tests, those of Node and those of workerd. The last line is \`N passed, N failed\`; the exit code is 0 only if some
passed and none failed. Everything behind \`--\` goes to vitest:

  npm test -- workers/api/keys.test.ts   one file
  npm test -- -t PREKEY-1                the tests whose title cites a rule of specs/protocol.md
  npm test -- --project workers          what runs in workerd; \`node\` is the rest

\`npx vitest --help\` has more.
`;

if (process.argv.slice(2).some((argument) => argument === "--help" || argument === "-h")) {
	process.stdout.write(HELP);
	process.exit(0);
}

const file = join(ROOT, ".test-report.json");
rmSync(file, { force: true });
/** A busy computer is no failure; a test that hangs still ends. */
const TEST_MS_MAX = 30_000;
const REPORTERS = ["--reporter=default", "--reporter=json", `--outputFile.json=${file}`];

const { status } = spawnSync(
	"vitest",
	["run", ...REPORTERS, `--testTimeout=${TEST_MS_MAX}`, `--hookTimeout=${TEST_MS_MAX}`, ...process.argv.slice(2)],
	{
		cwd: ROOT,
		env: { ...toolEnvironment(), CLOUDFLARE_CF_FETCH_ENABLED: "false", WRANGLER_SEND_METRICS: "false" },
		// The runner's errors go where its report goes, so that nothing is printed after the last line.
		stdio: ["ignore", "inherit", "inherit"],
	},
);
const { passed, failed } = outcome(existsSync(file) ? JSON.parse(readFileSync(file, "utf8")) : undefined, status);
console.log(`${passed} passed, ${failed} failed`);
process.exitCode = failed === 0 ? 0 : 1;
