import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { Store } from "./database.ts";
import { findIdentity, putIdentity } from "./identities.ts";

const ACCOUNT = "0a000000-0000-4000-8000-00000000000a";
const row = (byte: number) => ({ account: ACCOUNT, key: new Uint8Array([byte]), verified: 0, pending_key: null });

let folder: string;
let store: Store;
beforeEach(() => {
	folder = mkdtempSync(join(tmpdir(), "parley-identities-"));
	store = Store.open(join(folder, "device.db"), new Uint8Array(32));
});
afterEach(() => {
	store.close();
	rmSync(folder, { recursive: true, force: true });
});

test("CLIENT-1 an identity that was rolled back is not remembered", () => {
	putIdentity(store, row(1));
	store.begin();
	putIdentity(store, row(2));
	expect(findIdentity(store, ACCOUNT)?.key[0]).toBe(2);
	store.rollback();
	expect(findIdentity(store, ACCOUNT)?.key[0]).toBe(1);
	putIdentity(store, row(3));
	expect(findIdentity(store, ACCOUNT)?.key[0]).toBe(3);
});
