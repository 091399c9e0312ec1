import { expect, test } from "vitest";
import { boundaryFindings, importsOf } from "./boundaries.ts";

/** An import statement, put together so that the checker does not read it as one of this file. */
const importing = (specifier: string) => `import { x } from ${JSON.stringify(specifier)};\n`;
const found = (path: string, specifier: string) =>
	boundaryFindings([{ path, text: importing(specifier) }]).map((finding) => finding.line);

test("all kinds of import are seen, over several lines too", () => {
	const call = "import";
	const text = `${importing("./a.ts")}import type {\n\tB,\n} from "./b.ts";\nimport "./c.ts";\nexport * from "./d.ts";\nawait ${call}("./e.ts");\n`;
	expect(importsOf(text).map((each) => each.specifier)).toEqual(["./a.ts", "./b.ts", "./c.ts", "./d.ts", "./e.ts"]);
	expect(importsOf(text).map((each) => each.line)).toEqual([1, 4, 5, 6, 7]);
});

test.each([
	["workers/api/x.ts", "@signalapp/libsignal-client"],
	["workers/api/x.test.ts", "@signalapp/libsignal-client"],
	["web/x.ts", "@signalapp/sqlcipher"],
	["protocol/x.ts", "node:crypto"],
	["protocol/x.ts", "crypto"],
	["protocol/x.ts", "../client/machine/interface.ts"],
	["workers/api/x.ts", "../account-do/account.ts"],
	["workers/x.ts", "./account-do/account.ts"],
	["workers/api/x.ts", "../../client/parley.ts"],
	["client/x.ts", "../workers/api/index.ts"],
	["client/x.ts", "../cli/main.ts"],
	["client/machine/x.ts", "ws"],
	["client/machine/x.ts", "../transport/socket.ts"],
	["cli/x.ts", "@signalapp/libsignal-client"],
	["cli/x.ts", "../sim/x.ts"],
	["client/x.ts", "../test/x.ts"],
	["client/x.ts", "left-pad"],
	["elsewhere/x.ts", "node:fs"],
])("%s may not import %s", (path, specifier) => {
	expect(found(path, specifier)).toEqual([1]);
});

test.each([
	["workers/api/x.ts", "../account-do/interface.ts"],
	["workers/api/x.ts", "./y.ts"],
	["workers/api/x.ts", "../y.ts"],
	["workers/api/x.ts", "../../protocol/http.ts"],
	["workers/api/x.ts", "cloudflare:workers"],
	["workers/api/x.test.ts", "vitest"],
	["client/x.ts", "@signalapp/libsignal-client"],
	["client/machine/x.ts", "@bufbuild/protobuf/wire"],
	["cli/x.ts", "../client/parley.ts"],
	["sim/x.ts", "../client/parley.ts"],
	["vitest.config.ts", "vitest/config"],
])("%s may import %s", (path, specifier) => {
	expect(found(path, specifier)).toEqual([]);
});
