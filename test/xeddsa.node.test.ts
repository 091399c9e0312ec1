import { KEMKeyPair, PrivateKey } from "@signalapp/libsignal-client";
import { expect, test } from "vitest";
import { isCurve25519Key, isKyber1024Key, verifyXeddsa } from "../workers/api/xeddsa.ts";

test("PREKEY-3 the edge accepts what libsignal signs, 50 times of 50", () => {
	for (let round = 0; round < 50; round++) {
		const identity = PrivateKey.generate();
		const message = PrivateKey.generate().getPublicKey().serialize();
		expect(verifyXeddsa(identity.getPublicKey().serialize(), message, identity.sign(message))).toBe(true);
	}
});

test("PREKEY-3 a changed message, signature or key is refused, whichever byte it is", () => {
	const identity = PrivateKey.generate();
	const key = identity.getPublicKey().serialize();
	const message = PrivateKey.generate().getPublicKey().serialize();
	const signature = identity.sign(message);
	expect(verifyXeddsa(key, flip(message, 20), signature)).toBe(false);
	for (let index = 0; index < 64; index++) expect(verifyXeddsa(key, message, flip(signature, index))).toBe(false);
	for (let index = 0; index < 33; index++) expect(verifyXeddsa(flip(key, index), message, signature)).toBe(false);
	expect(verifyXeddsa(PrivateKey.generate().getPublicKey().serialize(), message, signature)).toBe(false);
});

test("PREKEY-3 keys and signatures of no use are refused without a fault", () => {
	const identity = PrivateKey.generate();
	const message = new Uint8Array(32);
	const signature = identity.sign(message);
	expect(verifyXeddsa(new Uint8Array(0), message, signature)).toBe(false);
	expect(verifyXeddsa(identity.getPublicKey().serialize(), message, signature.subarray(0, 63))).toBe(false);
	// u = p − 1 has no Edwards point; u = 0 is a point of small order, under which forgeries would be easy.
	const noPoint = new Uint8Array(33).fill(0xff);
	noPoint.set([0x05, 0xec]);
	noPoint[32] = 0x7f;
	expect(verifyXeddsa(noPoint, message, signature)).toBe(false);
	const smallOrder = new Uint8Array(33);
	smallOrder[0] = 0x05;
	expect(verifyXeddsa(smallOrder, message, new Uint8Array(64))).toBe(false);
});

test("PREKEY-3 key types are told apart by length and type byte", () => {
	const curve = PrivateKey.generate().getPublicKey().serialize();
	const kyber = KEMKeyPair.generate().getPublicKey().serialize();
	expect([isCurve25519Key(curve), isKyber1024Key(curve)]).toEqual([true, false]);
	expect([isCurve25519Key(kyber), isKyber1024Key(kyber)]).toEqual([false, true]);
	expect(isCurve25519Key(flip(curve, 0))).toBe(false);
	expect(isKyber1024Key(flip(kyber, 0))).toBe(false);
});

function flip(bytes: Uint8Array, index: number): Uint8Array {
	const changed = Uint8Array.from(bytes);
	changed[index] = (changed[index] ?? 0) ^ 0x01;
	return changed;
}
