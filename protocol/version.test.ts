import { expect, test } from "vitest";
import { fingerprint } from "../scripts/fingerprint.ts";
import { PROTOCOL_VERSION, VERSIONS } from "./version.ts";

test("the schemas are those of the newest version", async () => {
	expect(
		VERSIONS.at(-1)?.fingerprint,
		"the schemas have changed: add a line to VERSIONS with what `npm run fingerprint` prints",
	).toBe(await fingerprint());
});

test("versions never go back, and the newest is the one that Hello quotes", () => {
	const versions = VERSIONS.map((each) => each.version);
	expect(versions).toEqual([...versions].sort((one, other) => one - other));
	expect(versions.at(-1)).toBe(PROTOCOL_VERSION);
	expect(new Set(VERSIONS.map((each) => each.fingerprint)).size).toBe(VERSIONS.length);
});
