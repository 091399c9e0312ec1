/** libsignal's stores over the device's file, within the transaction of the running step. */
import {
	Direction,
	IdentityChange,
	IdentityKeyStore,
	KyberPreKeyRecord,
	KyberPreKeyStore,
	PreKeyRecord,
	PreKeyStore,
	type PrivateKey,
	type ProtocolAddress,
	PublicKey,
	SessionRecord,
	SessionStore,
	SignedPreKeyRecord,
	SignedPreKeyStore,
} from "@signalapp/libsignal-client";
import { readMeta, requireAccount } from "../store/account.ts";
import type { SqlRow, Store } from "../store/database.ts";
import { findIdentity } from "../store/identities.ts";
import { sameBytes } from "./bytes.ts";
import { identityKeyPair } from "./keys.ts";

/** A first message names a prekey that this device does not have (any more). */
class MissingPreKeyError extends Error {
	override readonly name = "MissingPreKeyError";
}

/** A first message with a last-resort key came a second time. */
class RepeatedFirstMessageError extends Error {
	override readonly name = "RepeatedFirstMessageError";
}

type KeyRow = SqlRow & { record: Uint8Array<ArrayBuffer> };

/** The most sessions that stay in memory between steps. */
const CACHED_SESSIONS = 256;

/** Sessions with a cache in front: a step with many messages writes each session once, before its commit. */
export class Sessions extends SessionStore {
	readonly #store: Store;
	readonly #cache = new Map<string, SessionRecord | null>();
	readonly #dirty = new Map<string, { account: string; device: number; record: SessionRecord }>();

	constructor(store: Store) {
		super();
		this.#store = store;
	}

	override async saveSession(name: ProtocolAddress, record: SessionRecord): Promise<void> {
		this.put(name.name(), name.deviceId(), record);
	}

	override async getSession(name: ProtocolAddress): Promise<SessionRecord | null> {
		return this.find(name.name(), name.deviceId());
	}

	override async getExistingSessions(addresses: ProtocolAddress[]): Promise<SessionRecord[]> {
		return addresses.map((address) => {
			const record = this.find(address.name(), address.deviceId());
			if (record === null) throw new Error("no session");
			return record;
		});
	}

	find(account: string, device: number): SessionRecord | null {
		const key = `${account}.${device}`;
		const cached = this.#cache.get(key);
		if (cached !== undefined) return cached;
		const row = this.#store.get<KeyRow>("SELECT record FROM sessions WHERE account = ? AND device = ?", [
			account,
			device,
		]);
		const record = row === undefined ? null : SessionRecord.deserialize(row.record);
		this.#cache.set(key, record);
		return record;
	}

	put(account: string, device: number, record: SessionRecord): void {
		const key = `${account}.${device}`;
		this.#cache.set(key, record);
		this.#dirty.set(key, { account, device, record });
	}

	/** Ends the current session: the next message needs a new one. Old states stay, for late messages. */
	archive(account: string, device: number): void {
		const record = this.find(account, device);
		if (record === null || !record.hasCurrentState()) return;
		record.archiveCurrentState();
		this.put(account, device, record);
	}

	/** Writes what the step has changed. Called before its commit. */
	flush(): void {
		for (const { account, device, record } of this.#dirty.values()) {
			this.#store.run("INSERT OR REPLACE INTO sessions (account, device, record) VALUES (?, ?, ?)", [
				account,
				device,
				record.serialize(),
			]);
		}
		this.#dirty.clear();
		if (this.#cache.size > CACHED_SESSIONS) this.#cache.clear();
	}

	/** After a rollback: the file is the truth. */
	forget(): void {
		this.#cache.clear();
		this.#dirty.clear();
	}
}

/** Called when libsignal meets an identity key in a message that is not the stored one. */
export type IdentityChangeHandler = (account: string, key: Uint8Array<ArrayBuffer>) => boolean;

export class Identities extends IdentityKeyStore {
	readonly #store: Store;
	readonly #changed: IdentityChangeHandler;
	readonly #key: PrivateKey;
	readonly #publicKey: Uint8Array<ArrayBuffer>;
	readonly #registrationId: number;
	readonly #ownAccount: string;

	constructor(store: Store, changed: IdentityChangeHandler) {
		super();
		this.#store = store;
		this.#changed = changed;
		const pair = identityKeyPair(store);
		this.#key = pair.privateKey;
		this.#publicKey = pair.publicKey.serialize();
		this.#registrationId = readMeta<number>(store, "registration_id") ?? 0;
		this.#ownAccount = requireAccount(store).accountId;
	}

	override async getIdentityKey(): Promise<PrivateKey> {
		return this.#key;
	}

	override async getLocalRegistrationId(): Promise<number> {
		return this.#registrationId;
	}

	/** The key under which libsignal has decrypted the last message. */
	lastKey: Uint8Array<ArrayBuffer> | undefined;

	override async saveIdentity(name: ProtocolAddress, key: PublicKey): Promise<IdentityChange> {
		this.lastKey = key.serialize();
		if (name.name() === this.#ownAccount) return IdentityChange.NewOrUnchanged;
		const replaced = this.#changed(name.name(), this.lastKey);
		return replaced ? IdentityChange.ReplacedExisting : IdentityChange.NewOrUnchanged;
	}

	/**
	 * Own devices have the own key and no other. From a peer a changed key may be received (it is shown, and blocks
	 * sending where the old one was verified); nothing is sent to a key that is not the accepted one.
	 */
	override async isTrustedIdentity(name: ProtocolAddress, key: PublicKey, direction: Direction): Promise<boolean> {
		const bytes = key.serialize();
		if (name.name() === this.#ownAccount) return sameBytes(bytes, this.#publicKey);
		if (direction === Direction.Receiving) return true;
		const known = findIdentity(this.#store, name.name());
		return known === undefined || (known.pending_key === null && sameBytes(known.key, bytes));
	}

	override async getIdentity(name: ProtocolAddress): Promise<PublicKey | null> {
		const known = findIdentity(this.#store, name.name());
		return known === undefined ? null : PublicKey.deserialize(known.key);
	}
}

export class PreKeys extends PreKeyStore {
	readonly #store: Store;

	constructor(store: Store) {
		super();
		this.#store = store;
	}

	override async savePreKey(): Promise<void> {
		throw new Error("libsignal makes no prekeys");
	}

	override async getPreKey(id: number): Promise<PreKeyRecord> {
		const row = this.#store.get<KeyRow>("SELECT record FROM ec_prekeys WHERE id = ?", [id]);
		if (row === undefined) throw new MissingPreKeyError(`prekey ${id}`);
		return PreKeyRecord.deserialize(row.record);
	}

	override async removePreKey(id: number): Promise<void> {
		this.#store.run("DELETE FROM ec_prekeys WHERE id = ?", [id]);
	}
}

export class SignedPreKeys extends SignedPreKeyStore {
	readonly #store: Store;

	constructor(store: Store) {
		super();
		this.#store = store;
	}

	override async saveSignedPreKey(): Promise<void> {
		throw new Error("libsignal makes no prekeys");
	}

	override async getSignedPreKey(id: number): Promise<SignedPreKeyRecord> {
		const row = this.#store.get<KeyRow>("SELECT record FROM signed_prekeys WHERE id = ?", [id]);
		if (row === undefined) throw new MissingPreKeyError(`signed prekey ${id}`);
		return SignedPreKeyRecord.deserialize(row.record);
	}
}

export class KyberPreKeys extends KyberPreKeyStore {
	readonly #store: Store;

	constructor(store: Store) {
		super();
		this.#store = store;
	}

	override async saveKyberPreKey(): Promise<void> {
		throw new Error("libsignal makes no prekeys");
	}

	override async getKyberPreKey(id: number): Promise<KyberPreKeyRecord> {
		const row = this.#store.get<KeyRow>("SELECT record FROM kyber_prekeys WHERE id = ?", [id]);
		if (row === undefined) throw new MissingPreKeyError(`Kyber prekey ${id}`);
		return KyberPreKeyRecord.deserialize(row.record);
	}

	/** A one-time key is gone after its use; a last-resort key stays, for other first messages only. */
	override async markKyberPreKeyUsed(id: number, signedId: number, baseKey: PublicKey): Promise<void> {
		if (this.#store.run("DELETE FROM kyber_prekeys WHERE id = ? AND last_resort = 0", [id]) > 0) return;
		const added = this.#store.run(
			"INSERT OR IGNORE INTO last_resort_uses (kyber_id, signed_id, base_key) VALUES (?, ?, ?)",
			[id, signedId, baseKey.serialize()],
		);
		if (added === 0) throw new RepeatedFirstMessageError(`Kyber prekey ${id}`);
	}
}
