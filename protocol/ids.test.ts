import { expect, test } from "vitest";
import { directConversationId, groupId, isUuidV7, nextUuidV7, uuidFromBytes, uuidToBytes } from "./ids.ts";

const ALICE = "3f2c8a52-6f0f-4f36-9a2e-0d2f7a1f5c11";
const BOB = "c19a2be0-5d8e-4c57-8d45-8f6c0f6f3b22";

test("CONVERSATION-1 both members derive the same conversation, and no other pair does", async () => {
	const id = await directConversationId(ALICE, BOB);
	expect(id).toMatch(/^[0-9a-f]{64}$/);
	expect(await directConversationId(BOB, ALICE)).toBe(id);
	expect(await directConversationId(ALICE, ALICE)).not.toBe(id);
});

test("CONVERSATION-1 GROUP-7 no founder of a group can choose the bytes of two accounts and get their address", async () => {
	const seed = new Uint8Array(32);
	seed.set(uuidToBytes(ALICE));
	seed.set(uuidToBytes(BOB), 16);
	expect(await groupId(seed)).not.toBe(await directConversationId(ALICE, BOB));
	const other = seed.map((byte, index) => (index === 31 ? byte ^ 1 : byte));
	expect(await groupId(other)).not.toBe(await groupId(seed));
});

test("a UUID survives the way to bytes and back, and other texts are refused", () => {
	expect(uuidFromBytes(uuidToBytes(ALICE))).toBe(ALICE);
	expect(() => uuidToBytes("nonsense")).toThrow(RangeError);
	expect(() => uuidFromBytes(new Uint8Array(15))).toThrow(RangeError);
});

test("ONCE-2 ids of one device grow, also when its clock goes back by years", () => {
	const random = crypto.getRandomValues(new Uint8Array(10));
	const first = nextUuidV7(Date.UTC(2040, 0), random);
	const second = nextUuidV7(Date.UTC(1999, 0), random, first);
	expect(isUuidV7(first) && isUuidV7(second)).toBe(true);
	expect(uuidFromBytes(second) > uuidFromBytes(first)).toBe(true);
});
