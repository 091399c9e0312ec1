import { KEMKeyPair, PrivateKey } from "@signalapp/libsignal-client";
import { expect, test } from "vitest";
import type { PreKeyUpload } from "../protocol/http.ts";
import { checkPreKeys } from "../workers/api/signatures.ts";
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

test("PREKEY-3 a prekey of another type is refused, though the identity key has signed it", () => {
	const identity = PrivateKey.generate();
	const text = (bytes: Uint8Array) => Buffer.from(bytes).toString("base64url");
	const signed = (key: Uint8Array<ArrayBuffer>) => ({ id: 1, key: text(key), signature: text(identity.sign(key)) });
	const curve = PrivateKey.generate().getPublicKey().serialize();
	const kyber = KEMKeyPair.generate().getPublicKey().serialize();
	const check = (upload: Partial<PreKeyUpload>) =>
		checkPreKeys(identity.getPublicKey().serialize(), { oneTimePreKeys: [], oneTimeKyberPreKeys: [], ...upload });
	check({ signedPreKey: signed(curve), lastResortKyberPreKey: signed(kyber), oneTimeKyberPreKeys: [signed(kyber)] });
	check({ oneTimePreKeys: [{ id: 1, key: text(curve) }] });
	for (const upload of [
		{ signedPreKey: signed(flip(curve, 0)) },
		{ signedPreKey: signed(kyber) },
		{ lastResortKyberPreKey: signed(flip(kyber, 0)) },
		{ lastResortKyberPreKey: signed(curve) },
		{ oneTimeKyberPreKeys: [signed(kyber), signed(flip(kyber, 0))] },
		{ oneTimePreKeys: [{ id: 1, key: text(flip(curve, 0)) }] },
	]) {
		expect(() => check(upload)).toThrow(expect.objectContaining({ code: "malformed" }));
	}
	const other = { ...signed(kyber), signature: signed(curve).signature };
	expect(() => check({ oneTimeKyberPreKeys: [other] })).toThrow(expect.objectContaining({ code: "bad_signature" }));
});

function flip(bytes: Uint8Array, index: number): Uint8Array<ArrayBuffer> {
	const changed = Uint8Array.from(bytes);
	changed[index] = (changed[index] ?? 0) ^ 0x01;
	return changed;
}
