import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setLogger } from "@signalapp/sqlcipher";
import { afterEach, beforeEach, expect, test } from "vitest";
import { Store } from "./database.ts";
import { DeviceInUseError, WrongKeyError } from "./errors.ts";

// A wrong key is told on standard error too.
setLogger(() => {});

let folder = "";
beforeEach(() => {
	folder = mkdtempSync(join(tmpdir(), "parley-store-"));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

test("CLIENT-1 a device's file is open in one place, with its key, and keeps only what was committed", () => {
	const path = join(folder, "device.db");
	const key = new Uint8Array(32).fill(1);
	const store = Store.open(path, key);
	expect(() => Store.open(path, key)).toThrow(DeviceInUseError);
	store.transaction(() => store.run("INSERT INTO contacts (username, account) VALUES ('a', 'b')"));
	store.begin();
	store.run("INSERT INTO contacts (username, account) VALUES ('c', 'd')");
	store.close();
	expect(() => Store.open(path, new Uint8Array(32).fill(2))).toThrow(WrongKeyError);
	const again = Store.open(path, key);
	expect(again.all("SELECT username FROM contacts")).toEqual([{ username: "a" }]);
	again.close();
});
