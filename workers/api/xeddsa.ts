/** XEdDSA signatures as libsignal makes them (rule PREKEY-3). */
import { ed25519 } from "@noble/curves/ed25519.js";

/** libsignal's type byte of a Curve25519 key. */
const CURVE25519_TYPE = 0x05;
/** libsignal's type byte of a Kyber-1024 key. */
const KYBER1024_TYPE = 0x08;

/** Whether it has a Curve25519 key's type and length; not whether it is a good point. */
export function isCurve25519Key(key: Uint8Array): boolean {
	return key.length === 33 && key[0] === CURVE25519_TYPE;
}

/** Whether it has a Kyber-1024 key's type and length. */
export function isKyber1024Key(key: Uint8Array): boolean {
	return key.length === 1569 && key[0] === KYBER1024_TYPE;
}

/**
 * Whether the holder of a serialized Curve25519 key signed the message. The Montgomery u becomes Edwards
 * y = (u − 1)/(u + 1); the sign of x travels in the top bit of the signature's last byte, which an ordinary Ed25519
 * verification must not see.
 */
export function verifyXeddsa(key: Uint8Array, message: Uint8Array, signature: Uint8Array): boolean {
	const last = signature[63];
	if (!isCurve25519Key(key) || signature.length !== 64 || last === undefined) return false;
	const { Fp } = ed25519.Point;
	let u = 0n;
	for (let index = 32; index >= 1; index--) u = (u << 8n) | BigInt(key[index] ?? 0);
	u = Fp.create(u & ((1n << 255n) - 1n));
	const denominator = Fp.add(u, Fp.ONE);
	// No Edwards point has this u.
	if (Fp.is0(denominator)) return false;
	const edwards = Fp.toBytes(Fp.div(Fp.sub(u, Fp.ONE), denominator));
	edwards[31] = (edwards[31] ?? 0) | (last & 0x80);
	const plain = Uint8Array.from(signature);
	plain[63] = last & 0x7f;
	try {
		return ed25519.verify(plain, message, edwards, { zip215: false });
	} catch {
		// A key or signature that is no point.
		return false;
	}
}
