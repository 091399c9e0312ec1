/** This device's own keys: generation and the tables that hold them. Callers own the transaction. */
import {
	IdentityKeyPair,
	KEMKeyPair,
	KyberPreKeyRecord,
	PreKeyRecord,
	PrivateKey,
	SignedPreKeyRecord,
} from "@signalapp/libsignal-client";
import type { KyberPreKey, OneTimePreKey, PreKeyUpload, SignedPreKey } from "../../protocol/http.ts";
import { LIMITS } from "../../protocol/limits.ts";
import { readMeta, writeMeta } from "../store/account.ts";
import type { Store } from "../store/database.ts";
import { NotRegisteredError } from "../store/errors.ts";
import { toBase64url } from "./bytes.ts";

const DAY_MS = 86_400_000;
/** How long a signed prekey is in use before the next one replaces it. */
export const ROTATION_MS = 2 * DAY_MS;
/** How long a replaced one is kept, for first messages that are on the way. */
const KEPT_MS = 30 * DAY_MS;

type KeyRow = { record: Uint8Array<ArrayBuffer> };

/** Throws `NotRegisteredError` before the device has keys. */
export function identityKeyPair(store: Store): IdentityKeyPair {
	const bytes = readMeta<Uint8Array<ArrayBuffer>>(store, "identity_key_pair");
	if (bytes === undefined) throw new NotRegisteredError();
	return IdentityKeyPair.deserialize(bytes);
}

/** A new signed prekey and last-resort Kyber key, marked for upload. */
export function rotatePreKeys(store: Store, nowMs: number): void {
	addSignedPreKey(store, nowMs);
	addKyberPreKey(store, nowMs, true);
	const deadline = nowMs - KEPT_MS;
	store.run("DELETE FROM signed_prekeys WHERE created_ms < ? AND upload = 0", [deadline]);
	store.run("DELETE FROM kyber_prekeys WHERE created_ms < ? AND last_resort = 1 AND upload = 0", [deadline]);
	store.run("DELETE FROM last_resort_uses WHERE kyber_id NOT IN (SELECT id FROM kyber_prekeys)");
}

/** A batch of one-time prekeys of each kind that is asked for, marked for upload. */
export function addOneTimePreKeys(store: Store, nowMs: number, kinds: { ec: boolean; kyber: boolean }): void {
	for (let count = 0; count < LIMITS.prekeys_per_upload; count++) {
		if (kinds.ec) addEcPreKey(store);
		if (kinds.kyber) addKyberPreKey(store, nowMs, false);
	}
}

/** Whether the newest signed prekey is older than two days, or from the future of a clock that was wrong. */
export function rotationDue(store: Store, nowMs: number): boolean {
	const created = store.value<number>("SELECT created_ms AS value FROM signed_prekeys ORDER BY id DESC LIMIT 1");
	return created === undefined || nowMs - created >= ROTATION_MS || created - nowMs >= ROTATION_MS;
}

/** The set that is not known to be at the server; always the same until `markUploaded` (rule PREKEY-4). */
export function pendingUpload(store: Store): PreKeyUpload | undefined {
	const signed = store
		.all<KeyRow>("SELECT record FROM signed_prekeys WHERE upload = 1 ORDER BY id DESC LIMIT 1")
		.map((row) => publicSigned(SignedPreKeyRecord.deserialize(row.record)))[0];
	const kyber = (lastResort: number) =>
		store
			.all<KeyRow>("SELECT record FROM kyber_prekeys WHERE upload = 1 AND last_resort = ? ORDER BY id", [lastResort])
			.map((row) => publicKyber(KyberPreKeyRecord.deserialize(row.record)));
	const lastResort = kyber(1).at(-1);
	const oneTimeKyberPreKeys = kyber(0);
	const oneTimePreKeys = store
		.all<KeyRow>("SELECT record FROM ec_prekeys WHERE upload = 1 ORDER BY id")
		.map((row) => publicEc(PreKeyRecord.deserialize(row.record)));
	if (signed === undefined && lastResort === undefined && oneTimeKyberPreKeys.length + oneTimePreKeys.length === 0) {
		return undefined;
	}
	return {
		...(signed === undefined ? {} : { signedPreKey: signed }),
		...(lastResort === undefined ? {} : { lastResortKyberPreKey: lastResort }),
		oneTimePreKeys,
		oneTimeKyberPreKeys,
	};
}

export function hasPendingUpload(store: Store): boolean {
	const found = store.value<number>(
		`SELECT EXISTS (SELECT 1 FROM signed_prekeys WHERE upload = 1) OR EXISTS (SELECT 1 FROM ec_prekeys WHERE upload = 1)
		 OR EXISTS (SELECT 1 FROM kyber_prekeys WHERE upload = 1) AS value`,
	);
	return found === 1;
}

export function markUploaded(store: Store): void {
	store.run("UPDATE ec_prekeys SET upload = 0 WHERE upload = 1");
	store.run("UPDATE signed_prekeys SET upload = 0 WHERE upload = 1");
	store.run("UPDATE kyber_prekeys SET upload = 0 WHERE upload = 1");
}

function addEcPreKey(store: Store): void {
	const key = PrivateKey.generate();
	const id = nextKeyId(store);
	const record = PreKeyRecord.new(id, key.getPublicKey(), key);
	store.run("INSERT INTO ec_prekeys (id, record, upload) VALUES (?, ?, 1)", [id, record.serialize()]);
}

function addSignedPreKey(store: Store, nowMs: number): void {
	const key = PrivateKey.generate();
	const id = nextKeyId(store);
	const signature = identityKeyPair(store).privateKey.sign(key.getPublicKey().serialize());
	const record = SignedPreKeyRecord.new(id, nowMs, key.getPublicKey(), key, signature);
	store.run("INSERT INTO signed_prekeys (id, record, created_ms, upload) VALUES (?, ?, ?, 1)", [
		id,
		record.serialize(),
		nowMs,
	]);
}

function addKyberPreKey(store: Store, nowMs: number, lastResort: boolean): void {
	const pair = KEMKeyPair.generate();
	const id = nextKeyId(store);
	const signature = identityKeyPair(store).privateKey.sign(pair.getPublicKey().serialize());
	const record = KyberPreKeyRecord.new(id, nowMs, pair, signature);
	store.run("INSERT INTO kyber_prekeys (id, record, created_ms, last_resort, upload) VALUES (?, ?, ?, ?, 1)", [
		id,
		record.serialize(),
		nowMs,
		lastResort ? 1 : 0,
	]);
}

function nextKeyId(store: Store): number {
	const id = readMeta<number>(store, "next_prekey_id") ?? 1;
	writeMeta(store, "next_prekey_id", id >= 0xffffff ? 1 : id + 1);
	return id;
}

function publicSigned(record: SignedPreKeyRecord): typeof SignedPreKey._output {
	return {
		id: record.id(),
		key: toBase64url(record.publicKey().serialize()),
		signature: toBase64url(record.signature()),
	};
}

function publicKyber(record: KyberPreKeyRecord): typeof KyberPreKey._output {
	return {
		id: record.id(),
		key: toBase64url(record.publicKey().serialize()),
		signature: toBase64url(record.signature()),
	};
}

function publicEc(record: PreKeyRecord): typeof OneTimePreKey._output {
	return { id: record.id(), key: toBase64url(record.publicKey().serialize()) };
}
