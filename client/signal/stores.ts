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
import { findIdentity, type IdentityRow } from "../store/identities.ts";
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
export class Sessions {
	readonly #store: Store;
	readonly #cache = new Map<string, SessionRecord | null>();
	readonly #dirty = new Map<string, { account: string; device: number; record: SessionRecord }>();

	constructor(store: Store) {
		this.#store = store;
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

/**
 * One device's session, as libsignal asks for it. It only ever asks for the address that it was called with, and to be
 * told which one that was costs two native calls each time.
 */
export class DeviceSession extends SessionStore {
	readonly #sessions: Sessions;
	readonly #account: string;
	readonly #device: number;

	constructor(sessions: Sessions, account: string, device: number) {
		super();
		this.#sessions = sessions;
		this.#account = account;
		this.#device = device;
	}

	override async saveSession(_name: ProtocolAddress, record: SessionRecord): Promise<void> {
		this.#sessions.put(this.#account, this.#device, record);
	}

	override async getSession(): Promise<SessionRecord | null> {
		return this.#sessions.find(this.#account, this.#device);
	}

	override async getExistingSessions(): Promise<SessionRecord[]> {
		throw new Error("no session is used without its address");
	}
}

/** Called when libsignal meets an identity key in a message that is not the stored one. */
export type IdentityChangeHandler = (account: string, key: Uint8Array<ArrayBuffer>) => boolean;

/** What all devices' identity stores have in common. */
export class LocalIdentity {
	readonly store: Store;
	readonly changed: IdentityChangeHandler;
	readonly key: PrivateKey;
	readonly publicKey: Uint8Array<ArrayBuffer>;
	readonly registrationId: number;
	readonly account: string;

	constructor(store: Store, changed: IdentityChangeHandler) {
		this.store = store;
		this.changed = changed;
		const pair = identityKeyPair(store);
		this.key = pair.privateKey;
		this.publicKey = pair.publicKey.serialize();
		this.registrationId = readMeta<number>(store, "registration_id") ?? 0;
		this.account = requireAccount(store).accountId;
	}
}

/** One account's identity, as libsignal asks for it: as with `DeviceSession` only for the address of its call. */
export class AccountIdentity extends IdentityKeyStore {
	readonly #local: LocalIdentity;
	readonly #account: string;
	/** The accepted key of a row: comparing keys costs less than their bytes. */
	#known: { row: IdentityRow; key: PublicKey } | undefined;

	constructor(local: LocalIdentity, account: string) {
		super();
		this.#local = local;
		this.#account = account;
	}

	override async getIdentityKey(): Promise<PrivateKey> {
		return this.#local.key;
	}

	override async getLocalRegistrationId(): Promise<number> {
		return this.#local.registrationId;
	}

	/** The key under which libsignal has decrypted the last message. */
	lastKey: Uint8Array<ArrayBuffer> | undefined;

	override async saveIdentity(_name: ProtocolAddress, key: PublicKey): Promise<IdentityChange> {
		const accepted = this.#accepted();
		if (accepted?.key.equals(key)) {
			this.lastKey = accepted.row.key;
			return IdentityChange.NewOrUnchanged;
		}
		this.lastKey = key.serialize();
		if (this.#account === this.#local.account) return IdentityChange.NewOrUnchanged;
		const replaced = this.#local.changed(this.#account, this.lastKey);
		return replaced ? IdentityChange.ReplacedExisting : IdentityChange.NewOrUnchanged;
	}

	/**
	 * Own devices have the own key and no other. From a peer a changed key may be received (it is shown, and blocks
	 * sending where the old one was verified); nothing is sent to a key that is not the accepted one.
	 */
	override async isTrustedIdentity(_name: ProtocolAddress, key: PublicKey, direction: Direction): Promise<boolean> {
		if (this.#account === this.#local.account) return sameBytes(key.serialize(), this.#local.publicKey);
		if (direction === Direction.Receiving) return true;
		const known = this.#accepted();
		return known === undefined || (known.row.pending_key === null && known.key.equals(key));
	}

	override async getIdentity(): Promise<PublicKey | null> {
		return this.#accepted()?.key ?? null;
	}

	#accepted(): { row: IdentityRow; key: PublicKey } | undefined {
		const row = findIdentity(this.#local.store, this.#account);
		if (row === undefined) return undefined;
		if (this.#known?.row !== row) this.#known = { row, key: PublicKey.deserialize(row.key) };
		return this.#known;
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
