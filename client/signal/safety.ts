/** Safety numbers: what two people compare to know that nobody stands between them (rule CLIENT-4). */
import { Fingerprint, PublicKey, ScannableFingerprint } from "@signalapp/libsignal-client";
import { uuidToBytes } from "../../protocol/ids.ts";
import { requireAccount } from "../store/account.ts";
import type { Store } from "../store/database.ts";
import { findIdentity } from "../store/identities.ts";
import { identityKeyPair } from "./keys.ts";

/** As Signal has it: slow enough that searching for a similar number is hopeless. */
const ITERATIONS = 5200;
const VERSION = 2;

export interface SafetyNumber {
	/** 60 digits, the same for both people. */
	displayable: string;
	/** Bytes for a QR code. */
	scannable: Uint8Array<ArrayBuffer>;
}

/** The safety number with a peer; undefined before their identity key is known (rule CLIENT-4). */
export function safetyNumber(store: Store, peer: string): SafetyNumber | undefined {
	const fingerprint = fingerprintWith(store, peer);
	if (fingerprint === undefined) return undefined;
	return {
		displayable: fingerprint.displayableFingerprint().toString(),
		scannable: fingerprint.scannableFingerprint().toBuffer(),
	};
}

/** Whether a scanned code is that of the same two keys. Throws for bytes that are no code. */
export function compareScanned(store: Store, peer: string, scanned: Uint8Array<ArrayBuffer>): boolean {
	const fingerprint = fingerprintWith(store, peer);
	if (fingerprint === undefined) return false;
	return fingerprint.scannableFingerprint().compare(ScannableFingerprint._fromBuffer(scanned));
}

function fingerprintWith(store: Store, peer: string): Fingerprint | undefined {
	const identity = findIdentity(store, peer);
	if (identity === undefined) return undefined;
	// A key that waits for acceptance is the one that people have to compare.
	const key = PublicKey.deserialize(identity.pending_key ?? identity.key);
	const local = requireAccount(store).accountId;
	return Fingerprint.new(
		ITERATIONS,
		VERSION,
		uuidToBytes(local),
		identityKeyPair(store).publicKey,
		uuidToBytes(peer),
		key,
	);
}
