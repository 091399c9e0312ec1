import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { create, toBinary } from "@bufbuild/protobuf";
import { afterEach, beforeEach, expect, test } from "vitest";
import { ConversationFlag, type SyncItem, SyncItemSchema } from "../../protocol/gen/content_pb.js";
import { Store } from "./database.ts";
import { allItems, conversationFlag, flagSubject, keepItem } from "./synced.ts";

const PEER = "0b000000-0000-4000-8000-00000000000b";
let folder = "";
let store: Store;

beforeEach(() => {
	folder = mkdtempSync(join(tmpdir(), "parley-synced-"));
	store = Store.open(join(folder, "store.db"), new Uint8Array(32).fill(1));
});
afterEach(() => {
	store.close();
	rmSync(folder, { recursive: true, force: true });
});

function muted(value: number, changedMs: number): SyncItem {
	const flag = { conversation: PEER, flag: ConversationFlag.MUTED, value: BigInt(value) };
	return create(SyncItemSchema, { changedMs: BigInt(changedMs), kind: { case: "flag", value: flag } });
}

const THING = { kind: "flag", subject: flagSubject(PEER, ConversationFlag.MUTED) };

/** All orders of some things. */
function orders<T>(things: readonly T[]): T[][] {
	if (things.length === 0) return [[]];
	return things.flatMap((first, index) => orders(things.toSpliced(index, 1)).map((rest) => [first, ...rest]));
}

test("SYNC-2 in whatever order changes come, all devices end with the same, which is the latest", () => {
	const changes: [SyncItem, number][] = [
		[muted(1, 100), 1],
		[muted(2, 300), 2],
		[muted(3, 300), 3],
		[muted(4, 200), 1],
	];
	for (const order of orders(changes)) {
		store.run("DELETE FROM synced");
		for (const [item, device] of order) keepItem(store, THING, item, device);
		expect(conversationFlag(store, PEER, ConversationFlag.MUTED)).toBe(3);
		for (const [item, device] of order) expect(keepItem(store, THING, item, device)).toBe(false);
	}
	expect(allItems(store).map((item) => toBinary(SyncItemSchema, item))).toEqual([
		toBinary(SyncItemSchema, muted(3, 300)),
	]);
});
