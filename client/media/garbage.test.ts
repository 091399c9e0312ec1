import { afterEach, expect, test } from "vitest";
import { passed } from "./garbage.ts";
import { sealBlob } from "./seal.ts";

const MIB = 2 ** 20;
const { gc } = globalThis;
afterEach(() => {
	globalThis.gc = gc;
});

function countCollections(): () => number {
	let count = 0;
	globalThis.gc = () => {
		count++;
		return Promise.resolve();
	};
	return () => count;
}

async function* zeros(pieces: number): AsyncGenerator<Uint8Array> {
	const piece = new Uint8Array(MIB);
	for (let at = 0; at < pieces; at++) yield piece;
}

test("garbage of transfers is collected at a pace, whatever passes it together", async () => {
	const collections = countCollections();
	passed(64 * MIB);
	expect(collections()).toBe(1);
	for (let at = 0; at < 40; at++) passed(MIB);
	expect(collections()).toBe(1);
	const options = { key: new Uint8Array(64), iv: new Uint8Array(16), size: 10 * MIB };
	for await (const _ of sealBlob(zeros(10), options));
	expect(collections()).toBe(2);
});

test("a program that has not opened the collector goes without", () => {
	globalThis.gc = undefined;
	expect(() => passed(64 * MIB)).not.toThrow();
});
